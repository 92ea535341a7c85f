<?php
declare(strict_types=1);

namespace WavelogWorker;

/**
 * The moment at which a whole operation has to be over, however many requests it makes.
 *
 * @internal
 */
final class Deadline
{
    /** Nanoseconds of the clock that nobody sets. */
    private int $at;

    public function __construct(float $seconds)
    {
        $this->at = hrtime(true) + (int) ($seconds * 1e9);
    }

    /** Seconds that are left, never below 0. */
    public function left(): float
    {
        return max(0, $this->at - hrtime(true)) / 1e9;
    }
}
