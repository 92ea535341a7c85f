<?php
declare(strict_types=1);

use WavelogWorker\Exception\BadRequestException;
use WavelogWorker\Exception\PayloadException;
use WavelogWorker\Exception\PublishManyException;

/** The verbs against a real worker that is well. */
final class ClientTest extends WorkerTestCase
{
    public function testWhatIsPublishedReachesTheBrowser(): void
    {
        $client = $this->client();
        $client->register('session.42');
        $browser = $this->browser($client, 'session.42');

        $client->publish('session.42', ['event' => 'qso', 'call' => 'DL1ABC/p']);

        $this->assertSame('{"type":"push","payload":{"event":"qso","call":"DL1ABC/p"}}', $browser->next());
    }

    public static function payloads(): array
    {
        $object = new class () implements JsonSerializable {
            public function jsonSerialize(): array
            {
                return ['of' => 'an object'];
            }
        };
        return [
            'null' => [null, 'null'],
            'true' => [true, 'true'],
            'an integer' => [PHP_INT_MAX, (string) PHP_INT_MAX],
            'a fraction' => [14.074, '14.074'],
            'a fraction of zero' => [14.0, '14.0'],
            'text' => ['a/b "c" <d>', '"a/b \"c\" <d>"'],
            'an empty text' => ['', '""'],
            'letters of all kinds' => ['Grüße 😀', '"Grüße 😀"'],
            'separators of lines, which JavaScript once choked on' => ["\u{2028}", '"\u2028"'],
            'a list' => [[1, [2, []]], '[1,[2,[]]]'],
            'a map' => [['a' => ['b' => null]], '{"a":{"b":null}}'],
            'an empty object' => [new stdClass(), '{}'],
            'an object that says what it is' => [$object, '{"of":"an object"}'],
        ];
    }

    /**
     * @dataProvider payloads
     *
     * @param mixed $payload
     */
    public function testAPayloadIsAnythingThatIsJson($payload, string $json): void
    {
        $client = $this->client();
        $client->register('session.42');
        $browser = $this->browser($client, 'session.42');

        $client->publish('session.42', $payload);

        $this->assertSame('{"type":"push","payload":' . $json . '}', $browser->next());
    }

    public function testABigPayloadArrivesWholeAndATooBigOneIsRefused(): void
    {
        $client = $this->client();
        $client->register('session.42');
        $browser = $this->browser($client, 'session.42');
        $big = str_repeat('x', 1000 * 1000);

        $client->publish('session.42', $big);
        $failure = $this->thrown(BadRequestException::class, function () use ($client, $big): void {
            $client->publish('session.42', $big . $big);
        });

        $this->assertSame(['type' => 'push', 'payload' => $big], $browser->nextMessage());
        $this->assertStringContainsString('1 MiB', $failure->getMessage());
    }

    public function testATopicIsAnyTextThatIsNotEmpty(): void
    {
        $client = $this->client();
        $client->register('raum ä/😀?&"');
        $browser = $this->browser($client, 'raum ä/😀?&"');

        $client->publish('raum ä/😀?&"', 1);

        $this->assertSame('{"type":"push","payload":1}', $browser->next());
        foreach (['register', 'unregister', 'publish', 'token'] as $verb) {
            $this->thrown(InvalidArgumentException::class, static function () use ($client, $verb): void {
                $arguments = ['register' => [], 'unregister' => [], 'publish' => [1], 'token' => [1, 1]];
                $client->$verb('', ...$arguments[$verb]);
            });
        }
    }

    public function testAnOpenTopicNeedsNoTokenAndAnyOtherDoes(): void
    {
        $client = $this->client();
        $client->register('open', false);
        $client->register('closed');

        $open = new Browser($this->worker()->ws, 'open', '');
        $closed = new Browser($this->worker()->ws, 'closed', '');

        $this->assertSame('{"type":"auth_ok"}', $open->next());
        $this->assertSame('auth_required', $closed->nextMessage()['code']);
    }

    public function testATopicThatTheWorkerForgotIsRegisteredAgainAndTheEventArrivesOnce(): void
    {
        $client = $this->client();
        $client->register('session.42');
        $browser = $this->browser($client, 'session.42');
        $client->unregister('session.42');

        $client->publish('session.42', 1);
        $client->publish('session.42', 2);

        $this->assertSame('{"type":"push","payload":1}', $browser->next());
        $this->assertSame('{"type":"push","payload":2}', $browser->next());
    }

    public function testATopicIsRegisteredAgainWithTheFlagThatItHadHere(): void
    {
        $client = $this->client();
        $client->register('open', false);
        $client->register('changed', false);
        $client->register('changed', true);
        $other = $this->client();
        $client->register('gone', false);
        $client->unregister('gone');
        foreach (['open', 'changed', 'never', 'gone'] as $topic) {
            $other->unregister($topic);
            $client->publish($topic, 1);
        }

        $answers = [];
        foreach (['open', 'changed', 'never', 'gone'] as $topic) {
            $answers[$topic] = (new Browser($this->worker()->ws, $topic, ''))->nextMessage();
        }

        $this->assertSame('auth_ok', $answers['open']['type']);
        $this->assertSame('auth_required', $answers['changed']['code']);
        $this->assertSame('auth_required', $answers['never']['code']);
        $this->assertSame('auth_required', $answers['gone']['code']);
    }

