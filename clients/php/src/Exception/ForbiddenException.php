<?php
declare(strict_types=1);

namespace WavelogWorker\Exception;

/**
 * A node answered 403: its `worker_secret` is not the secret of this client.
 */
final class ForbiddenException extends WorkerException
{
}
