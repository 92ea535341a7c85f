<?php
/**
 * The settings of application/config/worker.php, checked: what the drop-in uses, and what is wrong.
 *
 * It knows nothing of CodeIgniter and of the worker: it takes an array and never fails. A value
 * that makes no sense is replaced by its default or left out, and `problems` says so in words for
 * the administrator, without the secret. Start reading at the constructor.
 */

declare(strict_types=1);

defined('BASEPATH') OR exit('No direct script access allowed');

final class Worker_settings
{
    public const DEFAULT_TIMEOUT_SECONDS = 1.0;
    public const DEFAULT_TOKEN_SECONDS = 86400;
    public const MIN_TIMEOUT_SECONDS = 0.001;
    /** More than this is taken for milliseconds. */
    public const MAX_TIMEOUT_SECONDS = 30;
    /** A worker does not start with less. */
    public const MIN_SECRET_BYTES = 32;

    private const FILE = 'application/config/worker.php';

    /** Whether it is switched on and has all that a call needs. */
    public bool $enabled = false;

    /** Whether `worker_enabled` is on, whatever else is missing. */
    public bool $switched_on = false;

    /** @var string[] Base URLs that calls go to, in this order, without a slash at the end. */
    public array $call_urls = [];

    /** @var string[] Base URLs of the nodes whose status is asked. */
    public array $node_urls = [];

    /** Base URL of the load balancer in front of the nodes, or null. */
    public ?string $vip = null;

    public string $secret = '';

    /** Seconds that a call may take in all. */
    public float $timeout_seconds = self::DEFAULT_TIMEOUT_SECONDS;

    /** ws:// or wss:// address for browsers; empty if they are not to connect. */
    public string $client_url = '';

    /** Seconds for which a token is good; above 0. */
    public int $token_seconds = self::DEFAULT_TOKEN_SECONDS;

    /** @var string[] What is wrong with the file, what is used instead, what to do. No secret. */
    public array $problems = [];

    /** @param array $raw what the file says, by the names of the settings; null is "not set" */
    public function __construct(array $raw)
    {
        $this->switched_on = $this->read_switch($raw['worker_enabled'] ?? null);
        if ( ! $this->switched_on) {
            return; // What is not used needs no complaint.
        }
        $this->read_urls($raw);
        $this->secret = $this->read_secret($raw['worker_secret'] ?? null);
        $this->timeout_seconds = $this->read_timeout($raw['worker_timeout'] ?? null);
        $this->client_url = $this->read_client_url($raw['worker_client_url'] ?? null);
        $this->token_seconds = $this->read_token_seconds($raw['worker_token_expiration'] ?? null);

        $this->enabled = $this->call_urls !== [] && $this->secret !== '';
    }

    /** Hides the secret from var_dump() and print_r(). */
    public function __debugInfo(): array
    {
        return ['secret' => $this->secret === '' ? '' : '(hidden)'] + get_object_vars($this);
    }

    /** `$url` without the user and password that it may carry. */
    public static function without_credentials(string $url): string
    {
        return (string) preg_replace('#//[^/?\#]*@#', '//', $url);
    }

    /** @param mixed $value */
    private function read_switch($value): bool
    {
        if ($value === null) {
            return false;
        }
        $on = is_scalar($value) ? filter_var($value, FILTER_VALIDATE_BOOLEAN, FILTER_NULL_ON_FAILURE) : null;
        if ($on === null) {
            $this->problem('worker_enabled is neither TRUE nor FALSE; FALSE is used');
        }
        return (bool) $on;
    }

    private function read_urls(array $raw): void
    {
        $one = $this->url($raw['worker_url'] ?? null, 'worker_url');
        if ($one !== null) {
            $this->call_urls = $this->node_urls = [$one];
            return;
        }

        $this->vip = $this->url($raw['worker_vip'] ?? null, 'worker_vip');
        $list = $raw['worker_urls'] ?? [];
        if (is_string($list)) {
            $list = [$list]; // One address without the brackets around it.
        } elseif ( ! is_array($list)) {
            $list = [$list]; // No address either, and named as such.
        }
        foreach ($list as $value) {
            $url = $this->url($value, 'worker_urls');
            if ($url !== null && ! in_array($url, $this->node_urls, true)) {
                $this->node_urls[] = $url;
            }
        }
        if ($this->vip !== null) {
            $this->call_urls = [$this->vip];
            $this->node_urls = $this->node_urls ?: [$this->vip];
        } else {
            $this->call_urls = $this->node_urls;
        }
        if ($this->call_urls === []) {
            $this->problem('worker_enabled is TRUE, but there is no address of a worker; the worker is '
                . "not called. Write worker_urls = ['http://127.0.0.1:9001']");
        }
    }

