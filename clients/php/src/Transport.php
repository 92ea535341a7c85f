<?php
declare(strict_types=1);

namespace WavelogWorker;

use WavelogWorker\Exception\TimedOutException;
use WavelogWorker\Exception\UnreachableException;
use WavelogWorker\Exception\WorkerException;

/**
 * Which node a call goes to: the first that can be connected to.
 *
 * The next node is tried only if nothing was sent to this one. After a time-out, a lost connection
 * or any answer it is not, for then the call may have been carried out, and a second node would
 * deliver the event a second time. What goes over the connection is {@see Connection}.
 *
 * @internal
 */
final class Transport
{
    /** How many times as long as it took in vain to connect to a node it is passed over. */
    private const PASSED_OVER_FOR_ITS_COST = 20;

    /** @var Url[] */
    private array $urls;
    private Options $options;
    private Connection $connection;

    /** @param Url[] $urls not empty; the first is always tried first */
    public function __construct(array $urls, Secret $secret, Options $options)
    {
        $this->urls = $urls;
        $this->options = $options;
        $this->connection = new Connection($secret);
    }

    /** @return Url[] */
    public function urls(): array
    {
        return $this->urls;
    }

    /** @throws WorkerException no answer */
    public function get(string $path, Deadline $deadline): Answer
    {
        return $this->call($path, null, $deadline);
    }

    /** @throws WorkerException no answer */
    public function post(string $path, string $body, Deadline $deadline): Answer
    {
        return $this->call($path, $body, $deadline);
    }

    private function call(string $path, ?string $body, Deadline $deadline): Answer
    {
        $candidates = array_values(array_filter(
            $this->urls,
            static fn (Url $url): bool => !DeadNodes::isDead($url)
        ));
        if ($candidates === []) {
            throw new UnreachableException(
                implode(' and ', array_map(static fn (Url $url): string => $url->shown(), $this->urls))
                . ' did not answer a moment ago and will be tried again soon: is the worker running?'
            );
        }

        $failures = [];
        foreach ($candidates as $place => $url) {
            $left = $deadline->left();
            if ($left < 0.001) {
                break;
            }
            // Nodes that come after this one need some of the time as well.
            $toConnect = min($this->options->connectTimeout, $left / (count($candidates) - $place));
            // What did not answer in the rest of an operation's time may be well, and only busy.
            $deadFor = $left < $this->options->timeout / (2 * count($this->urls)) ? 0.0 : $this->options->deadFor;
            try {
                $answer = $this->connection->call($url, $path, $body, $toConnect, $left);
                DeadNodes::forget($url);
                return $answer;
            } catch (UnreachableException $failure) {
                // A refusal costs next to nothing, and a worker that is restarted is back at once.
                $cost = $left - $deadline->left();
                DeadNodes::remember($url, min($deadFor, self::PASSED_OVER_FOR_ITS_COST * $cost));
                $failures[] = $failure->getMessage();
            } catch (TimedOutException $failure) {
                DeadNodes::remember($url, $deadFor);
                throw $failure;
            }
        }
        if ($failures === []) {
            throw new TimedOutException('the time was over before the call could be sent');
        }
        throw new UnreachableException(implode('; ', $failures));
    }
}
