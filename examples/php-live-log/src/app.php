<?php

/**
 * What every page begins with: `$log`, `$live`, `$visitor`, the function `e`, and strict headers.
 */

declare(strict_types=1);

use LiveLog\Live;
use LiveLog\Log;
use LiveLog\Visitor;

ini_set('display_errors', '0'); // Visitors see no paths; errors go to the log.
ini_set('log_errors', '1');

require __DIR__ . '/../../../clients/php/autoload.php';
require __DIR__ . '/Contact.php';
require __DIR__ . '/InvalidContact.php';
require __DIR__ . '/Live.php';
require __DIR__ . '/Log.php';
require __DIR__ . '/Visitor.php';

/** Text for HTML. Whatever came from outside goes through this on its way into a page. */
function e(string $text): string
{
    return htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

$config = require __DIR__ . '/../config.php';
$log = new Log($config['database']);
$live = new Live($config);
$visitor = Visitor::ofThisRequest();

// No script but our files and the worker's client, and none inside a page: should `e` be
// forgotten somewhere, what somebody typed still is not run.
header(
    "Content-Security-Policy: default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    . "base-uri 'none'; frame-ancestors 'none'; "
    . "script-src 'self' {$live->script()}; connect-src 'self' {$live->socket()}"
);
header('X-Content-Type-Options: nosniff');
header('Referrer-Policy: same-origin');
