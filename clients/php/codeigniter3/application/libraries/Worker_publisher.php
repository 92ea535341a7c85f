<?php
/**
 * The worker for a CodeIgniter 3 application: register topics, publish, mint tokens, ask for the
 * status. Nothing here ever fails or prints because of the worker, or waits longer than
 * `worker_timeout`; whatever goes wrong is one line for `log_message('error', ...)`.
 *
 *     $this->load->library('Worker_publisher');
 *     $this->worker_publisher->register_topic('session.42');
 *     $data['worker_url'] = $this->worker_publisher->client_url();
 *     $data['worker_token'] = $this->worker_publisher->create_token('session.42');
 *     ...
 *     $this->worker_publisher->publish('session.42', ['event' => 'qso_updated']);
 *
 * What is said to the worker, and when it is said again, is the business of the library
 * WavelogWorker (QuietClient); what the settings mean is that of Worker_settings. This class joins
 * them to CodeIgniter. Arguments are not typed, because an application's mistake must not be an
 * error here either.
 */

declare(strict_types=1);

defined('BASEPATH') OR exit('No direct script access allowed');

require_once APPPATH . 'libraries/Worker_settings.php';

class Worker_publisher
{
    private const AUTOLOAD = 'third_party/wavelog-worker/autoload.php';

    /** @var array<string, true> What this request has in the log already. */
    private static array $logged = [];

    private Worker_settings $settings;

    /** @var \WavelogWorker\QuietClient|null null while the worker is not to be called */
    private $client = null;

    /** @var string[] What is wrong with configuration and installation, for the debug page. */
    private array $problems = [];

    /** What the client is doing, for the log. */
    private string $doing = '';

    /**
     * @param mixed $config not used: CodeIgniter hands the configuration to a library that has the
     *     name of the configuration file
     */
    public function __construct($config = null)
    {
        $this->settings = new Worker_settings($this->read_config());
        $this->problems = array_merge($this->problems, $this->settings->problems);
        if ($this->settings->enabled) {
            $this->client = $this->make_client();
        }
        foreach ($this->problems as $problem) {
            if ( ! isset(self::$logged[$problem])) {
                self::$logged[$problem] = true;
                $this->log($problem);
            }
        }
    }

    /** Whether the worker is switched on, and configured and installed so that it can be called. */
    public function is_enabled(): bool
    {
        return $this->client !== null;
    }

    /**
     * Makes a topic known, so that browsers may subscribe to it; costs next to nothing, so do it at
     * every page load.
     *
     * @param string $topic e.g. `session.42`
     * @param bool $require_token FALSE: every browser may subscribe, without a token
     * @return bool whether the worker has done it
     */
    public function register_topic($topic, $require_token = true): bool
    {
        $topic = $this->begin('register_topic', $topic);

        return $topic !== null && $this->client->register($topic, (bool) $require_token);
    }

    /**
     * Sends `$payload` to every browser that is subscribed to `$topic`. A worker that does not know
     * the topic (it was restarted) is told of it, and then gets the event once more.
     *
     * @param string $topic e.g. `session.42`
     * @param mixed $payload anything that json_encode() takes; what is not UTF-8 in it arrives as U+FFFD
     * @return bool whether the worker has it
     */
    public function publish($topic, $payload): bool
    {
        $topic = $this->begin('publish', $topic);

        return $topic !== null && $this->client->publish($topic, $payload);
    }

    /**
     * Makes the worker forget a topic, e.g. when its session is deleted; also one that it does not
     * know.
     *
     * @param string $topic e.g. `session.42`
     * @return bool whether the worker has done it
     */
    public function unregister_topic($topic): bool
    {
        $topic = $this->begin('unregister_topic', $topic);

        return $topic !== null && $this->client->unregister($topic);
    }

    /**
     * Whether the worker knows a topic. It lists all of its topics for that, so do not ask often.
     *
     * @param string $topic e.g. `dxspots`
     * @return bool FALSE also if the worker cannot be asked
     */
    public function has_topic($topic): bool
    {
        $topic = $this->begin('has_topic', $topic);
        $status = $topic === null ? null : $this->client->status(true);

        return $status !== null && in_array($topic, $status->topicList, true);
    }

    /** Where browsers connect (ws:// or wss://); empty if they are not to. */
    public function client_url(): string
    {
        return $this->is_enabled() ? $this->settings->client_url : '';
    }

    /**
     * A token with which the logged-in user's browser may subscribe to `$topic` and to no other.
     *
     * @param string $topic e.g. `session.42`
     * @param int|null $ttl_seconds above 0; null is `worker_token_expiration`
     * @return string empty if the worker is switched off, and after an error, which is in the log
     */
    public function create_token($topic, $ttl_seconds = null): string
    {
        $topic = $this->begin('create_token', $topic);

        return $topic === null ? '' : $this->client->token($topic, $this->user_id(), $this->ttl($ttl_seconds));
    }

