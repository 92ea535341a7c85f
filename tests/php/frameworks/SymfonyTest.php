<?php
declare(strict_types=1);

use Psr\Log\AbstractLogger;
use Symfony\Bundle\FrameworkBundle\FrameworkBundle;
use Symfony\Bundle\FrameworkBundle\Kernel\MicroKernelTrait;
use Symfony\Bundle\TwigBundle\TwigBundle;
use Symfony\Component\DependencyInjection\Loader\Configurator\ContainerConfigurator;
use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpKernel\Kernel;
use Symfony\Component\Routing\Loader\Configurator\RoutingConfigurator;
use WavelogWorker\Client;

require_once 'Symfony/Bundle/FrameworkBundle/autoload.php';
require_once 'Symfony/Bundle/TwigBundle/autoload.php';
require_once 'Symfony/Component/Yaml/autoload.php';
require_once __DIR__ . '/FrameworkTestCase.php';

/** docs/symfony.md, on a whole kernel of Symfony as Debian has it. */
final class SymfonyTest extends FrameworkTestCase
{
    private AbstractLogger $logger;

    protected static function page(): string
    {
        return 'symfony.md';
    }

    protected function setUp(): void
    {
        parent::setUp();
        $this->page->autoload('src');
        $this->logger = new class () extends AbstractLogger {
            public array $lines = [];

            public function log($level, $message, array $context = []): void
            {
                if ($level === 'error') {
                    $this->lines[] = $message;
                }
            }
        };
    }

    private function kernel(array $environment): Kernel
    {
        $kernel = new class ($this->page->folder) extends Kernel {
            use MicroKernelTrait;

            public function __construct(private string $folder)
            {
                parent::__construct('test', false);
            }

            public function registerBundles(): iterable
            {
                return [new FrameworkBundle(), new TwigBundle()];
            }

            public function getProjectDir(): string
            {
                return $this->folder;
            }

            protected function configureContainer(ContainerConfigurator $container): void
            {
                $container->import("$this->folder/config/services.yaml");
                $container->extension('framework', ['secret' => 'x', 'test' => true]);
                $container->services()->set('logger')->synthetic()->public();
            }

            protected function configureRoutes(RoutingConfigurator $routes): void
            {
                $routes->import("$this->folder/src/Controller/", 'annotation');
            }
        };
        foreach ($environment as $name => $value) {
            $_ENV[$name] = $value;
        }
        $kernel->boot();
        $kernel->getContainer()->set('logger', $this->logger);
        return $kernel;
    }

    protected function request(array $environment, string $method, string $path): string
    {
        $kernel = $this->kernel($environment);
        $request = Request::create($path, $method);
        $response = $kernel->handle($request, Kernel::MAIN_REQUEST, false);
        $kernel->terminate($request, $response);
        $kernel->shutdown();
        return $response->getContent();
    }

    protected function log(): string
    {
        return implode("\n", $this->logger->lines);
    }

    public function testAMessageHandlerGetsTheClientThatThrows(): void
    {
        $this->worker->end();
        $this->page->write('src/Controller/Handler.php', <<<'PHP'
            <?php
            namespace App\Controller;
            final class Handler extends \Symfony\Bundle\FrameworkBundle\Controller\AbstractController
            {
                public function __construct(public \WavelogWorker\Client $worker)
                {
                }
            }
            PHP);
        $kernel = $this->kernel([
            'WORKER_URLS' => $this->worker->internal,
            'WORKER_SECRET' => $this->worker->secret,
        ]);
        $client = $kernel->getContainer()->get(App\Controller\Handler::class)->worker;

        $this->expectException(WavelogWorker\Exception\UnreachableException::class);

        $client->publish('log.42', 1);
    }
}
