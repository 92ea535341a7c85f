<?php
declare(strict_types=1);

/**
 * A worker process of its own on free ports; the binary is named by WAVELOG_WORKER_BIN.
 *
 * Where it listens it says itself, in the log line "listening". Written for PHP 7.4, as the suite
 * of clients/php uses it, too.
 */
final class Worker
{
    /** @var string */
    public $secret;
    /** @var string where PHP posts */
    public $internal;
    /** @var string where browsers connect: host and port */
    public $ws;
    /** @var resource|null */
    private $process = null;
    /** @var string */
    private $directory;

    public function __construct(string $secret = 'qJ7-this-one-signs-for-the-php-suite-4x')
    {
        $this->secret = $secret;
        $this->directory = sys_get_temp_dir() . '/wavelog_worker.' . bin2hex(random_bytes(6));
        mkdir($this->directory, 0700);
        $this->start();
    }

    /** Ends the process and removes its files; returns its exit code. */
    public function stop(): int
    {
        $exitCode = $this->end();
        array_map('unlink', glob($this->path('*')));
        rmdir($this->directory);
        return $exitCode;
    }

    /** Ends the process as an operator would; {@see start()} brings it back on the same ports. */
    public function end(): int
    {
        return $this->endWith(15);
    }

    /** Ends the process as a crash would; {@see start()} brings it back on the same ports. */
    public function kill(): void
    {
        $this->endWith(9);
    }

    /** Starts the process: the first time on free ports, then always on the same. */
    public function start(): void
    {
        $binary = getenv('WAVELOG_WORKER_BIN') ?: __DIR__ . '/../../../target/debug/wavelog_worker';
        if (!is_executable($binary)) {
            throw new RuntimeException("no worker at $binary; build it with `cargo build`");
        }
        file_put_contents($this->path('config.yaml'), implode("\n", [
            'worker_secret: ' . json_encode($this->secret),
            'ws_bind: 127.0.0.1',
            'ws_port: ' . self::port($this->ws),
            'internal_port: ' . self::port($this->internal),
            'log_format: json',
        ]));
        $environment = array_filter(
            getenv(),
            static function (string $name): bool {
                return strncmp($name, 'WORKER_', 7) !== 0;
            },
            ARRAY_FILTER_USE_KEY
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

    private function endWith(int $signal): int
    {
        if ($this->process === null) {
            return 0;
        }
        proc_terminate($this->process, $signal);
        $deadline = microtime(true) + 10;
        while (($status = proc_get_status($this->process))['running']) {
            if (microtime(true) > $deadline) {
                proc_terminate($this->process, 9);
                throw new RuntimeException('the worker did not end');
            }
            usleep(5000);
        }
        proc_close($this->process);
        $this->process = null;
        return $status['exitcode'];
    }

    /** The port of an address that was found before; 0, any free one, if there is none yet. */
    private static function port(?string $address): string
    {
        return $address === null ? '0' : substr($address, strrpos($address, ':') + 1);
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
            usleep(5000);
        }
        throw new RuntimeException("no '$message' in: " . file_get_contents($this->path('log')));
    }

    private function path(string $name): string
    {
        return "{$this->directory}/$name";
    }
}