    /**
     * A token of the older form, with the claims user_id, session_id and expires, for the topic
     * `session.$session_id`. The helper `create_worker_token()` (Worker_token) calls it.
     *
     * @param int|string $session_id above 0
     * @param int|null $ttl_seconds above 0; null is `worker_token_expiration`
     * @return string empty if the worker is switched off, and after an error, which is in the log
     */
    public function create_session_token($session_id, $ttl_seconds = null): string
    {
        if ( ! $this->is_enabled()) {
            return '';
        }
        $this->doing = 'create_session_token';
        $id = is_bool($session_id) ? false : filter_var($session_id, FILTER_VALIDATE_INT);
        if ( ! is_int($id) || $id <= 0) {
            $this->log('the id of the session is no whole number above 0, so there is no token for it');
            return '';
        }
        return $this->client->tokenForSession($id, $this->user_id(), $this->ttl($ttl_seconds));
    }

    /**
     * How every worker of `worker_urls` is, asked at once: 0.8 s in all, whatever happens.
     *
     * @return array[] for each in the order of the list: `url` (without credentials), `alive`,
     *     `state` (up, down, slow, forbidden or error), `version`, `active_topics`,
     *     `registered_topics`, `connected_clients`, `connected_sockets`, `uptime` (all null if it is
     *     not alive), `error` (what is wrong and what to do; null if it is alive)
     */
    public function status_all(): array
    {
        if ( ! $this->is_enabled()) {
            return [];
        }
        $this->doing = 'status_all';
        $nodes = [];
        foreach ($this->client->statusAll($this->settings->node_urls) as $node) {
            $status = $node->status;
            $nodes[] = [
                'url' => $node->url,
                'alive' => $status !== null,
                'state' => $node->state,
                'version' => $status === null ? null : $status->version,
                'active_topics' => $status === null ? null : $status->activeTopics,
                'registered_topics' => $status === null ? null : $status->registeredTopics,
                'connected_clients' => $status === null ? null : $status->connectedClients,
                'connected_sockets' => $status === null ? null : $status->connectedSockets,
                'uptime' => $status === null ? null : $status->uptime,
                'error' => $status === null ? $node->error : null,
            ];
        }
        return $nodes;
    }

    /**
     * The same in short, with sums over all workers that are alive.
     *
     * @return array `enabled`, `vip` (null without a load balancer), `nodes_total`, `nodes_alive`,
     *     `active_topics` and `connected_clients` (null if no worker is alive), and `nodes`: for
     *     each `url`, `alive`, `version`, `active_topics`, `connected_clients`, `uptime`
     */
    public function status(): array
    {
        $nodes = $this->status_all();
        $alive = array_filter(array_column($nodes, 'alive'));
        $keys = array_flip(['url', 'alive', 'version', 'active_topics', 'connected_clients', 'uptime']);
        $vip = $this->settings->vip;

        return [
            'enabled' => $this->is_enabled(),
            'vip' => $vip === null ? null : Worker_settings::without_credentials($vip),
            'nodes_total' => count($nodes),
            'nodes_alive' => count($alive),
            'active_topics' => $alive ? array_sum(array_column($nodes, 'active_topics')) : null,
            'connected_clients' => $alive ? array_sum(array_column($nodes, 'connected_clients')) : null,
            'nodes' => array_map(static function (array $node) use ($keys): array {
                return array_intersect_key($node, $keys);
            }, $nodes),
        ];
    }

    /**
     * What is configured, in words for the debug page; without the secret.
     *
     * @return array<string, string> by what it is
     */
    public function describe(): array
    {
        $settings = $this->settings;
        $php = PHP_VERSION . ', libcurl ' . (extension_loaded('curl') ? curl_version()['version'] : 'missing');
        if ( ! $settings->switched_on) {
            return ['Switched on' => 'no; worker_enabled in application/config/worker.php does it', 'PHP' => $php];
        }
        return [
            'Switched on' => 'yes',
            'Calls go to' => $settings->call_urls === [] ? 'nobody' : implode(', then ', array_map(
                [Worker_settings::class, 'without_credentials'],
                $settings->call_urls
            )),
            'Load balancer' => $settings->vip === null ? 'none' : 'yes',
            'Secret' => $settings->secret === '' ? 'not set' : 'set',
            'A call takes at most' => $settings->timeout_seconds . ' s',
            'Browsers connect to' => $settings->client_url === ''
                ? 'nothing; pages have no live updates'
                : Worker_settings::without_credentials($settings->client_url),
            'Tokens are good for' => $settings->token_seconds . ' s',
            'PHP' => $php,
        ];
    }

    /**
     * What is wrong with configuration and installation, and what to do; the log has it, too.
     *
     * @return string[]
     */
    public function problems(): array
    {
        return $this->problems;
    }

