<?php

declare(strict_types=1);

/** The library in an application, with a worker that is well. */
final class DropInTest extends DropInTestCase
{
    public function testWhatAPageDoesReachesTheBrowser(): void
    {
        $worker = $this->worker();
        $application = $this->application($this->config($worker));

        $this->assertTrue($application->call('is_enabled'));
        $this->assertTrue($application->call('register_topic', 'session.42'));
        $token = $application->call('create_token', 'session.42');
        $url = $application->call('client_url');
        $browser = $this->subscribe($worker, 'session.42', $token);
        $this->assertTrue($application->call('publish', 'session.42', ['event' => 'qso', 'call' => 'DL1ABC/p']));

        $this->assertSame(['event' => 'qso', 'call' => 'DL1ABC/p'], $browser->nextMessage()['payload']);
        $this->assertSame("ws://{$worker->ws}", $url);
        $this->assertSame([], $application->log());
    }

    public function testItIsLoadedByEitherNameAndSpelling(): void
    {
        $application = $this->application($this->config($this->worker()));
        copy(__DIR__ . '/../optional/libraries/Worker.php', "{$application->path}/libraries/Worker.php");

        $published = $application->run('
            $CI->load->library("worker_publisher");
            $CI->load->is_loaded("worker") ?: $CI->load->library("worker");
            return [
                $CI->worker_publisher->publish("session.1", ["n" => 1]),
                $CI->worker->publish("session.1", ["n" => 2]),
            ];
        ');

        $this->assertSame([true, true], $published);
        $this->assertSame([], $application->log());
    }

    public function testATopicIsKnownUntilItIsUnregistered(): void
    {
        $worker = $this->worker();
        $application = $this->application($this->config($worker));

        $this->assertFalse($application->call('has_topic', 'dxspots'));
        $application->call('register_topic', 'dxspots', false);
        $this->assertTrue($application->call('has_topic', 'dxspots'));
        $this->subscribe($worker, 'dxspots', '');
        $this->assertTrue($application->call('unregister_topic', 'dxspots'));
        $this->assertFalse($application->call('has_topic', 'dxspots'));

        $this->assertSame([], $application->log());
    }

    public function testAnOpenTopicStaysOpenWhenAPublishRegistersItAgain(): void
    {
        $worker = $this->worker();
        $application = $this->application($this->config($worker));
        $application->call('register_topic', 'dxspots', false);
        // Somebody else makes the worker forget it.
        $this->assertTrue($this->application($this->config($worker))->call('unregister_topic', 'dxspots'));

        $this->assertTrue($application->call('publish', 'dxspots', 1));

        $this->subscribe($worker, 'dxspots', '');
    }

    public function testBytesThatAreNotUtf8AreReplacedAndTheRestArrives(): void
    {
        $worker = $this->worker();
        $application = $this->application($this->config($worker));
        $application->call('register_topic', 'session.1');
        $browser = $this->subscribe($worker, 'session.1', $application->call('create_token', 'session.1'));

        $this->assertTrue($application->run('
            return $CI->worker_publisher->publish("session.1", ["name" => "M\xfcller", "call" => "DL1ABC"]);
        '));

        $this->assertSame(['name' => "M\u{FFFD}ller", 'call' => 'DL1ABC'], $browser->nextMessage()['payload']);
        $this->assertSame([], $application->log());
    }

    public function testWhatCannotBeJsonIsALineInTheLogAndNothingElse(): void
    {
        $application = $this->application($this->config($this->worker()));

        $answers = $application->run('
            $CI->load->library("worker_publisher");
            $loop = []; $loop["self"] =& $loop;
            $broken = new class implements JsonSerializable {
                #[ReturnTypeWillChange]
                public function jsonSerialize() { throw new LogicException("broken object"); }
            };
            return array_map(
                function ($payload) use ($CI) { return $CI->worker_publisher->publish("session.1", $payload); },
                [NAN, INF, fopen("php://memory", "r"), $loop, $broken, function () {}]
            );
        ');

        $this->assertSame([false, false, false, false, false], array_slice($answers, 0, 5));
        $this->assertCount(count(array_filter($answers, fn ($done) => !$done)), $application->log());
        foreach ($application->log() as $line) {
            $this->assertStringStartsWith('wavelog_worker: ', $line);
            $this->assertStringEndsWith(' [publish session.1]', $line);
        }
    }

    public function testArgumentsThatMakeNoSenseAreLinesInTheLogAndNothingElse(): void
    {
        $application = $this->application($this->config($this->worker()));

        $answers = $application->run('
            $CI->load->library("worker_publisher");
            $worker = $CI->worker_publisher;
            return [
                $worker->register_topic(""), $worker->register_topic(null), $worker->publish([], 1),
                $worker->unregister_topic(false), $worker->create_token(new stdClass()), $worker->has_topic(1.5),
                $worker->create_session_token(0), $worker->create_session_token("abc"),
                $worker->create_session_token(true), $worker->register_topic("a\nb"),
            ];
        ');

        $this->assertSame([false, false, false, false, '', false, '', '', '', true], $answers);
        $nothing = 'wavelog_worker: there is no topic to do it with; nothing was done';
        $session = 'wavelog_worker: the id of the session is no whole number above 0, so there is no token for it';
        $this->assertSame([
            "$nothing [register_topic]", "$nothing [register_topic]", "$nothing [publish]",
            "$nothing [unregister_topic]", "$nothing [create_token]", "$nothing [has_topic]",
            "$session [create_session_token]", "$session [create_session_token]", "$session [create_session_token]",
        ], $application->log());
    }

    public function testATopicMayBeANumberAndAFlagAText(): void
    {
        $application = $this->application($this->config($this->worker()));

        $this->assertTrue($application->call('register_topic', 42, 'a token by mistake'));
        $this->assertTrue($application->call('has_topic', '42'));
        $this->assertTrue($application->call('has_topic', 42));

        $this->assertSame([], $application->log());
    }

    public function testAMethodThatIsNotThereIsALineInTheLogAndNull(): void
    {
        $application = $this->application($this->config($this->worker()));

        $this->assertNull($application->call('teleport', 'session.1'));

        $this->assertSame(['wavelog_worker: this library does not have the method that the application calls; look '
            . 'for a newer clients/php/codeigniter3 [teleport]'], $application->log());
    }

    public function testTheConfigurationMayBeLoadedBeforehandWithoutASection(): void
    {
        $application = $this->application($this->config($this->worker()));

        $enabled = $application->run('
            $CI->config->load("worker");
            $CI->load->library("worker_publisher");
            return $CI->worker_publisher->is_enabled();
        ');

        $this->assertTrue($enabled);
    }

    public function testTheConfigurationOfTheEnvironmentComesOnTop(): void
    {
        $worker = $this->worker();
        $application = $this->application($this->config($worker), ['user_id' => '7'], 'testing');
        mkdir("{$application->path}/config/testing");
        $application->write('config/testing/worker.php', '<?php $config["worker_client_url"] = "wss://other/ws";');

        $this->assertSame('wss://other/ws', $application->call('client_url'));
        $this->assertTrue($application->call('is_enabled'));
    }

    public function testSettingsOfAnApplicationOfOldAreKeptWhenItIsInstalledAgain(): void
    {
        $worker = $this->worker();
        $application = $this->application($this->config($worker));
        $own = '<?php class Paths { function getPathQsl() { return "assets/qslcard"; } }';
        $application->write('libraries/Paths.php', $own);

        $application->install();

        $this->assertTrue($application->call('is_enabled'));
        $this->assertSame($own, file_get_contents("{$application->path}/libraries/Paths.php"));
    }

    public function testStatusSumsAllNodesAndHasNoMoreThanItsKeys(): void
    {
        $workers = [$this->worker(), $this->worker()];
        $application = $this->application($this->config($workers[0], [
            'worker_urls' => array_map(fn (Worker $worker) => $worker->internal, $workers),
        ]));
        $application->call('register_topic', 'session.1');
        $browser = $this->subscribe($workers[0], 'session.1', $application->call('create_token', 'session.1'));

        $status = $application->call('status');

        $this->assertNotNull($browser);
        $this->assertSame(
            ['enabled', 'vip', 'nodes_total', 'nodes_alive', 'active_topics', 'connected_clients', 'nodes'],
            array_keys($status)
        );
        $this->assertSame([true, null, 2, 2, 1, 1], array_slice(array_values($status), 0, 6));
        foreach ($status['nodes'] as $place => $node) {
            $this->assertSame(
                ['url', 'alive', 'version', 'active_topics', 'connected_clients', 'uptime'],
                array_keys($node)
            );
            $this->assertSame($workers[$place]->internal, $node['url']);
            $this->assertTrue($node['alive']);
            $this->assertSame(1 - $place, $node['active_topics']);
            $this->assertSame(1 - $place, $node['connected_clients']);
            $this->assertMatchesRegularExpression('/^\d+\.\d+\.\d+/', $node['version']);
            $this->assertMatchesRegularExpression('/^\d+s$/', $node['uptime']);
        }
        $this->assertSame([], $application->log());
    }

    public function testALoadBalancerIsCalledInsteadOfTheNodes(): void
    {
        $balancer = $this->worker();
        $node = $this->worker();
        $application = $this->application($this->config($node, ['worker_vip' => "{$balancer->internal}/"]));

        $this->assertTrue($application->call('register_topic', 'session.1'));
        $status = $application->call('status');

        $this->assertSame($balancer->internal, $status['vip']);
        $this->assertSame([$node->internal], array_column($status['nodes'], 'url'));
        $this->assertSame([], $application->log());
        $this->subscribe($balancer, 'session.1', $application->call('create_token', 'session.1'));
    }

    public function testAFailedCallAndAGoodOneAreToldApartInTheLogOfOneRequest(): void
    {
        $application = $this->application($this->config($this->worker()));

        $application->call('publish', '', 1);
        $application->call('publish', 'session.1', 1);

        $this->assertCount(1, $application->log());
    }
}
