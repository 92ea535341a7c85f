<?php
declare(strict_types=1);

/**
 * A worker process of its own on free ports; the binary is named by WAVELOG_WORKER_BIN.
 *
 * Where it listens it says itself, in the log line "listening".
 */
final class Worker
{
    public readonly string $secret;
    /** Where PHP posts. */
    public readonly string $internal;
    /** Where browsers connect: host and port. */
    public readonly string $ws;
    /** @var resource */
    private $process;
    private string $directory;

    public function __construct(string $secret = 'qJ7-this-one-signs-for-the-php-suite-4x')
    {
        $this->secret = $secret;
        $binary = getenv('WAVELOG_WORKER_BIN') ?: __DIR__ . '/../../../target/debug/wavelog_worker';
        if (!is_executable($binary)) {
            throw new RuntimeException("no worker at $binary; build it with `cargo build`");
        }
        $this->directory = sys_get_temp_dir() . '/wavelog_worker.' . bin2hex(random_bytes(6));
        mkdir($this->directory, 0700);
        file_put_contents($this->path('config.yaml'), implode("\n", [
            'worker_secret: ' . json_encode($secret),
            'ws_bind: 127.0.0.1',
            'ws_port: 0',
            'internal_port: 0',
            'log_format: json',
        ]));
        $environment = array_filter(
            getenv(),
            fn (string $name) => !str_starts_with($name, 'WORKER_'),
            ARRAY_FILTER_USE_KEY,
        );
        $streams = [
            ['file', '/dev/null', 'r'],
            ['file', '/dev/null', 'w'],
            ['file', $this->path('log'), 'w'],
        ];
        $command = [$binary, '--config', $this->path('config.yaml')];
        $this->process = proc_open($command, $streams, $pipes, $this->directory, $environment);
        $listening = $this->waitForLine('listening');
        $this->internal = "http://{$listening['internal']}";
        $this->ws = $listening['ws'];
    }

    /** Ends the process; returns its exit code. */
    public function stop(): int
    {
        proc_terminate($this->process);
        $deadline = microtime(true) + 10;
        while (($status = proc_get_status($this->process))['running']) {
            if (microtime(true) > $deadline) {
                proc_terminate($this->process, 9);
                throw new RuntimeException('the worker did not end');
            }
            usleep(5_000);
        }
        proc_close($this->process);
        array_map('unlink', glob($this->path('*')));
        rmdir($this->directory);
        return $status['exitcode'];
    }

    private function waitForLine(string $message): array
    {
        $deadline = microtime(true) + 10;
        while (microtime(true) < $deadline) {
            foreach (file($this->path('log')) as $line) {
                $entry = json_decode($line, true);
                if (($entry['message'] ?? null) === $message) {
                    return $entry;
                }
            }
            if (!proc_get_status($this->process)['running']) {
                break;
            }
            usleep(5_000);
        }
        throw new RuntimeException("no '$message' in: " . file_get_contents($this->path('log')));
    }

    private function path(string $name): string
    {
        return "{$this->directory}/$name";
    }
}
