<?php
declare(strict_types=1);

namespace WavelogWorker;

use InvalidArgumentException;

/**
 * A {@see Client} for pages that have to work without the worker: it never throws and never waits
 * longer than the client's `timeout`. What goes wrong is logged, and the answer is false, null,
 * empty or ''.
 *
 * Without URLs or without a secret it does nothing at all and logs nothing: live updates are off.
 */
final class QuietClient
{
    private ?Client $client = null;
    /** @var callable(string): void */
    private $log;
    private bool $isLogging = false;

    /**
     * @param string|string[]|null|false $urls as {@see Client::__construct()}; empty turns everything
     *     off, and so does false, which getenv() gives for what is not set
     * @param string|null|false $secret as there; empty or false turns everything off
     * @param array<string, mixed> $options as there
     * @param callable(string): mixed|null $log takes a line that says what went wrong: 'error_log'
     *     (which it is if null), a closure, or `[$logger, 'error']` of a PSR-3 logger
     */
    public function __construct(
        $urls,
        #[\SensitiveParameter]
        $secret,
        array $options = [],
        ?callable $log = null
    ) {
        $kept = Secret::take($secret);
        $this->log = $log ?? 'error_log';
        $given = array_filter((array) $urls, static fn ($url): bool => !in_array($url, ['', null, false], true));
        if ($given === [] || in_array($kept, ['', null, false], true)) {
            return;
        }
        try {
            if (!is_string($kept)) {
                throw new InvalidArgumentException(
                    'the secret of the worker is no text: give worker_secret of its config.yaml'
                );
            }
            $this->client = new Client($given, $kept, $options);
        } catch (\Throwable $e) {
            $this->tell($e);
        }
    }

    /** Whether calls are made at all: there are URLs and a secret, and they are usable. */
    public function isEnabled(): bool
    {
        return $this->client !== null;
    }

    /** See {@see Client::register()}. */
    public function register(string $topic, bool $requireToken = true): bool
    {
        return $this->did(static function (Client $client) use ($topic, $requireToken): void {
            $client->register($topic, $requireToken);
        });
    }

    /** See {@see Client::unregister()}. */
    public function unregister(string $topic): bool
    {
        return $this->did(static function (Client $client) use ($topic): void {
            $client->unregister($topic);
        });
    }

    /**
     * See {@see Client::publish()}.
     *
     * @param mixed $payload
     */
    public function publish(string $topic, $payload): bool
    {
        return $this->did(static function (Client $client) use ($topic, $payload): void {
            $client->publish($topic, $payload);
        });
    }

    /**
     * True if all were published. See {@see Client::publishMany()}.
     *
     * @param iterable<array{0: string, 1: mixed}> $messages
     */
    public function publishMany(iterable $messages): bool
    {
        return $this->did(static function (Client $client) use ($messages): void {
            $client->publishMany($messages);
        });
    }

    /** See {@see Client::status()}. */
    public function status(bool $topics = false): ?Status
    {
        return $this->got(static fn (Client $client): Status => $client->status($topics), null);
    }

    /**
     * See {@see Client::statusAll()}.
     *
     * @param string|string[]|null $urls
     *
     * @return NodeStatus[]
     */
    public function statusAll($urls = null): array
    {
        return $this->got(static fn (Client $client): array => $client->statusAll($urls), []);
    }

    /**
     * See {@see Client::nodes()}.
     *
     * @return array<string, mixed>
     */
    public function nodes(): array
    {
        return $this->got(static fn (Client $client): array => $client->nodes(), []);
    }

    /** See {@see Client::token()}. */
    public function token(string $topic, int $userId, int $ttl): string
    {
        return $this->got(static fn (Client $client): string => $client->token($topic, $userId, $ttl), '');
    }

    /** See {@see Client::tokenForSession()}. */
    public function tokenForSession(int $sessionId, int $userId, int $ttl): string
    {
        return $this->got(
            static fn (Client $client): string => $client->tokenForSession($sessionId, $userId, $ttl),
            ''
        );
    }

    /** @param callable(Client): void $call */
    private function did(callable $call): bool
    {
        return $this->got(static function (Client $client) use ($call): bool {
            $call($client);
            return true;
        }, false);
    }

    /**
     * @param callable(Client): mixed $call
     * @param mixed $otherwise
     *
     * @return mixed
     */
    private function got(callable $call, $otherwise)
    {
        if ($this->client === null) {
            return $otherwise;
        }
        try {
            return $call($this->client);
        } catch (\Throwable $e) {
            $this->tell($e);
            return $otherwise;
        }
    }

    private function tell(\Throwable $e): void
    {
        if ($this->isLogging) {
            return; // The log publishes its lines with this object, which would go on for ever.
        }
        $this->isLogging = true;
        try {
            ($this->log)('wavelog_worker: ' . $e->getMessage());
        } catch (\Throwable $ignored) {
            // A log that fails is no reason for the page to fail.
        } finally {
            $this->isLogging = false;
        }
    }
}
