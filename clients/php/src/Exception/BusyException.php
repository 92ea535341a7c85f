<?php
declare(strict_types=1);

namespace WavelogWorker\Exception;

/**
 * A node answered 503: more waits in the topic than it may hold. Nobody got the event; try again.
 */
final class BusyException extends WorkerException
{
}
