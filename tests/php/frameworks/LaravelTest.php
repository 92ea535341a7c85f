<?php
declare(strict_types=1);

use Illuminate\Config\Repository;
use Illuminate\Container\Container;
use Illuminate\Events\Dispatcher;
use Illuminate\Filesystem\Filesystem;
use Illuminate\Http\Request;
use Illuminate\Log\Logger;
use Illuminate\Routing\Router;
use Illuminate\Support\Facades\Facade;
use Illuminate\Support\ServiceProvider;
use Illuminate\View\ViewServiceProvider;
use Monolog\Handler\TestHandler;
use WavelogWorker\Client;

require_once 'Illuminate/Routing/autoload.php';
require_once 'Illuminate/View/autoload.php';
require_once 'Illuminate/Config/autoload.php';
require_once 'Illuminate/Log/autoload.php';
require_once 'Dotenv/autoload.php';
require_once __DIR__ . '/FrameworkTestCase.php';

/** docs/laravel.md, on the components of Laravel that Debian has. */
final class LaravelTest extends FrameworkTestCase
{
    private TestHandler $lines;

    protected static function page(): string
    {
        return 'laravel.md';
    }

    protected function setUp(): void
    {
        parent::setUp();
        $this->page->autoload('app');
        $this->lines = new TestHandler();
    }

    protected function tearDown(): void
    {
        Container::setInstance(null);
        parent::tearDown();
    }

    /** What Laravel's own Application does at its start, as far as these files need it. */
    private function application(array $environment): Container
    {
        foreach ($environment as $name => $value) {
            putenv("$name=$value");
        }
        Facade::clearResolvedInstances();
        $application = new Container();
        Container::setInstance($application);
        $application->instance('config', new Repository([
            'worker' => require "{$this->page->folder}/config/worker.php",
            'view' => [
                'paths' => ["{$this->page->folder}/resources/views"],
                'compiled' => $this->page->folder,
            ],
        ]));
        $application->alias('config', Illuminate\Contracts\Config\Repository::class);
        $application->instance('files', new Filesystem());
        $application->instance('events', new Dispatcher($application));
        $application->instance('log', new Logger(new Monolog\Logger('test', [$this->lines])));
        $application->singleton('router', fn () => new Router($application['events'], $application));
        $application->alias('view', Illuminate\Contracts\View\Factory::class);
        Facade::setFacadeApplication($application);
        foreach ([ViewServiceProvider::class, App\Providers\WorkerServiceProvider::class] as $class) {
            (new $class($application))->register();
        }
        require "{$this->page->folder}/routes/web.php";
        return $application;
    }

    protected function request(array $environment, string $method, string $path): string
    {
        $application = $this->application($environment);
        $request = Request::create($path, $method, ['call' => 'DL1ABC']);
        $request->setUserResolver(fn () => (object) ['id' => 1]);
        $application->instance(Request::class, $request);
        return $application['router']->dispatch($request)->getContent();
    }

    protected function log(): string
    {
        return implode("\n", array_column($this->lines->getRecords(), 'message'));
    }

    public function testAJobGetsTheClientThatThrows(): void
    {
        $this->worker->end();
        $application = $this->application([
            'WORKER_URLS' => $this->worker->internal,
            'WORKER_SECRET' => $this->worker->secret,
        ]);

        $this->expectException(WavelogWorker\Exception\UnreachableException::class);

        $application->make(Client::class)->publish('log.42', 1);
    }
}
