<?php
declare(strict_types=1);

use WavelogWorker\Client;
use WavelogWorker\Exception\BadRequestException;
use WavelogWorker\Exception\BusyException;
use WavelogWorker\Exception\ForbiddenException;
use WavelogWorker\Exception\PayloadException;
use WavelogWorker\Exception\PublishManyException;
use WavelogWorker\Exception\TimedOutException;
use WavelogWorker\Exception\TopicNotRegisteredException;
use WavelogWorker\Exception\UnexpectedAnswerException;
use WavelogWorker\Exception\UnreachableException;
use WavelogWorker\Exception\WorkerException;

/** One node that is down, hangs, refuses, babbles, or is restarted. Bounds of time are generous. */
final class FaultsTest extends WorkerTestCase
{
    /** A payload that takes these seconds of the operation's time for itself. */
    private function slow(float $seconds): JsonSerializable
    {
        return new class ($seconds) implements JsonSerializable {
            /** @var float */
            private $seconds;

            public function __construct(float $seconds)
            {
                $this->seconds = $seconds;
            }

            public function jsonSerialize(): string
            {
                usleep((int) ($this->seconds * 1e6));
                return 'at last';
            }
        };
    }

    public function testAClosedPortFailsAtOnce(): void
    {
        $client = $this->clientOf([DeafNode::closed()->url]);

        $seconds = $this->seconds(function () use ($client): void {
            $failure = $this->thrown(UnreachableException::class, static function () use ($client): void {
                $client->publish('session.42', 1);
            });
            $this->assertStringContainsString('is the worker running', $failure->getMessage());
        });

        $this->assertLessThan(0.45, $seconds);
    }

    public function testAnUnknownHostIsUnreachable(): void
    {
        $client = $this->clientOf(['http://no-such-host.invalid:9001']);

        $this->thrown(UnreachableException::class, static function () use ($client): void {
            $client->publish('session.42', 1);
        });
    }

    public function testAnUnpluggedNodeCostsTheTimeToConnectAndNoMore(): void
    {
        $node = DeafNode::unplugged();
        $client = $this->clientOf([$node->url]);

        $seconds = $this->seconds(function () use ($client): void {
            $this->thrown(UnreachableException::class, static function () use ($client): void {
                $client->publish('session.42', 1);
            });
        });

        $this->assertGreaterThan(0.4, $seconds);
        $this->assertLessThan(0.9, $seconds);
    }

    public function testANodeThatHangsBeforeTlsIsThereWasNotSentAnything(): void
    {
        $node = DeafNode::hanging();
        $client = $this->clientOf([str_replace('http:', 'https:', $node->url)]);

        $seconds = $this->seconds(function () use ($client): void {
            $this->thrown(UnreachableException::class, static function () use ($client): void {
                $client->publish('session.42', 1);
            });
        });

        $this->assertLessThan(0.9, $seconds);
    }

    public function testAHangingNodeCostsTheTimeOutAndNoMore(): void
    {
        $node = DeafNode::hanging();
        $client = $this->clientOf([$node->url]);

        $seconds = $this->seconds(function () use ($client): void {
            $failure = $this->thrown(TimedOutException::class, static function () use ($client): void {
                $client->publish('session.42', 1);
            });
            $this->assertStringContainsString('may have been carried out', $failure->getMessage());
        });

        $this->assertGreaterThan(0.9, $seconds);
        $this->assertLessThan(1.9, $seconds);
    }

    public function testATimeOutIsForTheRetryAfterA404AsWell(): void
    {
        $node = $this->scripted(ScriptedNode::answer(404, "topic not registered\n"), ScriptedNode::HANG);
        $client = $this->clientOf([$node->url], ['timeout' => 0.4]);

        $seconds = $this->seconds(function () use ($client): void {
            $this->thrown(TimedOutException::class, static function () use ($client): void {
                $client->publish('session.42', 1);
            });
        });

        $this->assertLessThan(0.8, $seconds);
        $this->assertSame(['/internal/publish', '/internal/register'], $node->paths());
    }

    public function testThereIsOneTimeOutForAllRequestsOfAnOperation(): void
    {
        $node = $this->scripted(ScriptedNode::answer(404, "topic not registered\n"), ScriptedNode::HANG);
        $client = $this->clientOf([$node->url], ['timeout' => 0.6]);

        $seconds = $this->seconds(function () use ($client): void {
            $this->thrown(TimedOutException::class, function () use ($client): void {
                $client->publish('session.42', $this->slow(0.5));
            });
        });

        $this->assertLessThan(0.9, $seconds);
        $this->assertSame(['/internal/publish', '/internal/register'], $node->paths());
    }

