<?php

declare(strict_types=1);

/** A worker that is down, hangs, refuses, fails or comes back: the page works, and in time. */
final class FaultsTest extends DropInTestCase
{
    private const VERBS = '
        $CI->load->library("worker_publisher");
        $worker = $CI->worker_publisher;
        return [
            $worker->register_topic("session.1"), $worker->publish("session.1", ["n" => 1]),
            $worker->unregister_topic("session.1"), $worker->has_topic("session.1"),
        ];
    ';
    private const TEN_PUBLISHES = '
        $CI->load->library("worker_publisher");
        $done = 0;
        for ($n = 0; $n < 10; $n++) {
            $done += (int) $CI->worker_publisher->publish("session.1", ["n" => $n]);
        }
        return $done;
    ';

    /** The last call took at most these seconds, and a bit. */
    private function assertInTime(float $seconds, Application $application): void
    {
        $this->assertLessThan($seconds + self::MARGIN_SECONDS, $application->seconds);
    }

    private static function port(string $url): string
    {
        return substr(strrchr($url, ':'), 1);
    }

    public function testAWorkerThatIsDownCostsNoTimeAndALineForEachCall(): void
    {
        $down = DeafNode::closed()->url;
        $application = $this->application($this->configOf([$down]));

        $this->assertSame([false, false, false, false], $application->run(self::VERBS));

        $this->assertInTime(0.0, $application);
        $log = $application->log();
        $this->assertCount(4, $log);
        $found = "cannot be reached \\(.+\\): is the worker running, and is this its internal_port\?";
        $again = 'did not answer a moment ago and will be tried again soon: is the worker running\?';
        $this->assertMatchesRegularExpression("#^wavelog_worker: $down $found \[register_topic session\.1\]$#", $log[0]);
        foreach (['publish', 'unregister_topic', 'has_topic'] as $place => $verb) {
            // Which of both depends on how fast this machine is.
            $this->assertMatchesRegularExpression(
                "#^wavelog_worker: $down ($found|$again) \[$verb session\.1\]$#",
                $log[$place + 1]
            );
        }
    }

    public function testATokenIsMintedAndTheBrowserIsToldWhereToConnectThoughTheWorkerIsDown(): void
    {
        $application = $this->application($this->configOf([DeafNode::closed()->url]));

        $this->assertTrue($application->call('is_enabled'));
        $this->assertNotSame('', $application->call('create_token', 'session.1'));
        $this->assertSame('ws://127.0.0.1:9000', $application->call('client_url'));
        $this->assertSame([], $application->log());
    }

    public function testAWorkerThatHangsCostsTheTimeOutOnceHoweverManyCallsThereAre(): void
    {
        $hanging = DeafNode::hanging();
        $application = $this->application($this->configOf([$hanging->url], ['worker_timeout' => 0.4]));

        $this->assertSame(0, $application->run(self::TEN_PUBLISHES));

        $this->assertInTime(0.4, $application);
        $this->assertGreaterThan(0.35, $application->seconds);
        $log = $application->log();
        $this->assertCount(10, $log);
        $this->assertSame("wavelog_worker: {$hanging->url} did not answer within 400 ms: is it overloaded, or is something "
            . 'else listening there? The call may have been carried out [publish session.1]', $log[0]);
        $this->assertStringContainsString('did not answer a moment ago', $log[9]);
    }

    public function testAWorkerToWhichNoConnectionComesAboutCostsHalfASecondOnce(): void
    {
        $unplugged = DeafNode::unplugged();
        $application = $this->application($this->configOf([$unplugged->url], ['worker_timeout' => 5.0]));

        $this->assertSame(0, $application->run(self::TEN_PUBLISHES));

        $this->assertInTime(0.5, $application);
        $this->assertStringContainsString('cannot be reached', $application->log()[0]);
    }

    public function testATimeOutBelowHalfASecondHoldsForConnectingToo(): void
    {
        $unplugged = DeafNode::unplugged();
        $application = $this->application($this->configOf([$unplugged->url], ['worker_timeout' => 0.1]));

        $this->assertFalse($application->call('publish', 'session.1', 1));

        $this->assertLessThan(0.45, $application->seconds);
    }

    public function testAnotherSecretIsALineThatSaysSo(): void
    {
        $worker = $this->worker();
        $application = $this->application($this->configOf([$worker->internal]));

        $this->assertFalse($application->call('publish', 'session.1', 1));

        $this->assertCount(1, $application->log());
        $this->assertStringContainsString($worker->internal, $application->log()[0]);
        $this->assertStringContainsString('worker_secret', $application->log()[0]);
        $this->assertStringEndsWith(' [publish session.1]', $application->log()[0]);
    }

