<?php
declare(strict_types=1);

namespace WavelogWorker\Exception;

/**
 * A node does not know the topic, even though it was registered a moment ago.
 *
 * Calls pass over a 404 once by themselves: they register the topic and publish again.
 */
final class TopicNotRegisteredException extends WorkerException
{
}
