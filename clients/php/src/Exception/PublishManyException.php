<?php
declare(strict_types=1);

namespace WavelogWorker\Exception;

/**
 * Some messages of a publishMany() were not published; all the others were.
 */
final class PublishManyException extends WorkerException
{
    /** @var array<int, WorkerException> */
    private array $failures;

    /**
     * @param array<int, WorkerException> $failures not empty; by the message's place, from 0
     * @param int $count how many messages there were
     */
    public function __construct(array $failures, int $count)
    {
        $this->failures = $failures;
        $first = (int) array_key_first($failures);
        parent::__construct(
            count($failures) . " of $count messages were not published; the first is message $first"
                . ' (counted from 0): ' . $failures[$first]->getMessage(),
            0,
            $failures[$first]
        );
    }

    /**
     * Which messages failed, by their place in the list from 0, and why.
     *
     * @return array<int, WorkerException>
     */
    public function failures(): array
    {
        return $this->failures;
    }
}
