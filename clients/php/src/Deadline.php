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
    private float $at;

    public function __construct(float $seconds)
    {
        $this->at = self::now() + $seconds;
    }

    /** Seconds of the clock that nobody sets. */
    public static function now(): float
    {
        return hrtime(true) / 1e9; // On 32-bit systems hrtime() gives a float by itself.
    }

    /** Seconds that are left, never below 0. */
    public function left(): float
    {
        return max(0.0, $this->at - self::now());
    }
}
