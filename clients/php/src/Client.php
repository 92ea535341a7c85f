<?php
declare(strict_types=1);

namespace WavelogWorker;

use InvalidArgumentException;
use WavelogWorker\Exception\PublishManyException;
use WavelogWorker\Exception\TopicNotRegisteredException;
use WavelogWorker\Exception\WorkerException;

/**
 * The verbs of a worker: register a topic, publish to it, mint the tokens that let browsers in.
 *
 * Every call throws a {@see WorkerException} when it fails, and takes at most `timeout` seconds,
 * whatever the worker does. {@see QuietClient} is the same without exceptions. Keep one object for
 * as long as the page runs: it keeps its connection.
 *
 * It knows what is called and in which order. How a call reaches a node is {@see Transport}, what
 * an answer means is {@see Answer}.
 */
final class Client
{
    private Transport $transport;
    private Secret $secret;
    private Options $options;
    /** @var array<string, true> topics that were registered here and need no token */
    private array $openTopics = [];

    /**
     * @param string|string[] $urls where the worker listens for PHP (`internal_port`), such as
     *     `http://127.0.0.1:9001`; of several nodes the first is always tried first, and the next
     *     one only when no connection came about
     * @param string $secret `worker_secret` of the worker's configuration, at least 32 bytes
     * @param array<string, mixed> $options {@see Options} has them all
     *
     * @throws InvalidArgumentException an argument is of no use; the message says what to do
     */
    public function __construct(
        $urls,
        #[\SensitiveParameter]
        string $secret,
        array $options = []
    ) {
        $kept = Secret::take($secret);
        $this->options = new Options($options);
        $this->secret = new Secret($kept);
        $this->transport = new Transport(Url::list($urls), $this->secret, $this->options);
    }

    /**
     * Makes a topic known to the worker, for `topic_ttl` of its configuration (24 hours).
     *
     * Do it at every page load: it costs next to nothing and renews the time. The last
     * registration decides whether browsers need a token.
     *
     * @param bool $requireToken whether a browser needs a token of {@see token()} to subscribe
     *
     * @throws WorkerException
     */
    public function register(string $topic, bool $requireToken = true): void
    {
        $this->registerUntil($this->deadline(), $topic, $requireToken);
    }

    /**
     * Makes the worker forget a topic. Browsers that are subscribed stay so.
     *
     * @throws WorkerException
     */
    public function unregister(string $topic): void
    {
        $body = Json::encode(['topic' => self::checked($topic)], $this->options);
        $this->transport->post('/internal/unregister', $body, $this->deadline())->done();
        unset($this->openTopics[$topic]);
    }

    /**
     * Sends an event to every browser that is subscribed to the topic.
     *
     * If the worker does not know the topic (it was restarted), the topic is registered again, with
     * the flag that it was registered with here, else so that browsers need a token; and then the
     * event is published once more.
     *
     * @param mixed $payload anything that json_encode() takes; browsers get the JSON
     *
     * @throws WorkerException
     */
    public function publish(string $topic, $payload): void
    {
        $this->publishUntil($this->deadline(), $topic, $payload);
    }

    /**
     * Publishes many events, in their order and over one connection, in `timeout` seconds together.
     *
     * A message that fails does not keep the others back. When the time is over, or no node can
     * be reached, the rest fail at once.
     *
     * @param iterable<array{0: string, 1: mixed}> $messages pairs of topic and payload
     *
     * @throws PublishManyException some were not published; it says which, and why
     * @throws InvalidArgumentException a message is no pair of topic and payload; nothing was sent
     */
    public function publishMany(iterable $messages): void
    {
        $pairs = [];
        foreach ($messages as $message) {
            if (!is_array($message) || array_keys($message) !== [0, 1] || !is_string($message[0])) {
                $place = count($pairs);
                throw new InvalidArgumentException(
                    "message $place is no pair: write each as [\$topic, \$payload]"
                );
            }
            $pairs[] = [self::checked($message[0]), $message[1]];
        }

        $deadline = $this->deadline();
        $failures = [];
        foreach ($pairs as $place => [$topic, $payload]) {
            try {
                $this->publishUntil($deadline, $topic, $payload);
            } catch (WorkerException $failure) {
                $failures[$place] = $failure;
            }
        }
        if ($failures !== []) {
            throw new PublishManyException($failures, count($pairs));
        }
    }

