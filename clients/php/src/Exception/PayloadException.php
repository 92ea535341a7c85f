<?php
declare(strict_types=1);

namespace WavelogWorker\Exception;

/**
 * The payload or the topic cannot be written as JSON: text that is not UTF-8, INF or NAN,
 * a resource, or nested too deep. Nothing was sent.
 */
final class PayloadException extends WorkerException
{
}
