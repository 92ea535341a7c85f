<?php

declare(strict_types=1);

use PHPUnit\Framework\TestCase;

/** Applications and workers that end with the test, and what holds in every one of them. */
abstract class DropInTestCase extends TestCase
{
    /** What the application may take beyond `worker_timeout`, on a machine that is busy. */
    protected const MARGIN_SECONDS = 0.6;

    /** @var Application[] */
    private array $applications = [];
    /** @var callable[] */
    private array $endings = [];

    protected function tearDown(): void
    {
        $leaks = [];
        foreach ($this->applications as $application) {
            if ($application->secret !== '' && strpos(implode($application->log()), $application->secret) !== false) {
                $leaks[] = $application->log();
            }
            $application->close();
        }
        foreach ($this->endings as $end) {
            $end();
        }
        $this->assertSame([], $leaks, 'the secret is in the log');
    }

    /** An application whose worker.php says `$config`. See {@see Application}. */
    protected function application(
        ?array $config,
        ?array $session = ['user_id' => '7'],
        string $environment = 'production'
    ): Application {
        return $this->applications[] = new Application($config, $session, $environment);
    }

    protected function worker(): Worker
    {
        $worker = new Worker();
        $this->endings[] = [$worker, 'stop'];
        return $worker;
    }

    /** A node that misbehaves as its script says. See {@see ScriptedNode}. */
    protected function scripted(string ...$script): ScriptedNode
    {
        $node = new ScriptedNode($script);
        $this->endings[] = [$node, 'stop'];
        return $node;
    }

    /** What worker.php says for addresses where no worker of this test listens. */
    protected function configOf(array $urls, array $more = []): array
    {
        return $more + [
            'worker_enabled' => true,
            'worker_urls' => $urls,
            'worker_secret' => 'a-secret-that-is-long-enough-for-all-4x',
            'worker_client_url' => 'ws://127.0.0.1:9000',
        ];
    }

    /** What worker.php says for a worker. */
    protected function config(Worker $worker, array $more = []): array
    {
        return $more + [
            'worker_enabled' => true,
            'worker_urls' => [$worker->internal],
            'worker_secret' => $worker->secret,
            'worker_client_url' => "ws://{$worker->ws}",
        ];
    }

    /** Subscribes a browser, which is let in. */
    protected function subscribe(Worker $worker, string $topic, string $token): Browser
    {
        $browser = new Browser($worker->ws, $topic, $token);
        $this->assertSame('{"type":"auth_ok"}', $browser->next());
        return $browser;
    }

    /** The claims of a token that is signed with `$secret`. */
    protected function claims(string $token, string $secret): array
    {
        [$message, $signature] = explode('.', $token);
        $this->assertSame(hash_hmac('sha256', $message, $secret), $signature);
        return json_decode(hex2bin($message), true, 512, JSON_THROW_ON_ERROR);
    }
}
