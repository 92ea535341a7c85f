<?php
declare(strict_types=1);

namespace WavelogWorker;

use WavelogWorker\Exception\TimedOutException;
use WavelogWorker\Exception\UnexpectedAnswerException;
use WavelogWorker\Exception\UnreachableException;
use WavelogWorker\Exception\WorkerException;

/**
 * One request to one node, over a connection that is kept for the next one.
 *
 * It makes sure that no request is sent twice. libcurl would, by itself: if a kept connection ends
 * without an answer, it sends the request again over a new one, though the node may have carried it
 * out before it died. It needs the body a second time for that, and {@see Exchange} gives it once.
 * A connection that has been closed since the last request is noticed before anything is sent, so
 * a worker that was restarted meanwhile costs a new connection and nothing else.
 *
 * @internal
 */
final class Connection
{
    /**
     * Seconds after which an unused connection is given up, because a proxy in between may be about
     * to end it in the very moment in which the next request is sent.
     */
    private const IDLE = 5.0;

    private Secret $secret;
    /** @var \CurlHandle|resource|null */
    private $handle = null;
    private int $process = 0;
    /** As {@see Deadline::now()} counts. */
    private float $lastUsed = 0.0;

    /** @throws WorkerException PHP has no cURL */
    public function __construct(Secret $secret)
    {
        if (!extension_loaded('curl')) {
            throw new WorkerException('PHP has no cURL extension: install it (Debian: php-curl)');
        }
        $this->secret = $secret;
    }

    /**
     * @param string|null $body what is posted; null is a GET
     * @param float $toConnect seconds, until a connection is there
     * @param float $inAll seconds, until the answer is there
     *
     * @throws UnreachableException nothing was sent
     * @throws TimedOutException no answer in time, though the request was sent
     * @throws UnexpectedAnswerException the connection ended, or what came is no HTTP
     */
    public function call(Url $url, string $path, ?string $body, float $toConnect, float $inAll): Answer
    {
        $handle = $this->handle();
        $exchange = new Exchange($body);
        curl_setopt_array($handle, self::options($url, $path, $this->secret, $exchange, $toConnect, $inAll));
        curl_exec($handle);
        $failure = curl_errno($handle);
        $reason = curl_error($handle);
        $status = (int) curl_getinfo($handle, CURLINFO_RESPONSE_CODE);
        $sent = curl_getinfo($handle, CURLINFO_REQUEST_SIZE) > 0 || $exchange->hasBegun();
        curl_reset($handle); // Lets go of the body and the answer.
        $this->lastUsed = Deadline::now();

        if ($failure === CURLE_OK) {
            return new Answer($url, $status, $this->secret->hiddenIn($exchange->answer()));
        }
        $this->handle = null; // libcurl still wants the body again that it could not have.
        if (!$sent) {
            throw new UnreachableException(
                "{$url->shown()} cannot be reached ($reason): is the worker running, and is this its"
                . ' internal_port?'
            );
        }
        if ($failure === CURLE_OPERATION_TIMEOUTED) {
            throw new TimedOutException(sprintf(
                '%s did not answer within %d ms: is it overloaded, or is something else listening there?'
                . ' The call may have been carried out',
                $url->shown(),
                round($inAll * 1000)
            ));
        }
        $what = $failure === CURLE_WRITE_ERROR
            ? 'sent more than any worker does'
            : "ended the connection without an answer ($reason)";
        throw new UnexpectedAnswerException(
            "{$url->shown()} $what: look into the log of the worker. The call may have been carried out"
        );
    }

    /**
     * What cURL is told for one request; {@see Survey} tells it the same.
     *
     * @return array<int, mixed>
     */
    public static function options(
        Url $url,
        string $path,
        Secret $secret,
        Exchange $exchange,
        float $toConnect,
        float $inAll
    ): array {
        $options = [
            CURLOPT_URL => $url->base() . $path,
            CURLOPT_HTTP_VERSION => CURL_HTTP_VERSION_1_1,
            CURLOPT_CONNECTTIMEOUT_MS => self::milliseconds($toConnect),
            CURLOPT_TIMEOUT_MS => self::milliseconds($inAll),
            CURLOPT_NOSIGNAL => true,
            CURLOPT_PROXY => '', // Proxies of the environment are for the internet.
            CURLOPT_FOLLOWLOCATION => false,
            CURLOPT_WRITEFUNCTION => [$exchange, 'write'],
            // Without Expect, large bodies would wait for a "100 Continue".
            CURLOPT_HTTPHEADER => [$secret->header(), 'Content-Type: application/json', 'Expect:'],
        ];
        if ($exchange->bytes() !== null) {
            $options += [
                CURLOPT_UPLOAD => true,
                CURLOPT_CUSTOMREQUEST => 'POST',
                CURLOPT_INFILESIZE => $exchange->bytes(),
                CURLOPT_READFUNCTION => [$exchange, 'read'],
            ];
        }
        if (defined('CURLOPT_QUICK_EXIT')) { // PHP 8.3: do not wait for a name server that hangs.
            $options[constant('CURLOPT_QUICK_EXIT')] = true;
        }
        return $options;
    }

    /** @return \CurlHandle|resource */
    private function handle()
    {
        // A child process must not speak over its parent's connection.
        $fresh = $this->handle !== null && $this->process === getmypid()
            && Deadline::now() - $this->lastUsed < self::IDLE;
        if (!$fresh) {
            $this->handle = curl_init();
            $this->process = getmypid();
        }
        return $this->handle;
    }

    private static function milliseconds(float $seconds): int
    {
        return max(1, (int) round($seconds * 1000)); // To cURL, 0 is no bound at all.
    }
}
