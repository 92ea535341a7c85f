<?php
declare(strict_types=1);

namespace WavelogWorker;

use InvalidArgumentException;
use JsonException;

/**
 * Mints tokens: docs/protocol.md, "Token". It asks nobody for the time.
 *
 * @internal
 */
final class Token
{
    /** @param int $expires Unix time in seconds; the token is good through that second */
    public static function forTopic(Secret $secret, string $topic, int $userId, int $expires): string
    {
        if ($topic === '') {
            throw new InvalidArgumentException('the topic is empty: a token has to open one');
        }
        return self::sign($secret, ['user_id' => $userId, 'topic' => $topic, 'expires' => $expires]);
    }

    /** @param int $expires Unix time in seconds; the token is good through that second */
    public static function forSession(Secret $secret, int $sessionId, int $userId, int $expires): string
    {
        if ($sessionId < 1) {
            throw new InvalidArgumentException('the session id has to be above 0: no worker takes others');
        }
        return self::sign(
            $secret,
            ['user_id' => $userId, 'session_id' => $sessionId, 'expires' => $expires]
        );
    }

    /** When a token that is minted `$now` ends, if it is to be good for `$ttl` seconds. */
    public static function expires(int $now, int $ttl): int
    {
        if ($ttl < 1 || $ttl > PHP_INT_MAX - $now) {
            throw new InvalidArgumentException(
                'the life of a token has to be above 0: give it in seconds, such as 86400 for a day'
            );
        }
        return $now + $ttl;
    }

    /** @param array<string, int|string> $claims in the order in which they are written */
    private static function sign(Secret $secret, array $claims): string
    {
        try {
            $message = bin2hex(json_encode($claims, Json::FLAGS));
        } catch (JsonException $e) {
            throw new InvalidArgumentException('the topic of a token is not UTF-8: convert it', 0, $e);
        }
        return $message . '.' . $secret->sign($message);
    }
}