    /**
     * The base URL in `$value`, or null if there is none.
     *
     * @param mixed $value
     */
    private function url($value, string $setting): ?string
    {
        if ($value === null || $value === false || $value === '') {
            return null;
        }
        $url = is_string($value) ? rtrim(trim($value), '/') : '';
        if ( ! $this->is_address($url, ['http', 'https'])) {
            $this->problem($setting . ' has ' . $this->show($value) . ', which is no http:// or https:// '
                . 'address and is left out; write e.g. http://127.0.0.1:9001');
            return null;
        }
        return $url;
    }

    /** @param mixed $value */
    private function read_secret($value): string
    {
        if ($value === null || $value === false || $value === '') {
            $this->problem('worker_enabled is TRUE, but worker_secret is empty; the worker is not called. '
                . "Write the same as worker_secret in the worker's config.yaml");
            return '';
        }
        // An end of line cannot be sent in a header, and white space around a header's value does
        // not count there, but does where a token is signed.
        if ( ! is_string($value) || trim($value) !== $value || preg_match('/[\x00-\x1f\x7f]/', $value)) {
            $this->problem('worker_secret is no text, or has white space around it or an end of line in '
                . "it; the worker is not called. Write it exactly as in the worker's config.yaml");
            return '';
        }
        if (strlen($value) < self::MIN_SECRET_BYTES) {
            $this->problem('worker_secret has less than ' . self::MIN_SECRET_BYTES . ' characters; the worker '
                . "is not called. Write the same as worker_secret in the worker's config.yaml");
            return '';
        }
        return $value;
    }

    /** @param mixed $value */
    private function read_timeout($value): float
    {
        if ($value === null || $value === '') {
            return self::DEFAULT_TIMEOUT_SECONDS;
        }
        $seconds = is_numeric($value) ? (float) $value : 0.0;
        if ( ! ($seconds >= self::MIN_TIMEOUT_SECONDS && $seconds <= self::MAX_TIMEOUT_SECONDS)) {
            $this->problem('worker_timeout is ' . $this->show($value) . ', which is not between '
                . self::MIN_TIMEOUT_SECONDS . ' and ' . self::MAX_TIMEOUT_SECONDS . ' seconds; 1.0 is used');
            return self::DEFAULT_TIMEOUT_SECONDS;
        }
        return $seconds;
    }

    /** @param mixed $value */
    private function read_client_url($value): string
    {
        if ($value === null || $value === false || $value === '') {
            return '';
        }
        $url = is_string($value) ? trim($value) : '';
        if ( ! $this->is_address($url, ['ws', 'wss'])) {
            $this->problem('worker_client_url is ' . $this->show($value) . ', which is no ws:// or wss:// '
                . 'address; browsers get no live updates. Write e.g. ws://127.0.0.1:9000');
            return '';
        }
        return $url;
    }

    /** @param mixed $value */
    private function read_token_seconds($value): int
    {
        if ($value === null) {
            return self::DEFAULT_TOKEN_SECONDS;
        }
        $seconds = is_bool($value) ? false : filter_var($value, FILTER_VALIDATE_INT);
        if ( ! is_int($seconds) || $seconds <= 0) {
            $this->problem('worker_token_expiration is ' . $this->show($value) . ', which is no whole '
                . 'number of seconds above 0; ' . self::DEFAULT_TOKEN_SECONDS . ' is used');
            return self::DEFAULT_TOKEN_SECONDS;
        }
        return $seconds;
    }

    /** @param string[] $schemes */
    private function is_address(string $url, array $schemes): bool
    {
        $parts = preg_match('/[\x00-\x20\x7f]/', $url) ? false : parse_url($url);
        return is_array($parts)
            && in_array(strtolower($parts['scheme'] ?? ''), $schemes, true)
            && ($parts['host'] ?? '') !== ''
            && ! isset($parts['query']) && ! isset($parts['fragment']); // A path comes behind it.
    }

    /**
     * `$value` for the log: on one line, short, without credentials.
     *
     * @param mixed $value
     */
    private function show($value): string
    {
        if ( ! is_scalar($value)) {
            return 'a value of type ' . gettype($value);
        }
        $text = is_string($value) ? $value : var_export($value, true);
        // All before the last @: a password with a slash in it is why some addresses are none.
        $text = (string) preg_replace('#^([a-z]*:?/*).*@#is', '$1', $text);
        $text = (string) preg_replace('/[^\x20-\x7e]/', '?', $text);
        return '"' . (strlen($text) > 60 ? substr($text, 0, 60) . '...' : $text) . '"';
    }

    private function problem(string $what): void
    {
        $this->problems[] = self::FILE . ': ' . $what . '.';
    }
}
