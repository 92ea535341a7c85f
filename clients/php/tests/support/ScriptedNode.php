<?php
declare(strict_types=1);

/** A node that misbehaves as its script says, for what a real worker cannot be made to do. */
final class ScriptedNode
{
    public const DONE = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    /** Sends nothing, and keeps the connection. */
    public const HANG = 'hang';
    /** Ends the connection without an answer. */
    public const END = 'end';
    /** Ends the connection without an answer, and the process: nobody listens any more. */
    public const DIE = 'die';

    /** Sends an answer that never ends. */
    public const FLOOD = 'flood';

    /** @var string */
    public $url;
    /** @var resource */
    private $process;
    /** @var string */
    private $log;

    /** @param string[] $script what is answered to each request; the last one for ever */
    public function __construct(array $script)
    {
        $this->log = tempnam(sys_get_temp_dir(), 'scripted-node.');
        $this->process = proc_open(
            [getenv('PHP_OF_TESTS') ?: PHP_BINARY, __DIR__ . '/scripted-node.php', json_encode($script), $this->log],
            [['file', '/dev/null', 'r'], ['pipe', 'w']],
            $pipes
        );
        $this->url = 'http://127.0.0.1:' . trim(fgets($pipes[1]));
    }

    /** @param string $body of text */
    public static function answer(int $status, string $body): string
    {
        return "HTTP/1.1 $status Some Reason\r\nContent-Length: " . strlen($body) . "\r\n\r\n$body";
    }

    /**
     * What came so far: head and body of each request, and the number of its connection, from 1.
     *
     * @return array<int, array{head: string, body: string, connection: int}>
     */
    public function requests(): array
    {
        $requests = [];
        foreach (file($this->log) as $line) {
            $requests[] = json_decode($line, true);
        }
        return $requests;
    }

    /** @return string[] the paths that were called, in their order */
    public function paths(): array
    {
        return array_map(static function (array $request): string {
            return explode(' ', $request['head'])[1];
        }, $this->requests());
    }

    public function stop(): void
    {
        proc_terminate($this->process, 9);
        proc_close($this->process);
        unlink($this->log);
    }
}
