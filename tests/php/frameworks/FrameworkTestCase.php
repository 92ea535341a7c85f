<?php
declare(strict_types=1);

use PHPUnit\Framework\TestCase;

require_once __DIR__ . '/Page.php';
require_once __DIR__ . '/../../../clients/php/autoload.php';

/**
 * An application made of the files of a page, and a real worker. What is tested is the same for
 * each framework: a page is asked for, a browser subscribes with what is in it, an entry is saved.
 */
abstract class FrameworkTestCase extends TestCase
{
    protected Worker $worker;
    protected Page $page;

    /** The page in docs/ that the application is made of. */
    abstract protected static function page(): string;

    /**
     * Makes one request as the framework does and returns the answer; `$environment` is the
     * application's.
     */
    abstract protected function request(array $environment, string $method, string $path): string;

    /** What the application wrote into its log. */
    abstract protected function log(): string;

    protected function setUp(): void
    {
        $this->worker = new Worker();
        $this->page = new Page(static::page());
        WavelogWorker\DeadNodes::forgetAll();
    }

    protected function tearDown(): void
    {
        $this->page->remove();
        $this->worker->stop();
    }

    private function environment(): array
    {
        return [
            'WORKER_URLS' => "http://127.0.0.1:1,{$this->worker->internal}",
            'WORKER_SECRET' => $this->worker->secret,
            'WORKER_BROWSER_URL' => "ws://{$this->worker->ws}",
            'WORKER_SCRIPT' => "http://{$this->worker->ws}/client.js",
        ];
    }

    /** @return array<string, string> the data attributes of the page's table */
    private static function data(string $html): array
    {
        preg_match_all('/data-(\w+)="([^"]*)"/', $html, $pairs);
        return array_combine($pairs[1], array_map('html_entity_decode', $pairs[2]));
    }

    public function testABrowserOfThePageIsToldWhatIsSaved(): void
    {
        $html = $this->request($this->environment(), 'GET', '/log/42');
        $data = self::data($html);
        $again = $this->request($this->environment(), 'GET', '/log/42/token');
        $browsers = [
            new Browser($this->worker->ws, $data['topic'], $data['token']),
            new Browser($this->worker->ws, $data['topic'], $again),
        ];
        foreach ($browsers as $browser) {
            $this->assertSame('{"type":"auth_ok"}', $browser->next());
        }

        $answer = $this->request($this->environment(), 'POST', '/log/42');

        $this->assertSame('saved', $answer);
        $this->assertSame("ws://{$this->worker->ws}", $data['url']);
        $this->assertStringContainsString("<script src=\"http://{$this->worker->ws}/client.js\">", $html);
        foreach ($browsers as $browser) {
            $this->assertSame('{"type":"push","payload":{"event":"saved","entry":7}}', $browser->next());
        }
        $this->assertSame('', $this->log());
    }

    public function testThePageWorksWithoutTheWorkerAndTheLogSaysWhy(): void
    {
        $this->worker->end();

        $html = $this->request($this->environment(), 'GET', '/log/42');
        $answer = $this->request($this->environment(), 'POST', '/log/42');

        $this->assertStringContainsString('<table id="log"', $html);
        $this->assertSame('saved', $answer);
        $this->assertStringContainsString('cannot be reached', $this->log());
        $this->assertStringNotContainsString($this->worker->secret, $this->log());
    }

    public function testWithoutASecretLiveUpdatesAreOff(): void
    {
        $environment = ['WORKER_SECRET' => ''] + $this->environment();

        $html = $this->request($environment, 'GET', '/log/42');
        $answer = $this->request($environment, 'POST', '/log/42');

        $this->assertSame('', self::data($html)['token']);
        $this->assertStringNotContainsString('<script', $html);
        $this->assertSame(['saved', ''], [$answer, $this->log()]);
    }

    public function testWithoutUrlsLiveUpdatesAreOff(): void
    {
        $environment = ['WORKER_URLS' => ''] + $this->environment();

        $html = $this->request($environment, 'GET', '/log/42');

        $this->assertStringNotContainsString('<script', $html);
        $this->assertSame('', $this->log());
    }
}
