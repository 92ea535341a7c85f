<?php
declare(strict_types=1);

use WavelogWorker\Client;
use WavelogWorker\Exception\TimedOutException;
use WavelogWorker\Exception\UnexpectedAnswerException;
use WavelogWorker\Exception\UnreachableException;
use WavelogWorker\NodeStatus;

/** Several URLs: which node gets a call, and what all of them say when they are asked. */
final class SeveralNodesTest extends WorkerTestCase
{
    private function clientWith(string ...$urls): Client
    {
        return new Client($urls, $this->worker()->secret);
    }

    public function testTheFirstNodeGetsTheCallsWhileItIsThere(): void
    {
        $nodes = [$this->scripted(ScriptedNode::DONE), $this->scripted(ScriptedNode::DONE)];
        $client = $this->clientOf([$nodes[0]->url, $nodes[1]->url]);

        $client->publish('a', 1);
        $client->publish('a', 2);

        $this->assertSame([2, 0], [count($nodes[0]->requests()), count($nodes[1]->requests())]);
    }

    public function testTheNextNodeGetsTheCallWhenTheFirstCannotBeReached(): void
    {
        $unplugged = DeafNode::unplugged();
        foreach (['http://no-such-host.invalid:9001', DeafNode::closed()->url, $unplugged->url] as $dead) {
            $client = $this->clientWith($dead, $this->worker()->internal);
            $before = $client->status()->counters['publishes'];

            $seconds = $this->seconds(static function () use ($client): void {
                for ($n = 0; $n < 10; $n++) {
                    $client->publish('session.42', $n);
                }
            });

            $this->assertSame($before + 10, $client->status()->counters['publishes']);
            $this->assertLessThan(1.0, $seconds);
        }
    }

    public function testEachNodeHasItsShareOfTheTime(): void
    {
        $unplugged = [DeafNode::unplugged(), DeafNode::unplugged()];
        $urls = [$unplugged[0]->url, $unplugged[1]->url, $this->worker()->internal];
        $client = new Client($urls, $this->worker()->secret, ['timeout' => 0.6]);

        $client->publish('session.42', 1);

        $this->assertSame(1, $client->status()->counters['publishes']);
    }

    public function testNoOtherNodeGetsTheCallAfterATimeOut(): void
    {
        $hanging = DeafNode::hanging();
        $other = $this->scripted(ScriptedNode::DONE);
        $client = $this->clientOf([$hanging->url, $other->url], ['timeout' => 0.3]);

        $this->thrown(TimedOutException::class, static function () use ($client): void {
            $client->publish('session.42', 1);
        });

        $this->assertSame([], $other->requests());
        $client->publish('session.42', 2); // The next call passes the dead node over.
        $this->assertCount(1, $other->requests());
    }

    public function testNoOtherNodeGetsTheCallAfterAnAnswer(): void
    {
        foreach ([400, 403, 500, 503] as $status) {
            $first = $this->scripted(ScriptedNode::answer($status, 'no'));
            $other = $this->scripted(ScriptedNode::DONE);

            $this->thrown(RuntimeException::class, function () use ($first, $other): void {
                $this->clientOf([$first->url, $other->url])->publish('session.42', 1);
            });

            $this->assertSame([], $other->requests());
        }
    }

    /** libcurl would connect anew, be refused, and report that no connection came about. */
    public function testNoOtherNodeGetsTheCallWhenTheFirstDiesWithIt(): void
    {
        $first = $this->scripted(ScriptedNode::DONE, ScriptedNode::DIE);
        $other = $this->scripted(ScriptedNode::DONE);
        $client = $this->clientOf([$first->url, $other->url]);
        $client->register('session.42');

        $this->thrown(UnexpectedAnswerException::class, static function () use ($client): void {
            $client->publish('session.42', 1);
        });

        $this->assertSame([], $other->requests());
        $client->publish('session.42', 2);
        $this->assertSame(['/internal/publish'], $other->paths());
    }

    public function testIfNoneCanBeReachedAllAreNamedAndThenNobodyWaits(): void
    {
        $nodes = [DeafNode::closed(), DeafNode::unplugged()];
        $client = $this->clientOf([$nodes[0]->url, $nodes[1]->url]);

        $failure = $this->thrown(UnreachableException::class, static function () use ($client): void {
            $client->publish('session.42', 1);
        });
        $seconds = $this->seconds(function () use ($client): void {
            $this->thrown(UnreachableException::class, static function () use ($client): void {
                $client->publish('session.42', 1);
            });
        });

        $this->assertStringContainsString($nodes[0]->url, $failure->getMessage());
        $this->assertStringContainsString($nodes[1]->url, $failure->getMessage());
        $this->assertLessThan(0.45, $seconds);
    }

    public function testAllNodesAreAskedAtTheSameTime(): void
    {
        $deaf = [DeafNode::closed(), DeafNode::hanging(), DeafNode::hanging(), DeafNode::unplugged()];
        $others = [
            $this->scripted(ScriptedNode::answer(403, "forbidden\n")),
            $this->scripted(ScriptedNode::answer(200, '<html>')),
            $this->scripted(ScriptedNode::END),
        ];
        $urls = array_merge(
            [$this->worker()->internal],
            array_column($deaf, 'url'),
            array_column($others, 'url')
        );
        $client = $this->clientWith(...$urls);

        $nodes = [];
        $seconds = $this->seconds(static function () use ($client, &$nodes): void {
            $nodes = $client->statusAll();
        });

        $this->assertLessThan(1.2, $seconds);
        $this->assertSame($urls, array_column($nodes, 'url'));
        $this->assertSame(
            ['up', 'down', 'slow', 'slow', 'down', 'forbidden', 'error', 'error'],
            array_column($nodes, 'state')
        );
        $this->assertSame('ok', $nodes[0]->status->status);
        $this->assertSame([true, ''], [$nodes[0]->isUp(), $nodes[0]->error]);
        foreach (array_slice($nodes, 1) as $node) {
            $this->assertNull($node->status);
            $this->assertStringContainsString($node->url, $node->error);
        }
        $this->assertLessThan(500, $nodes[4]->milliseconds);
    }

    public function testWhyANodeCannotBeReachedIsSaid(): void
    {
        $encrypted = str_replace('http:', 'https:', $this->worker()->internal);
        $client = $this->clientWith($encrypted, 'http://no-such-host.invalid:9001');

        $nodes = $client->statusAll();

        $this->assertSame(['down', 'down'], array_column($nodes, 'state'));
        $this->assertStringContainsString('SSL', $nodes[0]->error);
        $this->assertStringContainsString('esolv', $nodes[1]->error);
    }

    public function testOtherNodesThanTheOwnCanBeAsked(): void
    {
        $client = new Client(DeafNode::closed()->url, $this->worker()->secret);

        $nodes = $client->statusAll([$this->worker()->internal]);

        $this->assertSame([NodeStatus::UP], array_column($nodes, 'state'));
    }
}