    /**
     * A newer application may call what is not here; that is no reason to fail either.
     *
     * @param string $method
     * @param array $arguments
     * @return null
     */
    public function __call($method, $arguments)
    {
        $this->doing = $method;
        $this->log('this library does not have the method that the application calls; look for a newer '
            . 'clients/php/codeigniter3');

        return null;
    }

    /** The settings of worker.php, in its section or, if it is loaded automatically, outside of one. */
    private function read_config(): array
    {
        $CI =& get_instance();
        try {
            $loaded = $CI->config->load('worker', true, true);
        } catch (\Throwable $error) {
            $loaded = false;
        }
        $files = [APPPATH . 'config/worker.php', APPPATH . 'config/' . ENVIRONMENT . '/worker.php'];
        if ( ! $loaded && array_filter($files, 'is_file') !== []) {
            $this->problems[] = 'application/config/worker.php cannot be read as PHP that fills $config; '
                . 'the worker is not called. Compare it with the one of clients/php/codeigniter3.';
        }
        $names = ['worker_enabled', 'worker_url', 'worker_urls', 'worker_vip', 'worker_secret',
            'worker_timeout', 'worker_client_url', 'worker_token_expiration'];
        $raw = [];
        foreach ($names as $name) {
            $raw[$name] = $CI->config->item($name, 'worker') ?? $CI->config->item($name);
        }
        return $raw;
    }

    /** @return \WavelogWorker\QuietClient|null null after a problem */
    private function make_client()
    {
        try {
            if ( ! extension_loaded('curl')) {
                $this->problems[] = "PHP's extension curl is missing; the worker is not called. Install it "
                    . '(Debian: php-curl) and restart PHP.';
                return null;
            }
            $autoload = APPPATH . self::AUTOLOAD;
            if ( ! class_exists(\WavelogWorker\QuietClient::class, false) && is_file($autoload)) {
                require_once $autoload;
            }
            if ( ! class_exists(\WavelogWorker\QuietClient::class)) {
                $this->problems[] = 'the library WavelogWorker is missing; the worker is not called. Copy '
                    . 'src/ and autoload.php of clients/php to application/third_party/wavelog-worker/, '
                    . 'or install wavelog/worker-client with Composer.';
                return null;
            }
            $options = [
                'timeout' => $this->settings->timeout_seconds,
                'substitute_invalid_utf8' => true, // Half a word is better than no event.
            ];
            $made = false;
            $client = new \WavelogWorker\QuietClient(
                $this->settings->call_urls,
                $this->settings->secret,
                $options,
                function (string $message) use (&$made): void {
                    if ($made) {
                        $this->log($message);
                    } else {
                        $this->problems[] = $message;
                    }
                }
            );
            $made = true;
            return $client->isEnabled() ? $client : null;
        } catch (\Throwable $error) {
            $this->problems[] = 'the library WavelogWorker cannot be used; the worker is not called. Copy it '
                . 'again, whole. ' . get_class($error) . ': ' . $error->getMessage();
            return null;
        }
    }

    /**
     * `$topic` as text; null if nothing is to be done, because there is no worker or no topic.
     *
     * @param mixed $topic
     */
    private function begin(string $method, $topic): ?string
    {
        if ( ! $this->is_enabled()) {
            return null;
        }
        $this->doing = $method;
        if (( ! is_string($topic) && ! is_int($topic)) || $topic === '') {
            $this->log('there is no topic to do it with; nothing was done');
            return null;
        }
        $this->doing .= ' ' . substr((string) preg_replace('/[^\x20-\x7e]/', '?', (string) $topic), 0, 80);

        return (string) $topic;
    }

    /** The operator of a club's account, else the user; 0 if nobody is logged in. */
    private function user_id(): int
    {
        $CI =& get_instance();
        if ( ! isset($CI->session)) {
            return 0;
        }
        return (int) ($CI->session->userdata('source_uid') ?: $CI->session->userdata('user_id'));
    }

    /**
     * `$seconds`, or what is configured if that is null or nonsense.
     *
     * @param mixed $seconds
     */
    private function ttl($seconds): int
    {
        if (is_numeric($seconds) && (int) $seconds > 0) {
            return (int) $seconds;
        }
        if ($seconds !== null) {
            $this->log('a token cannot be good for no time; this one is good for '
                . $this->settings->token_seconds . ' s');
        }
        return $this->settings->token_seconds;
    }

    /** One line, whatever is in it: words of cURL and of servers may have ends of lines. */
    private function log(string $message): void
    {
        $prefix = strncmp($message, 'wavelog_worker: ', 16) === 0 ? '' : 'wavelog_worker: ';
        $suffix = $this->doing === '' ? '' : ' [' . $this->doing . ']';
        log_message('error', preg_replace('/[\x00-\x1f\x7f]+/', ' ', $prefix . $message . $suffix));
    }
}
