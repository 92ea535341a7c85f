<?php
declare(strict_types=1);

namespace WavelogWorker;

/**
 * Which nodes did not answer a moment ago, for all clients of this PHP process, so that a page
 * with ten publishes does not wait for a dead node ten times.
 *
 * It forgets with the process: under PHP-FPM that is the end of the request.
 *
 * @internal
 */
final class DeadNodes
{
    /** @var array<string, float> by base URL: until when it is passed over, as {@see Deadline::now()} counts */
    private static array $until = [];

    public static function remember(Url $url, float $seconds): void
    {
        self::$until[$url->base()] = Deadline::now() + $seconds;
    }

    public static function forget(Url $url): void
    {
        unset(self::$until[$url->base()]);
    }

    /** Forgets all; a process that lives long may want to after it was told to reload. */
    public static function forgetAll(): void
    {
        self::$until = [];
    }

    public static function isDead(Url $url): bool
    {
        return (self::$until[$url->base()] ?? 0.0) > Deadline::now();
    }
}
