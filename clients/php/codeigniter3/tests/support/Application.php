<?php

declare(strict_types=1);

/**
 * A CodeIgniter application with the drop-in in it, installed as the README says, and one request
 * to it that lasts as long as the test wants.
 *
 * It runs in a php process of its own. The README's commands are carried out as they stand, except
 * for the folder of the application.
 */
final class Application
{
    /** The folder that CodeIgniter calls APPPATH. */
    public string $path;
    /** Seconds that the last call took. */
    public float $seconds = 0.0;
    /** @var string[] More arguments for php, before the request begins. */
    public array $arguments = [];
    /** What must not be in the log. */
    public string $secret = '';
    private string $directory;
    private static int $count = 0;
    /** @var array<string, string> */
    private array $environment;
    /** @var resource|null */
    private $process = null;
    /** @var resource[] */
    private array $pipes = [];
    /** @var resource|null */
    private $server = null;
    private string $address = '';

    /**
     * @param array|null $config what worker.php fills `$config` with; null keeps the one installed
     * @param array|null $session what the user's session holds; null is no session library
     */
    public function __construct(?array $config, ?array $session, string $environment)
    {
        $secret = $config['worker_secret'] ?? '';
        $this->secret = is_string($secret) ? $secret : '';
        $this->directory = sys_get_temp_dir() . '/wavelog_worker.ci3.' . getmypid() . '.' . ++self::$count;
        $this->path = $this->directory . '/application';
        foreach (['config', 'libraries', 'controllers', 'views', 'models', 'logs', 'third_party'] as $folder) {
            mkdir("{$this->path}/$folder", 0700, true);
        }
        $this->environment = array_diff_key(getenv(), ['CI_SESSION' => 0]);
        $this->environment['CI_APPPATH'] = $this->path;
        $this->environment['CI_ENV'] = $environment;
        if ($session !== null) {
            $this->environment['CI_SESSION'] = json_encode($session);
        }
        $this->install();
        if ($config !== null) {
            $this->write('config/worker.php', '<?php $config = ' . var_export($config, true) . ';');
        }
    }

    /** The commands under "Install" of the README. */
    public static function commands(): string
    {
        $readme = file_get_contents(__DIR__ . '/../../README.md');
        if (!preg_match('/^## Install\n.*?^```sh\n(.*?)^```/ms', $readme, $found)) {
            throw new RuntimeException('the README has no commands under "Install"');
        }
        return $found[1];
    }

    /** Carries out the commands of the README for this application; also again. */
    public function install(): void
    {
        $commands = preg_replace('/^app=.*$/m', 'app=' . escapeshellarg($this->path), self::commands(), 1, $count);
        if ($count !== 1) {
            throw new RuntimeException('the README does not set app=');
        }
        $streams = [['file', '/dev/null', 'r'], ['pipe', 'w'], ['redirect', 1]];
        $root = __DIR__ . '/../../../../..';
        $process = proc_open(['sh', '-eu', '-c', $commands], $streams, $pipes, $root);
        $said = stream_get_contents($pipes[1]);
        if (proc_close($process) !== 0 || $said !== '') {
            throw new RuntimeException("installation as in the README: $said");
        }
    }

    /** Writes a file of the application. */
    public function write(string $name, string $text): void
    {
        file_put_contents("{$this->path}/$name", $text);
    }

    /**
     * Runs PHP in the application's request, in which `$CI` is the controller; returns what it
     * returns, as JSON can carry it.
     *
     * @return mixed
     * @throws RuntimeException if anything is thrown or printed, warnings included
     */
    public function run(string $code)
    {
        $this->start();
        fwrite($this->pipes[0], json_encode($code, JSON_THROW_ON_ERROR) . "\n");
        $line = fgets($this->pipes[1]);
        if ($line === false) {
            throw new RuntimeException('the request ended: ' . $this->complaints());
        }
        $answer = json_decode($line, true, 512, JSON_THROW_ON_ERROR);
        $this->seconds = $answer['seconds'];
        $complaints = $this->complaints();
        if ($answer['thrown'] !== null || $answer['output'] !== '' || $complaints !== '') {
            throw new RuntimeException($answer['thrown'] . $answer['output'] . $complaints);
        }
        return $answer['result'];
    }

