<?php

declare(strict_types=1);

/** What is switched off, not configured, half installed or misconfigured does nothing, and says so. */
final class InstallationTest extends DropInTestCase
{
    private const EVERYTHING = '
        $CI->load->library("worker_publisher");
        $worker = $CI->worker_publisher;
        return [
            $worker->is_enabled(), $worker->register_topic("a"), $worker->publish("a", 1),
            $worker->unregister_topic("a"), $worker->has_topic("a"), $worker->client_url(),
            $worker->create_token("a"), $worker->create_session_token(1), $worker->status_all(),
        ];
    ';
    private const NOTHING = [false, false, false, false, false, '', '', '', []];
    private const STATUS_OF_NOTHING = [
        'enabled' => false,
        'vip' => null,
        'nodes_total' => 0,
        'nodes_alive' => 0,
        'active_topics' => null,
        'connected_clients' => null,
        'nodes' => [],
    ];

    /** Nothing is done, and it takes no time; the log has these lines, each once. */
    private function assertNothing(Application $application, array $log): void
    {
        $this->assertSame(self::NOTHING, $application->run(self::EVERYTHING));
        $this->assertLessThan(self::MARGIN_SECONDS, $application->seconds);
        $this->assertSame(self::STATUS_OF_NOTHING, $application->call('status'));
        $this->assertSame($log, $application->log());
    }

    public function testWhatIsSwitchedOffCallsNobody(): void
    {
        $node = $this->scripted(ScriptedNode::DONE);

        $this->assertNothing($this->application($this->configOf([$node->url], ['worker_enabled' => false])), []);

        $this->assertSame([], $node->requests());
    }

    public function testTheInstalledConfigurationIsSwitchedOff(): void
    {
        $this->assertNothing($this->application(null), []);
    }

    public function testWithoutAConfigurationItIsSwitchedOff(): void
    {
        $application = $this->application(null);
        unlink("{$application->path}/config/worker.php");

        $this->assertNothing($application, []);
    }

    public function testWithoutASecretOrAnAddressItIsOffAndTheLogSaysWhy(): void
    {
        $this->assertNothing($this->application($this->configOf([], ['worker_secret' => ''])), [
            'wavelog_worker: application/config/worker.php: worker_enabled is TRUE, but there is no address of a worker; '
                . "the worker is not called. Write worker_urls = ['http://127.0.0.1:9001'].",
            'wavelog_worker: application/config/worker.php: worker_enabled is TRUE, but worker_secret is empty; the '
                . "worker is not called. Write the same as worker_secret in the worker's config.yaml.",
        ]);
    }

    public function testASecretThatCannotBeSentIsNotInTheLog(): void
    {
        $secret = "a-secret-that-is-long-enough-for-all-4x\nX-Other: header";

        $this->assertNothing($this->application($this->configOf(['http://127.0.0.1:1'], ['worker_secret' => $secret])), [
            'wavelog_worker: application/config/worker.php: worker_secret is no text, or has white space around it or '
                . "an end of line in it; the worker is not called. Write it exactly as in the worker's config.yaml.",
        ]);
    }

    public function testATimeOutThatIsNoneIsNamedAndOneSecondIsUsed(): void
    {
        $hanging = DeafNode::hanging();
        $application = $this->application($this->configOf([$hanging->url], ['worker_timeout' => 'abc']));

        $this->assertFalse($application->call('publish', 'session.1', 1));

        $this->assertGreaterThan(0.9, $application->seconds);
        $this->assertLessThan(1.0 + self::MARGIN_SECONDS, $application->seconds);
        $this->assertSame('wavelog_worker: application/config/worker.php: worker_timeout is "abc", which is not between '
            . '0.001 and 30 seconds; 1.0 is used.', $application->log()[0]);
    }

    public function testAnAddressInPlaceOfAListIsCalled(): void
    {
        $worker = $this->worker();
        $application = $this->application($this->config($worker, ['worker_urls' => $worker->internal]));

        $this->assertTrue($application->call('publish', 'session.1', 1));
        $this->assertSame([], $application->log());
    }