    public function testA404RegistersAndPublishesAgainExactlyOnce(): void
    {
        $node = $this->scripted(
            ScriptedNode::answer(404, "topic not registered\n"),
            ScriptedNode::DONE,
            ScriptedNode::answer(404, "topic not registered\n")
        );
        $application = $this->application($this->configOf([$node->url]));

        $this->assertFalse($application->call('publish', 'session.1', ['n' => 1]));

        $this->assertSame(['/internal/publish', '/internal/register', '/internal/publish'], $node->paths());
        $bodies = array_column($node->requests(), 'body');
        $this->assertSame('{"topic":"session.1","meta":{"require_token":true}}', $bodies[1]);
        $this->assertSame($bodies[0], $bodies[2]);
        $this->assertCount(1, $application->log());
        $this->assertStringContainsString('does not know the topic', $application->log()[0]);
    }

    public function testARegistrationThatFailsAfterA404IsTheEndOfIt(): void
    {
        $node = $this->scripted(
            ScriptedNode::answer(404, "topic not registered\n"),
            ScriptedNode::answer(500, "broken\n")
        );
        $application = $this->application($this->configOf([$node->url]));

        $this->assertFalse($application->call('publish', 'session.1', 1));

        $this->assertSame(['/internal/publish', '/internal/register'], $node->paths());
        $this->assertCount(1, $application->log());
    }

    /** @return array<string, array{string, string}> what is answered, and what the log says of it */
    public static function badAnswers(): array
    {
        return [
            '400' => [ScriptedNode::answer(400, "bad request\n"), 'bad request'],
            '403' => [ScriptedNode::answer(403, "forbidden\n"), 'worker_secret'],
            '500' => [ScriptedNode::answer(500, "oh no\n"), '500'],
            'a body of several lines' => [ScriptedNode::answer(500, "one\nERROR - 2030-01-01 --> two\n"), '500'],
            '503' => [ScriptedNode::answer(503, "busy\n"), 'busy'],
            'a redirect' => ["HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", '302'],
            'no HTTP' => ["I am no web server\r\n\r\n", 'ended the connection without an answer'],
            'nothing' => [ScriptedNode::END, 'ended the connection without an answer'],
            'half an answer' => ["HTTP/1.1 200 OK\r\nContent-Le", ' ms'],
        ];
    }

    /** @dataProvider badAnswers */
    public function testABadAnswerIsOneLineAndIsNotTriedAgainAnywhere(string $answer, string $said): void
    {
        $node = $this->scripted($answer);
        $other = $this->scripted(ScriptedNode::DONE);
        $config = $this->configOf([$node->url, $other->url], ['worker_timeout' => 0.5]);
        $application = $this->application($config);

        $this->assertFalse($application->call('publish', 'session.1', ['n' => 1]));

        $this->assertInTime(0.5, $application);
        $this->assertSame(['/internal/publish'], $node->paths());
        $this->assertSame([], $other->paths());
        $this->assertCount(1, $application->log());
        $this->assertStringStartsWith('wavelog_worker: ', $application->log()[0]);
        $this->assertStringContainsString($said, $application->log()[0]);
        $this->assertStringEndsWith(' [publish session.1]', $application->log()[0]);
    }

    public function testAWorkerThatIsRestartedBetweenTwoCallsIsToldOfTheTopicAgain(): void
    {
        $worker = $this->worker();
        $application = $this->application($this->config($worker));
        foreach (['end', 'kill'] as $how) {
            $this->assertTrue($application->call('register_topic', 'session.1'));
            $worker->$how();
            $worker->start();
            $this->assertFalse($application->call('has_topic', 'session.1'));

            $this->assertTrue($application->call('publish', 'session.1', ['n' => 1]));

            $this->assertTrue($application->call('has_topic', 'session.1'));
        }
        $this->assertSame([], $application->log());
    }

    public function testWhatIsPublishedAfterARestartReachesABrowserThatCameBackOnce(): void
    {
        $worker = $this->worker();
        $application = $this->application($this->config($worker));
        $application->call('register_topic', 'session.1');
        $worker->end();
        $worker->start();
        $application->call('register_topic', 'session.1');
        $browser = $this->subscribe($worker, 'session.1', $application->call('create_token', 'session.1'));

        $application->call('publish', 'session.1', ['n' => 1]);
        $application->call('publish', 'session.1', ['n' => 2]);

        $this->assertSame(['n' => 1], $browser->nextMessage()['payload']);
        $this->assertSame(['n' => 2], $browser->nextMessage()['payload']);
    }

    public function testAWorkerThatIsBackIsFoundByTheNextRequest(): void
    {
        $worker = $this->worker();
        $application = $this->application($this->config($worker));
        $worker->end();
        $this->assertFalse($application->call('publish', 'session.1', 1));
        $worker->start();
        $application->endRequest();

        $this->assertTrue($application->call('publish', 'session.1', 1));
        $this->assertCount(1, $application->log());
    }

