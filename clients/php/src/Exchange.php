<?php
declare(strict_types=1);

namespace WavelogWorker;

/**
 * What one request sends and gets, as cURL asks for it. The body is given once and never again.
 *
 * @internal
 */
final class Exchange
{
    /** No answer of a worker comes near it; what sends more is something else. */
    private const MOST_ANSWER_BYTES = 16 * 1024 * 1024;

    private ?string $body;
    private int $given = 0;
    private string $answer = '';

    /** @param string|null $body null is none */
    public function __construct(?string $body)
    {
        $this->body = $body;
    }

    public function bytes(): ?int
    {
        return $this->body === null ? null : strlen($this->body);
    }

    /** Whether some of the body was given away, so that it may have been sent. */
    public function hasBegun(): bool
    {
        return $this->given > 0;
    }

    public function answer(): string
    {
        return $this->answer;
    }

    /**
     * CURLOPT_READFUNCTION
     *
     * @param \CurlHandle|resource $handle
     * @param resource|null $file
     */
    public function read($handle, $file, int $most): string
    {
        $part = substr((string) $this->body, $this->given, $most);
        $this->given += strlen($part);
        return $part;
    }

    /**
     * CURLOPT_WRITEFUNCTION
     *
     * @param \CurlHandle|resource $handle
     */
    public function write($handle, string $part): int
    {
        if (strlen($this->answer) + strlen($part) > self::MOST_ANSWER_BYTES) {
            return 0; // Anything but the length ends the transfer.
        }
        $this->answer .= $part;
        return strlen($part);
    }
}
