<?php
declare(strict_types=1);

namespace WavelogWorker;

use WavelogWorker\Exception\ForbiddenException;
use WavelogWorker\Exception\WorkerException;

/**
 * Asks every node for its status, all at the same time.
 *
 * @internal
 */
final class Survey
{
    public const STATUS_PATH = '/internal/status?v=2';
    private const SECONDS_TO_CONNECT = 0.3;
    private const SECONDS_IN_ALL = 0.8;

    private Secret $secret;

    public function __construct(Secret $secret)
    {
        $this->secret = $secret;
    }

    /**
     * @param Url[] $urls
     *
     * @return NodeStatus[] in the order of the URLs
     */
    public function ask(array $urls): array
    {
        $multi = curl_multi_init();
        $handles = [];
        $exchanges = [];
        foreach ($urls as $place => $url) {
            $handles[$place] = curl_init();
            $exchanges[$place] = new Exchange(null);
            curl_setopt_array($handles[$place], Connection::options(
                $url,
                self::STATUS_PATH,
                $this->secret,
                $exchanges[$place],
                self::SECONDS_TO_CONNECT,
                self::SECONDS_IN_ALL
            ));
            curl_multi_add_handle($multi, $handles[$place]);
        }

        $failures = $this->run($multi, $handles, new Deadline(self::SECONDS_IN_ALL + 0.1));

        $nodes = [];
        foreach ($urls as $place => $url) {
            $nodes[] = $this->outcome($url, $handles[$place], $exchanges[$place], $failures[$place] ?? null);
            curl_multi_remove_handle($multi, $handles[$place]);
        }
        return $nodes;
    }

    /**
     * Lets all of them run until they are done; each has its own time-outs.
     *
     * @param \CurlMultiHandle|resource $multi
     * @param array<int, \CurlHandle|resource> $handles
     *
     * @return array<int, int> by place: how each ended, as curl_errno() counts; none if it did not
     */
    private function run($multi, array $handles, Deadline $deadline): array
    {
        $failures = [];
        do {
            curl_multi_exec($multi, $running);
            while (($message = curl_multi_info_read($multi)) !== false) {
                $failures[(int) array_search($message['handle'], $handles, true)] = $message['result'];
            }
            if ($running > 0 && curl_multi_select($multi, min(0.1, $deadline->left())) === -1) {
                usleep(1000); // Nothing to wait for yet, such as a name that is being looked up.
            }
        } while ($running > 0 && $deadline->left() > 0);
        return $failures;
    }

    /** @param \CurlHandle|resource $handle */
    private function outcome(Url $url, $handle, Exchange $exchange, ?int $failure): NodeStatus
    {
        $milliseconds = (int) round(curl_getinfo($handle, CURLINFO_TOTAL_TIME) * 1000);
        $shown = $url->shown();
        if ($failure === CURLE_OK) {
            $status = (int) curl_getinfo($handle, CURLINFO_RESPONSE_CODE);
            $answer = new Answer($url, $status, $this->secret->hiddenIn($exchange->answer()));
            try {
                $status = $answer->status();
                DeadNodes::forget($url);
                return new NodeStatus($shown, NodeStatus::UP, $status, '', $milliseconds);
            } catch (ForbiddenException $e) {
                return new NodeStatus($shown, NodeStatus::FORBIDDEN, null, $e->getMessage(), $milliseconds);
            } catch (WorkerException $e) {
                return new NodeStatus($shown, NodeStatus::ERROR, null, $e->getMessage(), $milliseconds);
            }
        }
        if (curl_getinfo($handle, CURLINFO_REQUEST_SIZE) < 1) {
            $reason = curl_error($handle) ?: 'not in time';
            $error = "$shown cannot be reached ($reason): is the worker running, and is this its internal_port?";
            return new NodeStatus($shown, NodeStatus::DOWN, null, $error, $milliseconds);
        }
        if ($failure === null || $failure === CURLE_OPERATION_TIMEOUTED) {
            $error = "$shown did not answer within $milliseconds ms: is it overloaded?";
            return new NodeStatus($shown, NodeStatus::SLOW, null, $error, $milliseconds);
        }
        $error = "$shown ended the connection without an answer: look into the log of the worker";
        return new NodeStatus($shown, NodeStatus::ERROR, null, $error, $milliseconds);
    }
}
