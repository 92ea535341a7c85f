<?php

declare(strict_types=1);

namespace LiveLog;

/** A contact that cannot be logged as it is; the message is for the person who typed it. */
final class InvalidContact extends \RuntimeException
{
    /** The field of the form that is meant. */
    public string $field;

    public function __construct(string $field, string $message)
    {
        parent::__construct($message);
        $this->field = $field;
    }
}