    /**
     * Loads the library and calls one of its methods.
     *
     * @param mixed ...$arguments
     * @return mixed
     */
    public function call(string $method, ...$arguments)
    {
        return $this->run(sprintf(
            '$CI->load->library("Worker_publisher"); return $CI->worker_publisher->%s(...%s);',
            $method,
            var_export($arguments, true)
        ));
    }

    /** @return string[] the messages in the application's log so far */
    public function log(): array
    {
        $lines = @file("{$this->path}/logs/log.php", FILE_IGNORE_NEW_LINES) ?: [];
        return preg_replace('/^ERROR - \S+ \S+ --> /', '', $lines);
    }

    /**
     * What PHP's own web server answers to `$path`.
     *
     * @param string[] $headers as `Name: value`
     * @return array{status: int, body: string, headers: string}
     */
    public function get(string $path, array $headers = []): array
    {
        $curl = curl_init($this->address() . $path);
        curl_setopt_array($curl, [
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_HEADER => true,
            CURLOPT_HTTPHEADER => $headers,
            CURLOPT_PROXY => '',
            CURLOPT_TIMEOUT => 10,
        ]);
        $answer = curl_exec($curl);
        if ($answer === false) {
            throw new RuntimeException(curl_error($curl));
        }
        [$head, $body] = explode("\r\n\r\n", $answer, 2);
        return ['status' => curl_getinfo($curl, CURLINFO_RESPONSE_CODE), 'body' => $body, 'headers' => $head];
    }

    /** Where PHP's own web server shows the application; it is started when first asked for. */
    public function address(): string
    {
        $deadline = microtime(true) + 10;
        while ($this->address === '' || ($connection = @stream_socket_client($this->address)) === false) {
            if (microtime(true) > $deadline) {
                throw new RuntimeException('no web server: ' . @file_get_contents("{$this->directory}/web"));
            }
            if ($this->server === null || !proc_get_status($this->server)['running']) {
                $this->serve(); // Also again, if somebody else was faster to take the port.
            }
            usleep(5000);
        }
        fclose($connection);
        return str_replace('tcp:', 'http:', $this->address);
    }

    private function serve(): void
    {
        $free = stream_socket_server('tcp://127.0.0.1:0');
        $listen = stream_socket_get_name($free, false);
        fclose($free);
        $command = [self::php(), ...self::INI, '-S', $listen, __DIR__ . '/codeigniter/index.php'];
        $streams = [['file', '/dev/null', 'r'], ['file', '/dev/null', 'w'], ['file', "{$this->directory}/web", 'w']];
        $this->server = proc_open($command, $streams, $pipes, $this->directory, $this->environment);
        $this->address = "tcp://$listen";
    }

    /** The program that runs these tests. */
    private static function php(): string
    {
        return getenv('PHP_OF_TESTS') ?: PHP_BINARY;
    }

    /** Ends every process and removes the application. */
    public function close(): void
    {
        $this->endRequest();
        if ($this->server !== null) {
            proc_terminate($this->server);
            proc_close($this->server);
            $this->server = null;
        }
        $files = new RecursiveIteratorIterator(
            new RecursiveDirectoryIterator($this->directory, FilesystemIterator::SKIP_DOTS),
            RecursiveIteratorIterator::CHILD_FIRST
        );
        foreach ($files as $file) {
            $file->isDir() ? rmdir($file->getPathname()) : unlink($file->getPathname());
        }
        rmdir($this->directory);
    }

    /** Ends the request; the next call is one of a new request. */
    public function endRequest(): void
    {
        if ($this->process !== null) {
            fclose($this->pipes[0]);
            fclose($this->pipes[1]);
            proc_close($this->process);
            $this->process = null;
        }
    }

    private const INI = ['-d', 'display_errors=1', '-d', 'html_errors=0', '-d', 'log_errors=0',
        '-d', 'error_reporting=-1', '-d', 'zend.exception_ignore_args=0'];

    private function start(): void
    {
        if ($this->process !== null) {
            return;
        }
        $command = [self::php(), ...self::INI, ...$this->arguments, __DIR__ . '/codeigniter/console.php'];
        $streams = [['pipe', 'r'], ['pipe', 'w'], ['file', "{$this->directory}/stderr", 'w']];
        $this->process = proc_open($command, $streams, $this->pipes, $this->directory, $this->environment);
    }

    private function complaints(): string
    {
        return (string) @file_get_contents("{$this->directory}/stderr");
    }
}
