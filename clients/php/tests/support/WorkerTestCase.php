<?php
declare(strict_types=1);

use PHPUnit\Framework\TestCase;
use WavelogWorker\Client;
use WavelogWorker\DeadNodes;

/** What the tests of this suite share: a real worker when they need one, and a watch. */
abstract class WorkerTestCase extends TestCase
{
    /** @var Worker|null */
    private $worker = null;
    /** @var ScriptedNode[] */
    private $scripted = [];

    protected function setUp(): void
    {
        DeadNodes::forgetAll();
    }

    protected function tearDown(): void
    {
        foreach ($this->scripted as $node) {
            $node->stop();
        }
        if ($this->worker !== null) {
            $this->worker->stop();
        }
    }

    /** The worker of this test; it starts when it is first asked for. */
    protected function worker(): Worker
    {
        if ($this->worker === null) {
            $this->worker = new Worker();
        }
        return $this->worker;
    }

    /** @param array<string, mixed> $options */
    protected function client(array $options = []): Client
    {
        return new Client($this->worker()->internal, $this->worker()->secret, $options);
    }

    /** A client of these nodes; no worker is started for it. */
    protected function clientOf(array $urls, array $options = []): Client
    {
        return new Client($urls, 'a-secret-that-is-long-enough-for-all-4x', $options);
    }

    /** @param string ...$script what is answered to each request; the last one for ever */
    protected function scripted(string ...$script): ScriptedNode
    {
        return $this->scripted[] = new ScriptedNode($script);
    }

    /** A browser that has been let in. */
    protected function browser(Client $client, string $topic): Browser
    {
        $browser = new Browser($this->worker()->ws, $topic, $client->token($topic, 1, 60));
        $this->assertSame('{"type":"auth_ok"}', $browser->next());
        return $browser;
    }

    /**
     * Calls, and returns what it threw; anything else fails the test.
     *
     * @param class-string<Throwable> $class
     */
    protected function thrown(string $class, callable $call): Throwable
    {
        try {
            $call();
        } catch (Throwable $thrown) {
            $this->assertInstanceOf($class, $thrown, (string) $thrown);
            return $thrown;
        }
        $this->fail("nothing was thrown, and it should have been a $class");
    }

    /** Seconds that a call took. */
    protected function seconds(callable $call): float
    {
        $begin = hrtime(true);
        $call();
        return (hrtime(true) - $begin) / 1e9;
    }
}
