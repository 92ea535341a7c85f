<?php
declare(strict_types=1);

namespace WavelogWorker\Exception;

/**
 * No node could be connected to, or all of them were found dead a moment ago.
 *
 * Nothing was sent, so nothing was carried out.
 */
final class UnreachableException extends WorkerException
{
}