    /**
     * What the first node that can be reached says about itself.
     *
     * @param bool $topics whether to list the topics as well; with many topics that is much
     *
     * @throws WorkerException
     */
    public function status(bool $topics = false): Status
    {
        $path = Survey::STATUS_PATH . ($topics ? '&topics=1' : '');
        return $this->transport->get($path, $this->deadline())->status();
    }

    /**
     * Asks every node at the same time; 300 ms to connect, 800 ms in all. Never throws because of
     * a node: each entry says what became of it.
     *
     * @param string|string[]|null $urls other nodes than this client's
     *
     * @return NodeStatus[] one for each URL, in their order
     */
    public function statusAll($urls = null): array
    {
        $asked = $urls === null ? $this->transport->urls() : Url::list($urls);
        return (new Survey($this->secret))->ask($asked);
    }

    /**
     * What the first node that can be reached knows of its cluster: `redis` and `nodes`, as
     * docs/protocol.md has it under "Nodes". The Go worker does not have this call.
     *
     * @return array<string, mixed>
     *
     * @throws WorkerException
     */
    public function nodes(): array
    {
        return $this->transport->get('/internal/nodes', $this->deadline())->object();
    }

    /**
     * The token with which a user's browser may subscribe to a topic. No worker is asked.
     *
     * @param int $userId above 0; 0 is nobody in particular
     * @param int $ttl seconds for which it is good, above 0; a connection outlives its token
     *
     * @throws InvalidArgumentException
     */
    public function token(string $topic, int $userId, int $ttl): string
    {
        return Token::forTopic($this->secret, $topic, $userId, Token::expires(time(), $ttl));
    }

    /**
     * The older form of a token, for the topic `session.N` and no other.
     *
     * @param int $sessionId N, above 0
     * @param int $userId above 0; 0 is nobody in particular
     * @param int $ttl seconds for which it is good, above 0
     *
     * @throws InvalidArgumentException
     */
    public function tokenForSession(int $sessionId, int $userId, int $ttl): string
    {
        return Token::forSession($this->secret, $sessionId, $userId, Token::expires(time(), $ttl));
    }

    /** @throws WorkerException */
    private function registerUntil(Deadline $deadline, string $topic, bool $requireToken): void
    {
        $fields = ['topic' => self::checked($topic), 'meta' => ['require_token' => $requireToken]];
        $body = Json::encode($fields, $this->options);
        $this->transport->post('/internal/register', $body, $deadline)->done();
        if ($requireToken) {
            unset($this->openTopics[$topic]);
        } else {
            $this->openTopics[$topic] = true;
        }
    }

    /**
     * @param mixed $payload
     *
     * @throws WorkerException
     */
    private function publishUntil(Deadline $deadline, string $topic, $payload): void
    {
        $fields = ['topic' => self::checked($topic), 'payload' => $payload];
        $body = Json::encode($fields, $this->options);
        $answer = $this->transport->post('/internal/publish', $body, $deadline);
        if ($answer->isNotFound()) {
            $this->registerUntil($deadline, $topic, !isset($this->openTopics[$topic]));
            $answer = $this->transport->post('/internal/publish', $body, $deadline);
            if ($answer->isNotFound()) {
                throw new TopicNotRegisteredException(
                    $answer->url() . ' does not know the topic, though it was registered a moment'
                    . ' ago: does something unregister it, or does the URL lead to several nodes'
                    . ' that do not share a Redis?'
                );
            }
        }
        $answer->done();
    }

    private function deadline(): Deadline
    {
        return new Deadline($this->options->timeout);
    }

    /** @throws InvalidArgumentException */
    private static function checked(string $topic): string
    {
        if ($topic === '') {
            throw new InvalidArgumentException('the topic is empty: give it a name like session.42');
        }
        return $topic;
    }
}
