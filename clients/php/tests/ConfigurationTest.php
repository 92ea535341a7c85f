<?php
declare(strict_types=1);

use WavelogWorker\Client;
use WavelogWorker\Exception\WorkerException;

/** What a client is made of: URLs, secret, options; and that the secret shows up nowhere. */
final class ConfigurationTest extends WorkerTestCase
{
    private const SECRET = 'the-very-secret-text-of-this-test-0123456789';

    public static function bad(): array
    {
        $url = 'http://127.0.0.1:9001';
        return [
            'no URL' => [[], self::SECRET, [], 'at least one'],
            'an empty URL' => ['', self::SECRET, [], 'write it like'],
            'no scheme' => ['127.0.0.1:9001', self::SECRET, [], 'write it like'],
            'a host and a port' => ['localhost:9001', self::SECRET, [], 'write it like'],
            'another scheme' => ['file:///etc/passwd', self::SECRET, [], 'write it like'],
            'a WebSocket' => ['ws://127.0.0.1:9000', self::SECRET, [], 'write it like'],
            'a query' => ["$url/?a=b", self::SECRET, [], 'write it like'],
            'a line feed' => ["$url/\nx", self::SECRET, [], 'write it like'],
            'a number' => [[9001], self::SECRET, [], 'list of strings'],
            'no list' => [9001, self::SECRET, [], 'a string or a list'],
            'a short secret' => [$url, 'short', [], 'less than 32 bytes'],
            'a secret of two lines' => [$url, self::SECRET . "\nX-Header: x", [], 'one line'],
            'a secret with a space behind it' => [$url, self::SECRET . ' ', [], 'one line'],
            'an unknown option' => [$url, self::SECRET, ['timeuot' => 1], "no option 'timeuot'"],
            'no time' => [$url, self::SECRET, ['timeout' => 0], 'timeout has to be'],
            'a time as text' => [$url, self::SECRET, ['timeout' => '1'], 'timeout has to be'],
            'a time that is no number' => [$url, self::SECRET, ['timeout' => NAN], 'timeout has to be'],
            'too long to connect' => [$url, self::SECRET, ['connect_timeout' => 0.6], 'to 0.5'],
            'dead for a negative time' => [$url, self::SECRET, ['dead_for' => -1], 'dead_for has to be'],
            'an option of a wrong type' => [$url, self::SECRET, ['substitute_invalid_utf8' => 1], 'true or false'],
        ];
    }

    /**
     * @dataProvider bad
     *
     * @param mixed $urls
     */
    public function testWhatIsOfNoUseIsRefusedWithTheReason($urls, string $secret, array $options, string $words): void
    {
        $failure = $this->thrown(InvalidArgumentException::class, static function () use ($urls, $secret, $options): void {
            new Client($urls, $secret, $options);
        });

        $this->assertStringContainsString($words, $failure->getMessage());
        $this->assertStringNotContainsString($secret, $failure->getMessage());
    }

    public function testAUrlMayHaveSpaceAroundItASlashBehindItAndAPath(): void
    {
        $node = $this->scripted(ScriptedNode::DONE);

        $this->clientOf([" $node->url/ "])->publish('a', 1);
        $this->clientOf(["$node->url/worker/"])->publish('a', 1);

        $this->assertSame(['/internal/publish', '/worker/internal/publish'], $node->paths());
    }

    public function testUserAndPasswordOfAUrlAreSentAndNeverShown(): void
    {
        $node = $this->scripted(ScriptedNode::answer(500, ''));
        $client = $this->clientOf([str_replace('http://', 'http://user:pa55word@', $node->url)]);

        $failure = $this->thrown(WorkerException::class, static function () use ($client): void {
            $client->publish('a', 1);
        });
        ob_start();
        var_dump($client, $client->statusAll());
        $dump = ob_get_clean();

        $this->assertStringContainsString(
            'Authorization: Basic ' . base64_encode('user:pa55word'),
            $node->requests()[0]['head']
        );
        $this->assertStringContainsString($node->url, $failure->getMessage());
        $this->assertStringNotContainsString('pa55word', $failure->getMessage() . $dump);
    }

    /** @return string what show-everything.php prints of a library, with the optimizer of OPcache */
    private function everything(string $library): string
    {
        // In a process of its own: traces here would lead to PHPUnit, which holds all test data.
        $php = proc_open(
            [getenv('PHP_OF_TESTS') ?: PHP_BINARY, '-d', 'zend.exception_ignore_args=0',
                '-d', 'zend.exception_string_param_max_len=1000', '-d', 'opcache.enable_cli=1',
                '-d', 'opcache.file_update_protection=0', __DIR__ . '/support/show-everything.php', $library],
            [['file', '/dev/null', 'r'], ['pipe', 'w'], ['redirect', 1]],
            $pipes,
            null,
            ['SECRET' => self::SECRET] + getenv()
        );
        $shown = stream_get_contents($pipes[1]);

        $this->assertSame(0, proc_close($php), $shown);
        $this->assertSame(6, substr_count($shown, 'Thrown: '), $shown);
        $this->assertStringContainsString('everything was shown', $shown);
        return $shown;
    }

