<?php

/**
 * The newest contacts as rows of HTML: what a page fetches when the log has changed.
 */

declare(strict_types=1);

require __DIR__ . '/../src/app.php';

header('Content-Type: text/html; charset=utf-8');
$contacts = $log->newest(50);
require __DIR__ . '/../src/rows.php';
