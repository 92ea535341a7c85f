<?php
declare(strict_types=1);

namespace WavelogWorker;

use InvalidArgumentException;

/**
 * Where a node listens for PHP: `http://127.0.0.1:9001`, or `https://` with a proxy in between.
 *
 * @internal
 */
final class Url
{
    private string $base;
    private string $shown;

    /** @throws InvalidArgumentException */
    public function __construct(string $url)
    {
        $parts = parse_url(trim($url));
        $scheme = strtolower($parts['scheme'] ?? '');
        if (($scheme !== 'http' && $scheme !== 'https') || ($parts['host'] ?? '') === ''
            || isset($parts['query']) || isset($parts['fragment']) || preg_match('/[\s\x00-\x1f]/', trim($url))
        ) {
            // The text itself is not shown: it may hold a password.
            throw new InvalidArgumentException(
                'a URL of the worker is not usable: write it like http://127.0.0.1:9001'
            );
        }
        $this->base = rtrim(trim($url), '/');
        $port = isset($parts['port']) ? ":{$parts['port']}" : '';
        $this->shown = "$scheme://{$parts['host']}$port" . rtrim($parts['path'] ?? '', '/');
    }

    /**
     * The URLs of a configuration, each once.
     *
     * @param mixed $urls a string or a list of strings
     *
     * @return self[] not empty
     *
     * @throws InvalidArgumentException
     */
    public static function list($urls): array
    {
        $list = [];
        foreach (is_array($urls) ? $urls : [$urls] as $url) {
            if (!is_string($url)) {
                throw new InvalidArgumentException(
                    'the URLs of the worker have to be a string or a list of strings'
                );
            }
            $checked = new self($url);
            $list[$checked->base] = $checked;
        }
        if ($list === []) {
            throw new InvalidArgumentException(
                'there is no URL of the worker: give at least one, like http://127.0.0.1:9001'
            );
        }
        return array_values($list);
    }

    /** For cURL, with the user and password if there are some; without a slash at the end. */
    public function base(): string
    {
        return $this->base;
    }

    /** For messages and logs: without user and password. */
    public function shown(): string
    {
        return $this->shown;
    }

    /** @return array<string, string> what var_dump() may show */
    public function __debugInfo(): array
    {
        return ['url' => $this->shown];
    }
}
