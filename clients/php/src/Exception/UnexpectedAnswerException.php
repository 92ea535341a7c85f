<?php
declare(strict_types=1);

namespace WavelogWorker\Exception;

/**
 * What answered is no worker, or not well: another status, a body that is no status document, or
 * the end of the connection without an answer.
 *
 * In the latter case the call may have been carried out.
 */
final class UnexpectedAnswerException extends WorkerException
{
}