    public function testTheNextAddressIsUsedWhileTheFirstIsDown(): void
    {
        $worker = $this->worker();
        $down = DeafNode::closed()->url;
        $application = $this->application($this->config($worker, ['worker_urls' => [$down, $worker->internal]]));
        $application->call('register_topic', 'session.1');
        $browser = $this->subscribe($worker, 'session.1', $application->call('create_token', 'session.1'));

        $this->assertSame(10, $application->run(self::TEN_PUBLISHES));

        $this->assertInTime(0.0, $application);
        foreach (range(0, 9) as $n) {
            $this->assertSame(['n' => $n], $browser->nextMessage()['payload']);
        }
        $this->assertSame([], $application->log());
    }

    public function testTheNextAddressIsUsedOnceTheFirstCouldNotBeConnectedTo(): void
    {
        $worker = $this->worker();
        $unplugged = DeafNode::unplugged();
        $application = $this->application($this->config($worker, [
            'worker_urls' => [$unplugged->url, $worker->internal],
        ]));

        $this->assertSame(10, $application->run(self::TEN_PUBLISHES));

        $this->assertInTime(0.5, $application);
    }

    public function testTheFirstAddressIsTriedFirstByEveryRequest(): void
    {
        $workers = [$this->worker(), $this->worker()];
        $urls = [$workers[0]->internal, $workers[1]->internal];
        $application = $this->application($this->config($workers[0], ['worker_urls' => $urls]));
        $workers[0]->end();
        $this->assertTrue($application->call('register_topic', 'session.1'));
        $workers[0]->start();
        $application->endRequest();

        $this->assertTrue($application->call('register_topic', 'session.2'));

        $first = $this->application($this->config($workers[0]));
        $this->assertFalse($first->call('has_topic', 'session.1'));
        $this->assertTrue($first->call('has_topic', 'session.2'));
    }

    public function testTheNextAddressIsNotUsedAfterATimeOut(): void
    {
        $hanging = DeafNode::hanging();
        $other = $this->scripted(ScriptedNode::DONE);
        $application = $this->application($this->configOf([$hanging->url, $other->url], ['worker_timeout' => 0.3]));

        $this->assertFalse($application->call('publish', 'session.1', 1));

        $this->assertInTime(0.3, $application);
        $this->assertSame([], $other->paths());
    }

    public function testALoadBalancerThatIsDownIsNotPassedOver(): void
    {
        $worker = $this->worker();
        $down = DeafNode::closed()->url;
        $application = $this->application($this->config($worker, ['worker_vip' => $down]));

        $this->assertFalse($application->call('publish', 'session.1', 1));

        $this->assertStringStartsWith("wavelog_worker: $down cannot be reached", $application->log()[0]);
        $this->assertSame(1, $application->call('status')['nodes_alive']);
    }

    public function testTheOneAddressOfNewerApplicationsIsCalled(): void
    {
        $worker = $this->worker();
        $application = $this->application($this->config($worker, [
            'worker_url' => $worker->internal,
            'worker_urls' => [DeafNode::closed()->url],
            'worker_vip' => DeafNode::closed()->url,
        ]));

        $this->assertTrue($application->call('publish', 'session.1', 1));
        $this->assertSame([], $application->log());
    }

    public function testTheStatusOfEveryNodeIsThereInTimeWhateverTheyDo(): void
    {
        $up = $this->worker();
        $stranger = new Worker('another-secret-of-another-worker-0123456789');
        $hanging = [DeafNode::hanging(), DeafNode::hanging()];
        $unplugged = DeafNode::unplugged();
        $down = DeafNode::closed();
        $broken = $this->scripted(ScriptedNode::answer(500, "oh no\n"));
        $application = $this->application($this->config($up, ['worker_urls' => [
            $down->url, $hanging[0]->url, $up->internal, $stranger->internal, $unplugged->url, $broken->url,
            $hanging[1]->url,
        ]]));

        $nodes = $application->call('status_all');
        $seconds = $application->seconds;
        $status = $application->call('status');
        $stranger->stop();

        $this->assertLessThan(0.8 + self::MARGIN_SECONDS, $seconds);
        $this->assertSame(['down', 'slow', 'up', 'forbidden', 'down', 'error', 'slow'], array_column($nodes, 'state'));
        $this->assertSame([false, false, true, false, false, false, false], array_column($nodes, 'alive'));
        foreach ($nodes as $node) {
            $this->assertSame($node['alive'], $node['error'] === null);
            $this->assertSame($node['alive'], $node['version'] !== null);
            $this->assertSame($node['alive'], $node['active_topics'] !== null);
        }
        $this->assertSame([7, 1, 0, 0], [
            $status['nodes_total'], $status['nodes_alive'], $status['active_topics'], $status['connected_clients'],
        ]);
        $this->assertSame([], $application->log());
    }

    public function testWithoutANodeThatIsAliveThereAreNoSums(): void
    {
        $status = $this->application($this->configOf([DeafNode::closed()->url]))->call('status');

        $this->assertSame([true, null, 1, 0, null, null], array_slice(array_values($status), 0, 6));
        $this->assertFalse($status['nodes'][0]['alive']);
    }
}
