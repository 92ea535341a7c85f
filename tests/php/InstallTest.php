<?php
declare(strict_types=1);

use PHPUnit\Framework\TestCase;

/** clients/php installed as its README says, and the lines of the README run in another process. */
final class InstallTest extends TestCase
{
    private const LIBRARY = __DIR__ . '/../../clients/php';

    private Worker $worker;
    private string $project;

    protected function setUp(): void
    {
        $this->worker = new Worker();
        $this->project = sys_get_temp_dir() . '/wavelog_worker.install.' . bin2hex(random_bytes(6));
        mkdir($this->project, 0700);
    }

    protected function tearDown(): void
    {
        $this->command('rm', '-r', $this->project);
        $this->worker->stop();
    }

    public function testComposerInstallsIt(): void
    {
        $repositories = [['type' => 'path', 'url' => realpath(self::LIBRARY)], ['packagist.org' => false]];
        file_put_contents("$this->project/composer.json", json_encode(['repositories' => $repositories]));

        $this->command('composer', 'require', '--no-interaction', 'wavelog/worker-client:@dev');

        $this->assertTheReadmeWorksWith('vendor/autoload.php');
        $this->command('composer', 'validate', '--strict', self::LIBRARY . '/composer.json');
    }

    public function testACopyOfTheFolderWorks(): void
    {
        $this->command('cp', '-r', self::LIBRARY . '/src', self::LIBRARY . '/autoload.php', $this->project);

        $this->assertTheReadmeWorksWith('autoload.php');
    }

    private function assertTheReadmeWorksWith(string $autoload): void
    {
        $readme = file_get_contents(self::LIBRARY . '/README.md');
        preg_match_all('/^```php\n(.*?)^```$/ms', strstr($readme, '## Use'), $blocks);
        [$client, $quiet] = str_replace('http://127.0.0.1:9001', $this->worker->internal, $blocks[1]);
        $script = "<?php\ndeclare(strict_types=1);\nrequire '$autoload';\n\$userId = 1;\n$client\necho \$token, \"\\n\";";
        file_put_contents("$this->project/client.php", $script);
        file_put_contents("$this->project/quiet.php", "<?php\ndeclare(strict_types=1);\nrequire '$autoload';\n$quiet");

        $token = trim($this->command(PHP_BINARY, '-d', 'display_errors=1', 'client.php'));
        $browser = new Browser($this->worker->ws, 'session.42', $token);
        $this->assertSame('{"type":"auth_ok"}', $browser->next());
        $this->assertSame('', $this->command(PHP_BINARY, '-d', 'display_errors=1', 'quiet.php'));

        $this->assertSame('{"type":"push","payload":{"event":"qso"}}', $browser->next());
    }

    /** Runs a command in the project; returns what it prints. */
    private function command(string ...$command): string
    {
        $process = proc_open(
            $command,
            [['file', '/dev/null', 'r'], ['pipe', 'w'], ['redirect', 1]],
            $pipes,
            $this->project,
            [
                'COMPOSER_ALLOW_SUPERUSER' => '1',
                'COMPOSER_HOME' => $this->project,
                'WORKER_URL' => $this->worker->internal,
                'WORKER_SECRET' => $this->worker->secret,
            ] + getenv(),
        );
        $output = stream_get_contents($pipes[1]);
        $this->assertSame(0, proc_close($process), $output);
        return $output;
    }
}
