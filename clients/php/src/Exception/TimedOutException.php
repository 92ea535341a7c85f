<?php
declare(strict_types=1);

namespace WavelogWorker\Exception;

/**
 * A node was connected to and did not answer in time.
 *
 * The call may have been carried out; the library does not send it to another node.
 */
final class TimedOutException extends WorkerException
{
}
