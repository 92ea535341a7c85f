<?php
/**
 * Prints clients and their exceptions in every way that PHP has: `php show-everything.php LIBRARY`,
 * the folder of the library; the secret is in SECRET.
 */
declare(strict_types=1);

require "$argv[1]/autoload.php";

use WavelogWorker\Client;
use WavelogWorker\QuietClient;

/** What a call throws, and its trace with all arguments. */
function show(callable $call): void
{
    try {
        $call();
    } catch (Throwable $e) {
        echo get_class($e), "\nThrown: $e\n", print_r($e->getTrace(), true);
        var_dump($e);
    }
}

$url = 'http://127.0.0.1:1';
$client = new Client($url, getenv('SECRET'));
$quiet = new QuietClient($url, getenv('SECRET'));
foreach ([$client, $quiet] as $object) {
    var_dump($object);
    print_r($object);
    var_export($object);
    print_r((array) $object);
}
show(static function () use ($client): void {
    $client->publish('a', 1);
});
show(static function () use ($client): void {
    serialize($client);
});
show(static function () use ($url): void {
    new Client($url, getenv('SECRET'), ['timeuot' => 1]);
});
show(static function () use ($url): void {
    new Client($url, getenv('SECRET') . "\n");
});
show(static function () use ($client): void {
    $client->token('a', 1, 0);
});
show(static function () use ($url): void {
    new QuietClient($url, getenv('SECRET'), ['timeuot' => 1], static function (): void {
        debug_print_backtrace();
        throw new LogicException('what a debugger in the log sees');
    });
    throw new LogicException('the log was called');
});
echo 'everything was shown';
