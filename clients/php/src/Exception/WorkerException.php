<?php
declare(strict_types=1);

namespace WavelogWorker\Exception;

/**
 * Why a call to the worker failed; catch this one for all of them.
 *
 * The message names the node's URL without credentials, what happened, and what to do. It never
 * contains the secret, a token or a payload, so it may be logged. What the caller did wrong (an
 * option that does not exist, an empty topic) is an \InvalidArgumentException instead.
 */
class WorkerException extends \RuntimeException
{
}
