<?php
declare(strict_types=1);

use WavelogWorker\QuietClient;

/** The wrapper for pages that have to work without the worker. */
final class QuietClientTest extends WorkerTestCase
{
    /** @var string[] */
    private $lines = [];

    /**
     * @param mixed $urls
     * @param mixed $secret
     */
    private function quiet($urls, $secret, array $options = []): QuietClient
    {
        return new QuietClient($urls, $secret, $options, function (string $line): void {
            $this->lines[] = $line;
        });
    }

    /** What every verb answers. */
    private function answers(QuietClient $client): array
    {
        return [
            $client->register('session.42'),
            $client->publish('session.42', 1),
            $client->publishMany([['session.42', 1]]),
            $client->unregister('session.42'),
            $client->status(),
            $client->nodes(),
        ];
    }

    public function testItDoesWhatTheClientDoes(): void
    {
        $quiet = $this->quiet($this->worker()->internal, $this->worker()->secret);

        $this->assertTrue($quiet->isEnabled());
        $this->assertTrue($quiet->register('session.42'));
        $browser = new Browser($this->worker()->ws, 'session.42', $quiet->token('session.42', 1, 60));
        $other = new Browser($this->worker()->ws, 'session.42', $quiet->tokenForSession(42, 1, 60));
        $this->assertSame(['{"type":"auth_ok"}', '{"type":"auth_ok"}'], [$browser->next(), $other->next()]);
        $this->assertTrue($quiet->publish('session.42', 1));
        $this->assertTrue($quiet->publishMany([['session.42', 2], ['session.42', 3]]));
        foreach ([1, 2, 3] as $payload) {
            $this->assertSame(['type' => 'push', 'payload' => $payload], $browser->nextMessage());
        }
        $this->assertSame(2, $quiet->status()->connectedSockets);
        $this->assertSame(['up'], array_column($quiet->statusAll(), 'state'));
        $this->assertCount(1, $quiet->nodes()['nodes']);
        $this->assertTrue($quiet->unregister('session.42'));
        $this->assertSame([], $this->lines);
    }

    public static function unconfigured(): array
    {
        return [
            'no URLs' => [[], str_repeat('s', 32)],
            'an empty URL' => ['', str_repeat('s', 32)],
            'empty URLs' => [['', null], str_repeat('s', 32)],
            'null' => [null, null],
            'no secret' => ['http://127.0.0.1:9001', ''],
            'variables that are not set, as getenv() has it' => [false, false],
            'a URL that is not set' => [false, str_repeat('s', 32)],
            'a secret that is not set' => ['http://127.0.0.1:9001', false],
        ];
    }

    /**
     * @dataProvider unconfigured
     *
     * @param mixed $urls
     * @param mixed $secret
     */
    public function testUnconfiguredItDoesNothingAndSaysNothing($urls, $secret): void
    {
        $quiet = $this->quiet($urls, $secret);

        $this->assertFalse($quiet->isEnabled());
        $this->assertSame([false, false, false, false, null, []], $this->answers($quiet));
        $this->assertSame(['', '', []], [
            $quiet->token('session.42', 1, 60),
            $quiet->tokenForSession(42, 1, 60),
            $quiet->statusAll(),
        ]);
        $this->assertSame([], $this->lines);
    }

    public function testFailuresAreLoggedAndNotThrown(): void
    {
        $quiet = $this->quiet(DeafNode::closed()->url, $this->worker()->secret);

        $this->assertSame([false, false, false, false, null, []], $this->answers($quiet));

        $this->assertCount(6, $this->lines);
        $this->assertStringStartsWith('wavelog_worker: http://127.0.0.1:', $this->lines[0]);
        $this->assertStringNotContainsString($this->worker()->secret, implode($this->lines));
    }

    public function testAHangingWorkerCostsItsTimeOutOnce(): void
    {
        $node = DeafNode::hanging();
        $quiet = $this->quiet($node->url, str_repeat('s', 32), ['timeout' => 0.3]);

        $seconds = $this->seconds(function () use ($quiet): void {
            $this->assertSame([false, false, false, false, null, []], $this->answers($quiet));
        });

        $this->assertLessThan(1.2, $seconds);
    }

    public function testABadConfigurationIsLoggedOnceAndTurnsItOff(): void
    {
        $quiet = $this->quiet('127.0.0.1:9001', str_repeat('s', 32));

        $this->assertFalse($quiet->publish('session.42', 1));

        $this->assertCount(1, $this->lines);
        $this->assertStringContainsString('write it like', $this->lines[0]);
    }

    public function testASecretThatIsNoTextIsLoggedOnceAndTurnsItOff(): void
    {
        $quiet = $this->quiet('http://127.0.0.1:9001', ['worker_secret']);

        $this->assertFalse($quiet->publish('session.42', 1));

        $this->assertCount(1, $this->lines);
        $this->assertStringContainsString('the secret of the worker is no text', $this->lines[0]);
    }

    public function testWhatTheApplicationDoesWrongIsLoggedToo(): void
    {
        $quiet = $this->quiet($this->worker()->internal, $this->worker()->secret);
        $refuses = new class () implements JsonSerializable {
            #[\ReturnTypeWillChange]
            public function jsonSerialize()
            {
                throw new DomainException('not this one');
            }
        };

        $this->assertFalse($quiet->publish('', 1));
        $this->assertFalse($quiet->publish('session.42', INF));
        $this->assertFalse($quiet->publish('session.42', $refuses));
        $this->assertSame('', $quiet->token('session.42', 1, 0));

        $this->assertCount(4, $this->lines);
    }

    public function testALogThatFailsIsNoReasonToFail(): void
    {
        $quiet = new QuietClient(DeafNode::closed()->url, str_repeat('s', 32), [], static function (): void {
            throw new RuntimeException('the disk is full');
        });

        $this->assertFalse($quiet->publish('session.42', 1));
    }

    public function testALogThatPublishesItsLinesIsNotAskedForWhatFailsInThat(): void
    {
        $quiet = null;
        $quiet = new QuietClient(DeafNode::closed()->url, str_repeat('s', 32), [], function (string $line) use (&$quiet): void {
            $this->lines[] = $line;
            $this->assertLessThan(3, count($this->lines));
            $quiet->publish('log', $line);
        });

        $this->assertFalse($quiet->publish('session.42', 1));
        $this->assertFalse($quiet->publish('session.42', 2));

        $this->assertCount(2, $this->lines);
    }

    public function testTheMethodOfALoggerIsALogToo(): void
    {
        $logger = new class () {
            /** @var string[] */
            public $lines = [];

            public function error(string $message, array $context = []): void
            {
                $this->lines[] = $message;
            }
        };
        $quiet = new QuietClient(DeafNode::closed()->url, str_repeat('s', 32), [], [$logger, 'error']);

        $quiet->publish('session.42', 1);

        $this->assertCount(1, $logger->lines);
    }
}
