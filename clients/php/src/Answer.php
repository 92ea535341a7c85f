<?php
declare(strict_types=1);

namespace WavelogWorker;

use WavelogWorker\Exception\BadRequestException;
use WavelogWorker\Exception\BusyException;
use WavelogWorker\Exception\ForbiddenException;
use WavelogWorker\Exception\UnexpectedAnswerException;
use WavelogWorker\Exception\WorkerException;

/**
 * What a node answered, and what that means: docs/protocol.md, "Internal API".
 *
 * @internal
 */
final class Answer
{
    private Url $url;
    private int $status;
    private string $body;

    public function __construct(Url $url, int $status, string $body)
    {
        $this->url = $url;
        $this->status = $status;
        $this->body = $body;
    }

    /** Of the node, for messages. */
    public function url(): string
    {
        return $this->url->shown();
    }

    public function isNotFound(): bool
    {
        return $this->status === 404;
    }

    /**
     * The call was carried out.
     *
     * @throws WorkerException it was not
     */
    public function done(): void
    {
        $this->succeeded();
        // Success has no body. A web site that says 200 to everything has one.
        if ($this->body !== '' && $this->body[0] !== '{') {
            throw $this->unexpected();
        }
    }

    /** @throws WorkerException */
    public function status(): Status
    {
        $document = $this->object();
        if (!is_string($document['status'] ?? null)) {
            throw $this->unexpected();
        }
        return new Status($document);
    }

    /**
     * The JSON object that was asked for.
     *
     * @return array<string, mixed>
     *
     * @throws WorkerException
     */
    public function object(): array
    {
        $this->succeeded();
        $value = json_decode($this->body, true);
        if (!is_array($value) || substr($this->body, 0, 1) !== '{') {
            throw $this->unexpected();
        }
        return $value;
    }

    private function succeeded(): void
    {
        switch ($this->status) {
            case 200:
                return;
            case 400:
                throw new BadRequestException(
                    "{$this->url()} could not read the call ({$this->words()}): a message may have 1 MiB"
                );
            case 403:
                throw new ForbiddenException(
                    "{$this->url()} refused the secret: PHP's and worker_secret in the worker's"
                    . ' config.yaml (or WORKER_SECRET in its environment) have to be the same'
                );
            case 503:
                throw new BusyException(
                    "{$this->url()} has no room for the event now ({$this->words()}): nobody got it,"
                    . ' try again later'
                );
            default:
                throw $this->unexpected();
        }
    }

    private function unexpected(): UnexpectedAnswerException
    {
        return new UnexpectedAnswerException(
            "{$this->url()} answered $this->status ({$this->words()}), which is not what a worker says:"
            . ' is this the internal_port of the worker, and not another server?'
        );
    }

    /** The beginning of the answer as printable text. */
    private function words(): string
    {
        $words = preg_replace('/[^\x20-\x7e]+/', ' ', substr($this->body, 0, 80));
        return trim((string) $words) === '' ? 'nothing more' : trim((string) $words);
    }
}