    public function testTenPublishesWaitForADeadNodeOnce(): void
    {
        $nodes = [DeafNode::hanging(), DeafNode::unplugged()];
        foreach ($nodes as $node) {
            $client = $this->clientOf([$node->url], ['timeout' => 0.5]);

            $seconds = $this->seconds(function () use ($client): void {
                for ($n = 0; $n < 10; $n++) {
                    $this->thrown(RuntimeException::class, static function () use ($client): void {
                        $client->publish('session.42', 1);
                    });
                }
            });

            $this->assertLessThan(0.9, $seconds);
        }
    }

    public function testADeadNodeIsRememberedByOtherClientsToo(): void
    {
        $node = DeafNode::hanging();
        $options = ['timeout' => 0.3];
        $this->thrown(TimedOutException::class, function () use ($node, $options): void {
            $this->clientOf([$node->url], $options)->publish('session.42', 1);
        });

        $failure = $this->thrown(UnreachableException::class, function () use ($node, $options): void {
            $this->clientOf([$node->url], $options)->publish('session.42', 1);
        });

        $this->assertStringContainsString('a moment ago', $failure->getMessage());
    }

    public function testADeadNodeIsTriedAgainAfterItsTime(): void
    {
        $this->worker()->end();
        $client = $this->client(['dead_for' => 0.2]);
        $this->thrown(UnreachableException::class, static function () use ($client): void {
            $client->register('session.42');
        });
        $this->worker()->start();

        $begin = hrtime(true);
        do {
            try {
                $client->register('session.42');
                break;
            } catch (UnreachableException $e) {
                usleep(10000);
            }
        } while (hrtime(true) - $begin < 5e9);

        $this->assertSame(2, $client->status()->registeredTopics);
    }

    /** Also in a process that lives long: a restart of the worker is over in a moment. */
    public function testAWorkerThatRefusedIsTriedAgainSoon(): void
    {
        $client = $this->client();
        $client->register('session.42');
        $this->worker()->end();
        for ($n = 0; $n < 10; $n++) {
            $this->thrown(UnreachableException::class, static function () use ($client): void {
                $client->publish('session.42', 1);
            });
        }
        $this->worker()->start();

        $seconds = $this->seconds(static function () use ($client): void {
            do {
                try {
                    $client->publish('session.42', 2);
                    return;
                } catch (UnreachableException $e) {
                    usleep(1000);
                }
            } while (true);
        });

        $this->assertLessThan(2.0, $seconds); // dead_for is 5.
    }

    public function testOfManyTheRestFailAtOnceWhenTheTimeIsOver(): void
    {
        $node = $this->scripted(ScriptedNode::DONE, ScriptedNode::DONE, ScriptedNode::HANG);
        $client = $this->clientOf([$node->url], ['timeout' => 0.4]);

        $seconds = $this->seconds(function () use ($client): void {
            $failure = $this->thrown(PublishManyException::class, static function () use ($client): void {
                $client->publishMany([['a', 1], ['a', 2], ['a', 3], ['a', 4], ['a', 5]]);
            });
            $this->assertSame([2, 3, 4], array_keys($failure->failures()));
            $this->assertInstanceOf(TimedOutException::class, $failure->failures()[2]);
        });

        $this->assertLessThan(0.8, $seconds);
        $this->assertCount(3, $node->requests());
    }

    public function testANodeIsNotHeldForDeadBecauseOnlyTheRestOfTheTimeWasLeftToIt(): void
    {
        $node = $this->scripted(ScriptedNode::DONE, ScriptedNode::HANG);
        $client = $this->clientOf([$node->url], ['timeout' => 0.4]);

        $failure = $this->thrown(PublishManyException::class, function () use ($client): void {
            $client->publishMany([['a', 1], ['a', $this->slow(0.3)]]);
        });

        $this->assertSame([1], array_keys($failure->failures()));
        $this->thrown(TimedOutException::class, static function () use ($client): void {
            $client->publish('a', 2); // It is tried again, with all of the time.
        });
        $this->thrown(UnreachableException::class, static function () use ($client): void {
            $client->publish('a', 3);
        });
    }

