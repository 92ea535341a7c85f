<?php

declare(strict_types=1);

namespace LiveLog;

use WavelogWorker\QuietClient;

/**
 * Live updates: all that this application says to the worker.
 *
 * It stands on the library's quiet client: whatever is wrong with the worker goes to PHP's log, and
 * contacts are saved and shown as if nothing were the matter.
 */
final class Live
{
    /** Everybody who watches the log is subscribed to this topic. Yours may be `logbook.42`. */
    private const TOPIC = 'live-log';

    /** @var array<string, mixed> as in config.php */
    private array $config;
    private QuietClient $worker;

    /** @param array<string, mixed> $config as in config.php */
    public function __construct(array $config)
    {
        $this->config = $config;
        $this->worker = new QuietClient(
            $config['worker_url'],
            $config['worker_secret'],
            ['timeout' => $config['worker_timeout']]
        );
    }

    /**
     * What a page needs to connect, and nothing secret but the token; null if there is no worker.
     *
     * @return array<string, string>|null
     */
    public function forPage(Visitor $visitor): ?array
    {
        if (!$this->worker->isEnabled()) {
            return null;
        }
        return [
            'url' => $this->config['worker_client_url'],
            'script' => $this->script(),
            'topic' => self::TOPIC,
            'token' => $this->token($visitor),
        ];
    }

    /**
     * A token that lets this visitor subscribe.
     *
     * The topic is registered each time: that costs a fraction of a millisecond, and a worker
     * that was restarted knows it again. Check here whether the visitor may see the log.
     */
    public function token(Visitor $visitor): string
    {
        $this->worker->register(self::TOPIC);
        return $this->worker->token(self::TOPIC, $visitor->userId, $this->config['token_lifetime']);
    }

    /**
     * Tells every page that the log has changed. Call it when the change is saved, not before.
     *
     * It says that something changed and not what: a page fetches the list as PHP shows it to its
     * own visitor, so there is one place that decides who sees what, and none that can differ.
     */
    public function changed(): void
    {
        $this->worker->publish(self::TOPIC, ['event' => 'changed']);
    }

    /** The client that the worker serves: for `wss://host` it is `https://host/client.js`. */
    public function script(): string
    {
        return preg_replace('/^ws/', 'http', rtrim($this->config['worker_client_url'], '/')) . '/client.js';
    }

    /** What that client connects to: for the Content-Security-Policy, as the script is. */
    public function socket(): string
    {
        return rtrim($this->config['worker_client_url'], '/') . '/ws';
    }
}
