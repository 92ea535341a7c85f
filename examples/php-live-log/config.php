<?php

/**
 * What the example has to know, read from the environment; `start` sets it all.
 *
 * A site of your own reads this from wherever its settings are. The secret is the worker's
 * `worker_secret`: it belongs to the server and never goes to a browser.
 */

declare(strict_types=1);

$setting = static function (string $name, string $default): string {
    $value = getenv($name);
    return $value === false || $value === '' ? $default : $value;
};

return [
    // Where PHP reaches the worker, and the secret that both know. Without a secret there are
    // no live updates, and the log works all the same.
    'worker_url' => $setting('WORKER_URL', 'http://127.0.0.1:9001'),
    'worker_secret' => $setting('WORKER_SECRET', ''),
    // Where browsers reach it: ws://host:port, or wss://host behind a proxy that does TLS.
    'worker_client_url' => $setting('WORKER_CLIENT_URL', 'ws://127.0.0.1:9000'),
    // Seconds that saving a contact waits for the worker at most.
    'worker_timeout' => 0.5,
    // Seconds that a browser may come back with the same token; then it fetches a fresh one.
    'token_lifetime' => 3600,
    // The SQLite file, in a folder that PHP may write to and that no browser can reach.
    'database' => $setting('LIVE_LOG_DATA', __DIR__ . '/var') . '/live-log.sqlite',
];