    public function testAWrongSecretIsToldAsSuch(): void
    {
        $client = new Client($this->worker()->internal, str_repeat('wrong', 8));

        $failure = $this->thrown(ForbiddenException::class, static function () use ($client): void {
            $client->publish('session.42', 1);
        });

        $this->assertStringContainsString($this->worker()->internal, $failure->getMessage());
        $this->assertStringContainsString('worker_secret', $failure->getMessage());
    }

    public function testASecond404Throws(): void
    {
        $node = $this->scripted(
            ScriptedNode::answer(404, "topic not registered\n"),
            ScriptedNode::DONE,
            ScriptedNode::answer(404, "topic not registered\n")
        );

        $this->thrown(TopicNotRegisteredException::class, function () use ($node): void {
            $this->clientOf([$node->url])->publish('session.42', 1);
        });

        $this->assertSame(
            ['/internal/publish', '/internal/register', '/internal/publish'],
            $node->paths()
        );
    }

    public static function answers(): array
    {
        return [
            '400' => [ScriptedNode::answer(400, "bad request\n"), BadRequestException::class, 'bad request'],
            '500' => [ScriptedNode::answer(500, "oh no\n"), UnexpectedAnswerException::class, '500 (oh no)'],
            '502' => [ScriptedNode::answer(502, ''), UnexpectedAnswerException::class, '502 (nothing more)'],
            '503' => [ScriptedNode::answer(503, "busy\n"), BusyException::class, 'try again'],
            'a redirect, which is not followed' => [
                "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
                UnexpectedAnswerException::class,
                '302',
            ],
            'a web site' => [
                ScriptedNode::answer(200, "<html>\x1b[31mWelcome\n"),
                UnexpectedAnswerException::class,
                '200 (<html> [31mWelcome)',
            ],
            'no HTTP' => ["SSH-2.0-OpenSSH_9.2\r\n", UnexpectedAnswerException::class, ''],
            'half a head' => ["HTTP/1.1 200 O", TimedOutException::class, ''],
            'half an answer' => ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx", TimedOutException::class, ''],
            'the end of the connection' => [ScriptedNode::END, UnexpectedAnswerException::class, 'without an answer'],
            'an endless answer' => [ScriptedNode::FLOOD, UnexpectedAnswerException::class, 'sent more'],
        ];
    }

    /**
     * @dataProvider answers
     *
     * @param class-string<Throwable> $class
     */
    public function testWhatIsNotDoneThrowsAndIsNotSentAgain(string $answer, string $class, string $words): void
    {
        $node = $this->scripted($answer);
        $client = $this->clientOf([$node->url, DeafNode::closed()->url], ['timeout' => 0.6]);

        $failure = $this->thrown($class, static function () use ($client): void {
            $client->publish('session.42', 'private');
        });

        $this->assertStringContainsString($node->url, $failure->getMessage());
        $this->assertStringContainsString($words, $failure->getMessage());
        $this->assertStringNotContainsString('private', $failure->getMessage());
        $this->assertCount(1, $node->requests());
    }

    /** Servers for tests, and error pages of frameworks, send back what they were sent. */
    public function testAServerThatSendsTheRequestBackDoesNotBringTheSecretIntoAMessage(): void
    {
        $secret = 'a-secret-that-is-long-enough-for-all-4x';
        foreach ([200, 400, 503, 500] as $status) {
            $answer = ScriptedNode::answer($status, "Your headers:\nx-worker-secret: $secret\n");
            $client = $this->clientOf([$this->scripted($answer)->url]);

            $failure = $this->thrown(WorkerException::class, static function () use ($client): void {
                $client->publish('session.42', 1);
            });

            $node = $client->statusAll([$this->scripted($answer)->url])[0];

            foreach ([$failure->getMessage(), $node->error] as $shown) {
                $this->assertStringContainsString('Your headers', $shown);
                $this->assertStringNotContainsString(substr($secret, 0, 8), $shown);
            }
        }
    }

    public static function noStatus(): array
    {
        return [
            'nothing' => [''],
            'a list' => ['[]'],
            'an object without a status' => ['{}'],
            'text' => ['<html>'],
            'half an object' => ['{"status":"ok"'],
            'a status of another type' => ['{"status":1}'],
        ];
    }

    /** @dataProvider noStatus */
    public function testWhatIsNoStatusDocumentThrows(string $body): void
    {
        $node = $this->scripted(ScriptedNode::answer(200, $body));

        $this->thrown(UnexpectedAnswerException::class, function () use ($node): void {
            $this->clientOf([$node->url])->status();
        });
        $this->assertSame(['/internal/status?v=2'], $node->paths());
    }

