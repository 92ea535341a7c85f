<?php

/**
 * A fresh token for a page whose own has expired, and the topic registered once more.
 *
 * The browser's client asks for it by itself. Your application checks the login here, as on
 * every page, and answers 403 to a user who was logged out meanwhile.
 */

declare(strict_types=1);

require __DIR__ . '/../src/app.php';

header('Content-Type: application/json');
echo json_encode(['token' => $live->token($visitor)], JSON_THROW_ON_ERROR);