    public function testTheSecretIsInNoDumpNoExportAndNoTrace(): void
    {
        $this->assertStringNotContainsString(self::SECRET, $this->everything(__DIR__ . '/..'));
    }

    /** To PHP before 8.2 the attribute is a comment; and OPcache leaves out what it holds for useless. */
    public function testTheSecretIsInNoTraceWithoutTheAttributeEither(): void
    {
        $library = sys_get_temp_dir() . '/wavelog_worker.old.' . getmypid();
        mkdir("$library/src/Exception", 0700, true);
        $root = __DIR__ . '/../';
        foreach (['autoload.php', 'src/*.php', 'src/Exception/*.php'] as $pattern) {
            foreach (glob($root . $pattern) as $file) {
                $code = str_replace('#[\SensitiveParameter]', '', file_get_contents($file));
                file_put_contents("$library/" . substr($file, strlen($root)), $code);
            }
        }
        try {
            $shown = $this->everything($library);
        } finally {
            array_map('unlink', array_merge(glob("$library/src/Exception/*"), glob("$library/src/*.php"), glob("$library/*.php")));
            array_map('rmdir', ["$library/src/Exception", "$library/src", $library]);
        }

        $this->assertStringNotContainsString(self::SECRET, $shown);
    }

    public function testASecretCannotBeMadeOfWhatSomebodyElseWrote(): void
    {
        $client = new Client('http://127.0.0.1:1', self::SECRET);
        $forged = 'O:20:"WavelogWorker\Secret":1:{s:28:"' . "\0WavelogWorker\Secret\0number" . '";i:1;}';

        $this->thrown(LogicException::class, static function () use ($forged): void {
            unserialize($forged);
        });

        $this->assertNotSame('', $client->token('session.42', 1, 60));
    }

    public function testProxiesOfTheEnvironmentAreNotUsed(): void
    {
        $proxy = DeafNode::closed()->url;
        $names = ['http_proxy', 'https_proxy', 'all_proxy', 'ALL_PROXY'];
        foreach ($names as $name) {
            putenv("$name=$proxy");
        }
        try {
            $this->client()->register('session.42');
            $nodes = $this->client()->statusAll();
        } finally {
            array_map('putenv', $names);
        }

        $this->assertSame(['up'], array_column($nodes, 'state'));
    }

    public function testWhatIsSentIsWhatTheProtocolSays(): void
    {
        $node = $this->scripted(ScriptedNode::DONE);
        $client = new Client($node->url, self::SECRET);

        $client->register('a');
        $client->publish('a', ['big' => str_repeat('x', 900000)]);

        [$register, $publish] = $node->requests();
        $this->assertSame('{"topic":"a","meta":{"require_token":true}}', $register['body']);
        $this->assertStringStartsWith("POST /internal/register HTTP/1.1\r\n", $register['head']);
        $this->assertStringContainsString("\r\nX-Worker-Secret: " . self::SECRET . "\r\n", $register['head']);
        $this->assertStringContainsString("\r\nContent-Type: application/json\r\n", $register['head']);
        $this->assertStringNotContainsString('Expect', $publish['head']);
        $this->assertSame(900034, strlen($publish['body']));
    }

    /** What a forked child says over its parent's connection would be mixed with what that says. */
    public function testAChildProcessMakesAConnectionOfItsOwn(): void
    {
        $client = $this->client();
        $client->register('session.42');
        $browser = $this->browser($client, 'session.42');

        $child = pcntl_fork();
        if ($child === 0) {
            $client->publish('session.42', 'child');
            posix_kill(getmypid(), SIGKILL); // PHPUnit must not end a second time.
        }
        pcntl_waitpid($child, $status);
        $client->publish('session.42', 'parent');

        $this->assertSame(['type' => 'push', 'payload' => 'child'], $browser->nextMessage());
        $this->assertSame(['type' => 'push', 'payload' => 'parent'], $browser->nextMessage());
    }

    public function testAChildProcessLeavesTheConnectionOfItsParentAlone(): void
    {
        // The node serves the parent's connection until that ends; it has no time for another one.
        $node = $this->scripted(ScriptedNode::DONE);
        $client = $this->clientOf([$node->url], ['timeout' => 0.3]);
        $client->register('session.42');

        $child = pcntl_fork();
        if ($child === 0) {
            try {
                $client->publish('session.42', 'child');
            } finally {
                posix_kill(getmypid(), SIGKILL);
            }
        }
        pcntl_waitpid($child, $status);
        $client->publish('session.42', 'parent');

        $this->assertSame('{"topic":"session.42","payload":"parent"}', $node->requests()[1]['body']);
    }
}
