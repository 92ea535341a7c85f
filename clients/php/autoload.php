<?php
/**
 * Loads the classes of this library, for sites without Composer: `require` this one file.
 *
 * With Composer it is not needed, and does no harm.
 */
declare(strict_types=1);

spl_autoload_register(static function (string $class): void {
    $prefix = 'WavelogWorker\\';
    if (strncmp($class, $prefix, strlen($prefix)) !== 0) {
        return;
    }
    $file = __DIR__ . '/src/' . str_replace('\\', '/', substr($class, strlen($prefix))) . '.php';
    if (is_file($file)) {
        require $file;
    }
}, true, true); // Before those of the application: some take every class for their own, and complain.
