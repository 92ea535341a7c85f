<?php
declare(strict_types=1);

namespace WavelogWorker;

/**
 * What became of one node when all were asked: {@see Client::statusAll()}.
 */
final class NodeStatus
{
    /** It answered; `status` has what it said. */
    public const UP = 'up';
    /** No connection came about. */
    public const DOWN = 'down';
    /** It was connected to and did not answer in time. */
    public const SLOW = 'slow';
    /** It has another secret. */
    public const FORBIDDEN = 'forbidden';
    /** What answered is no worker, or not well. */
    public const ERROR = 'error';

    /** Without user and password. */
    public string $url;
    /** One of the constants. */
    public string $state;
    /** If it is up. */
    public ?Status $status;
    /** What is wrong, and what to do; empty if it is up. */
    public string $error;
    /** How long it took, up to now or to the failure. */
    public int $milliseconds;

    public function __construct(string $url, string $state, ?Status $status, string $error, int $milliseconds)
    {
        $this->url = $url;
        $this->state = $state;
        $this->status = $status;
        $this->error = $error;
        $this->milliseconds = $milliseconds;
    }

    public function isUp(): bool
    {
        return $this->state === self::UP;
    }
}