    public function testAStatusWithFieldsOfOtherTypesIsReadAsFarAsItGoes(): void
    {
        $body = '{"status":"ok","version":7,"uptime":[],"registered_topics":"3","topic_list":[1,"a"],'
            . '"counters":{"a":1,"b":"x"},"redis":false,"degraded":1}';

        $node = $this->scripted(ScriptedNode::answer(200, $body));
        $status = $this->clientOf([$node->url])->status();

        $this->assertSame(['', '', 0], [$status->version, $status->uptime, $status->registeredTopics]);
        $this->assertSame([['a'], ['a' => 1]], [array_values($status->topicList), $status->counters]);
        $this->assertSame([null, null], [$status->redis, $status->degraded]);
    }

    public function testARestartBetweenTwoCallsIsNotNoticed(): void
    {
        $client = $this->client();
        $client->register('session.42');
        $client->publish('session.42', 1);
        $this->worker()->end();
        $this->worker()->start();
        $client->register('session.42');
        $browser = $this->browser($client, 'session.42');

        $client->publish('session.42', 2);
        $client->publish('session.42', 3);

        $this->assertSame('{"type":"push","payload":2}', $browser->next());
        $this->assertSame('{"type":"push","payload":3}', $browser->next());
    }

    public function testAPublishAfterACrashRegistersTheTopicAgain(): void
    {
        $client = $this->client();
        $client->register('session.42');
        $this->worker()->kill();
        $this->worker()->start();

        $client->publish('session.42', 1);

        $counters = $client->status()->counters;
        $this->assertSame(1, $counters['publishes']);
    }

    public function testAWorkerThatEndedWithItsKeptConnectionIsUnreachable(): void
    {
        $client = $this->client();
        $client->register('session.42');
        $this->worker()->end();

        $this->thrown(UnreachableException::class, static function () use ($client): void {
            $client->publish('session.42', 1);
        });
    }

    /** libcurl sends again by itself when a kept connection ends without an answer. */
    public function testAPublishOnAKeptConnectionThatEndsWithoutAnAnswerIsNotSentAgain(): void
    {
        foreach ([1, 100000] as $bytes) {
            $node = $this->scripted(ScriptedNode::DONE, ScriptedNode::END, ScriptedNode::DONE);
            $client = $this->clientOf([$node->url]);
            $client->register('session.42');

            $failure = $this->thrown(UnexpectedAnswerException::class, static function () use ($client, $bytes): void {
                $client->publish('session.42', str_repeat('x', $bytes));
            });

            $this->assertStringContainsString('may have been carried out', $failure->getMessage());
            $this->assertSame(['/internal/register', '/internal/publish'], $node->paths());
            $client->publish('session.42', 2);
            $this->assertCount(3, $node->requests());
        }
    }

    public function testTextThatIsNotUtf8ThrowsOrIsSubstitutedIfAskedFor(): void
    {
        $client = $this->client();
        $client->register('session.42');
        $browser = $this->browser($client, 'session.42');

        $failure = $this->thrown(PayloadException::class, static function () use ($client): void {
            $client->publish('session.42', "Gr\xfc\xdfe");
        });
        $this->client(['substitute_invalid_utf8' => true])->publish('session.42', "Gr\xfc\xdfe");

        $this->assertStringContainsString('substitute_invalid_utf8', $failure->getMessage());
        $this->assertSame(['type' => 'push', 'payload' => "Gr\u{fffd}\u{fffd}e"], $browser->nextMessage());
    }

    public static function noJson(): array
    {
        $loop = new stdClass();
        $loop->loop = $loop;
        $refuses = new class () implements JsonSerializable {
            #[\ReturnTypeWillChange]
            public function jsonSerialize()
            {
                throw new DomainException('private');
            }
        };
        return [
            'INF' => [INF],
            'NAN' => [NAN],
            'a resource' => [STDERR],
            'a loop' => [$loop],
            'an object that refuses' => [$refuses],
        ];
    }

    /**
     * @dataProvider noJson
     *
     * @param mixed $payload
     */
    public function testWhatIsNoJsonIsNotSent($payload): void
    {
        $node = $this->scripted(ScriptedNode::DONE);

        $failure = $this->thrown(PayloadException::class, function () use ($node, $payload): void {
            $this->clientOf([$node->url])->publish('session.42', $payload);
        });

        $this->assertStringNotContainsString('private', $failure->getMessage());
        $this->assertSame([], $node->requests());
    }
}