    public function testAConfigurationThatFillsNothingOrIsNoPhpIsNamed(): void
    {
        foreach (['<?php $conf["worker_enabled"] = TRUE;', '<?php $config["worker_enabled" = TRUE;'] as $text) {
            $application = $this->application(null);
            $application->write('config/worker.php', $text);

            $this->assertNothing($application, [
                'wavelog_worker: application/config/worker.php cannot be read as PHP that fills $config; the worker is '
                    . 'not called. Compare it with the one of clients/php/codeigniter3.',
            ]);
        }
    }

    public function testALibraryThatIsMissingIsNamedWithWhatToCopyWhere(): void
    {
        $worker = $this->worker();
        $application = $this->application($this->config($worker));
        $library = "{$application->path}/third_party/wavelog-worker";
        rename("$library/autoload.php", "$library/elsewhere.php");

        $this->assertNothing($application, [
            'wavelog_worker: the library WavelogWorker is missing; the worker is not called. Copy src/ and autoload.php '
                . 'of clients/php to application/third_party/wavelog-worker/, or install wavelog/worker-client with '
                . 'Composer.',
        ]);
    }

    public function testALibraryThatComposerLoadsNeedsNoCopy(): void
    {
        $worker = $this->worker();
        $application = $this->application($this->config($worker));
        $library = "{$application->path}/third_party/wavelog-worker";
        rename($library, "{$application->path}/vendor");

        $done = $application->run('
            require APPPATH . "vendor/autoload.php";
            $CI->load->library("worker_publisher");
            return $CI->worker_publisher->publish("session.1", 1);
        ');

        $this->assertTrue($done);
        $this->assertSame([], $application->log());
    }

    /** Many applications have one for the classes they extend in core/, and it takes every class for its own. */
    public function testAnAutoloaderThatTakesEveryClassForItsOwnIsNotAsked(): void
    {
        $application = $this->application($this->config($this->worker()));

        $asked = $application->run('
            spl_autoload_register(function ($class) use (&$asked) { $asked[] = $class; });
            $CI->load->library("worker_publisher");
            $CI->worker_publisher->publish("session.1", 1);
            $CI->worker_publisher->status();
            return $asked;
        ');

        $this->assertNull($asked);
        $this->assertSame([], $application->log());
    }

    public function testALibraryThatWasCopiedInPartIsNamed(): void
    {
        foreach (['QuietClient.php', 'Client.php', 'Options.php', 'Secret.php', 'Transport.php', 'Url.php'] as $file) {
            $application = $this->application($this->config($this->worker()));
            $application->write("third_party/wavelog-worker/src/$file", '<?php half a file');

            $this->assertSame(self::NOTHING, $application->run(self::EVERYTHING));

            $this->assertCount(1, $application->log());
            $this->assertStringStartsWith('wavelog_worker: ', $application->log()[0]);
        }
    }

    public function testALibraryOfWhichAFileIsMissingIsALineAndNothingElse(): void
    {
        foreach (['Exchange.php', 'Answer.php', 'Json.php', 'Token.php', 'Survey.php', 'Status.php'] as $file) {
            $application = $this->application($this->config($this->worker()));
            unlink("{$application->path}/third_party/wavelog-worker/src/$file");

            $application->run(self::EVERYTHING);

            $this->assertNotSame([], $application->log(), $file);
            foreach ($application->log() as $line) {
                $this->assertStringContainsString('not found', $line);
            }
        }
    }

    public function testPhpWithoutCurlIsNamed(): void
    {
        $application = $this->application($this->config($this->worker()));
        // A php.ini that loads nothing, or just what CodeIgniter cannot do without where that is apart.
        $folder = ini_get('extension_dir');
        $json = is_file("$folder/json.so") ? "extension_dir=$folder\nextension=json\n" : '';
        $application->write('config/php.ini', $json);
        $application->arguments = ['-n', '-c', "{$application->path}/config/php.ini"];

        $this->assertNothing($application, [
            "wavelog_worker: PHP's extension curl is missing; the worker is not called. Install it (Debian: php-curl) "
                . 'and restart PHP.',
        ]);
    }

    public function testProblemsAreInTheLogOnceForARequestHoweverManyLibrariesThereAre(): void
    {
        $application = $this->application($this->configOf([], []));
        copy(__DIR__ . '/../optional/libraries/Worker.php', "{$application->path}/libraries/Worker.php");

        $application->run('$CI->load->library("worker"); $CI->load->library("worker_publisher"); return null;');

        $this->assertCount(1, $application->log());
    }
}
