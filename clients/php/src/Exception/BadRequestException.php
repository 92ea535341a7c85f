<?php
declare(strict_types=1);

namespace WavelogWorker\Exception;

/**
 * A node answered 400: it could not read the call, most often because it has over 1 MiB.
 */
final class BadRequestException extends WorkerException
{
}
