<?php

/**
 * Saves a contact, and tells every page that the log has changed.
 *
 * The script of the page wants JSON. A browser without scripts gets the page again, or a line of
 * text that says what is wrong.
 */

declare(strict_types=1);

use LiveLog\Contact;
use LiveLog\InvalidContact;

require __DIR__ . '/../src/app.php';

/** Ends the request: `$message` says what is wrong with `$field`, or with the whole. */
function refuse(int $status, string $message, string $field = ''): void
{
    http_response_code($status);
    if (wantsJson()) {
        header('Content-Type: application/json');
        echo json_encode(['message' => $message, 'field' => $field], JSON_THROW_ON_ERROR);
    } else {
        header('Content-Type: text/plain; charset=utf-8');
        echo $message, "\n";
    }
    exit;
}

function wantsJson(): bool
{
    return ($_SERVER['HTTP_ACCEPT'] ?? '') === 'application/json';
}

if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
    header('Allow: POST');
    refuse(405, 'Contacts are saved by the form of the page.');
}
if (!$visitor->wrote($_POST['form_token'] ?? null)) {
    refuse(403, 'Not saved: this page is too old. Load it again, please.');
}
try {
    $contact = Contact::fromForm($_POST);
} catch (InvalidContact $problem) {
    refuse(422, $problem->getMessage(), $problem->field);
}

$log->add($contact, time()); // First save …
$live->changed();            // … then publish: who is told fetches at once.

if (wantsJson()) {
    header('Content-Type: application/json');
    echo json_encode(['saved' => $contact->call], JSON_THROW_ON_ERROR);
} else {
    header('Location: index.php', true, 303);
}