    public function testManyArePublishedInOrderOverOneConnection(): void
    {
        $client = $this->client(['timeout' => 5]);
        $client->register('session.42');
        $browser = $this->browser($client, 'session.42');
        $messages = (static function (): Generator {
            for ($n = 0; $n < 200; $n++) {
                yield ['session.42', $n];
            }
        })();

        $client->publishMany($messages);

        for ($n = 0; $n < 200; $n++) {
            $this->assertSame(['type' => 'push', 'payload' => $n], $browser->nextMessage());
        }
    }

    public function testOfManyTheBadOnesAreNamedAndTheOthersArrive(): void
    {
        $client = $this->client();
        $client->register('session.42');
        $browser = $this->browser($client, 'session.42');

        $failure = $this->thrown(PublishManyException::class, static function () use ($client): void {
            $client->publishMany([
                ['session.42', 'a'],
                ['session.42', "\xff"],
                ['session.42', 'b'],
                ['session.42', str_repeat('x', 2000000)],
                ['session.42', 'c'],
            ]);
        });

        $this->assertSame([1, 3], array_keys($failure->failures()));
        $this->assertInstanceOf(PayloadException::class, $failure->failures()[1]);
        $this->assertInstanceOf(BadRequestException::class, $failure->failures()[3]);
        $this->assertStringContainsString('2 of 5 messages', $failure->getMessage());
        foreach (['a', 'b', 'c'] as $payload) {
            $this->assertSame(['type' => 'push', 'payload' => $payload], $browser->nextMessage());
        }
    }

    public static function noPairs(): array
    {
        return [
            'a topic alone' => [['session.42']],
            'a map' => [['topic' => 'session.42', 'payload' => 1]],
            'three of them' => [['session.42', 1, 2]],
            'a topic that is a number' => [[42, 1]],
            'text' => ['session.42'],
            'an empty topic' => [['', 1]],
        ];
    }

    /**
     * @dataProvider noPairs
     *
     * @param mixed $message
     */
    public function testOfManyNothingIsSentIfOneIsNoPair($message): void
    {
        $client = $this->client();
        $client->register('session.42');

        $this->thrown(InvalidArgumentException::class, static function () use ($client, $message): void {
            $client->publishMany([['session.42', 1], $message]);
        });

        $this->assertSame(0, $client->status()->counters['publishes']);
    }

    public function testTheStatusIsReadWithItsFields(): void
    {
        $client = $this->client();
        $client->register('session.42');
        $browsers = [$this->browser($client, 'session.42'), $this->browser($client, 'session.42')];
        $client->publish('session.42', 1);

        $status = $client->status(true);

        $this->assertCount(2, $browsers);
        $this->assertSame('ok', $status->status);
        $this->assertStringStartsWith('wavelog_worker', $status->implementation);
        $this->assertSame("{$status->uptimeSeconds}s", $status->uptime);
        $this->assertSame([2, 1], [$status->registeredTopics, $status->activeTopics]);
        $this->assertSame([1, 2], [$status->connectedClients, $status->connectedSockets]);
        $this->assertSame(['session.42'], $status->activeTopicList);
        $this->assertEqualsCanonicalizing(['session.42', 'worker.status'], $status->topicList);
        $this->assertSame(-1, $status->clusterNodes);
        $this->assertSame([null, null, null], [$status->degraded, $status->redis, $status->waitingForRedisBytes]);
        $this->assertSame(2, $status->counters['deliveries']);
        $this->assertSame($status->version, $status->raw['version']);
        $this->assertSame([], $client->status()->topicList);
    }

    public function testTheNodesOfTheClusterAreShown(): void
    {
        $nodes = $this->client()->nodes();

        $this->assertNull($nodes['redis']);
        $this->assertTrue($nodes['nodes'][0]['self']);
    }

    public function testOneConnectionIsKeptForAllCalls(): void
    {
        $node = $this->scripted(ScriptedNode::DONE);
        $client = $this->clientOf([$node->url]);

        $client->register('a');
        $client->publish('a', 1);
        $client->unregister('a');

        $this->assertSame(['/internal/register', '/internal/publish', '/internal/unregister'], $node->paths());
        $this->assertSame([1, 1, 1], array_column($node->requests(), 'connection'));
    }

    /** A proxy in between may be about to end it, in the very moment in which a request is sent. */
    public function testAConnectionThatWasNotUsedForSomeSecondsIsGivenUp(): void
    {
        $node = $this->scripted(ScriptedNode::DONE);
        $client = $this->clientOf([$node->url]);
        $client->register('a');
        $age = function (): void {
            $this->lastUsed -= 10.0; // In place of waiting.
        };
        $ofTransport = function () use ($age): void {
            $age->call($this->connection);
        };
        (function () use ($ofTransport): void {
            $ofTransport->call($this->transport);
        })->call($client);

        $client->publish('a', 1);
        $client->publish('a', 2);

        $this->assertSame([1, 2, 2], array_column($node->requests(), 'connection'));
    }
}
