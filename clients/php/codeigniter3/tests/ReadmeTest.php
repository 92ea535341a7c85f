<?php

declare(strict_types=1);

/** The example of the README, as it stands, in an application. */
final class ReadmeTest extends DropInTestCase
{
    private function install(Application $application): void
    {
        $readme = file_get_contents(__DIR__ . '/../README.md');
        $section = substr($readme, strpos($readme, "\n## Use\n"));
        preg_match_all('/^```php\n(.*?)^```/ms', $section, $found);
        $application->write('controllers/Contest.php', "<?php\n" . $found[1][0]);
        $application->write('views/contest.php', $found[1][1]);
    }

    public function testThePageOfTheExampleIsLive(): void
    {
        $worker = $this->worker();
        $application = $this->application($this->config($worker));
        $this->install($application);

        $page = $application->get('/contest');
        $this->assertSame(200, $page['status']);
        $this->assertMatchesRegularExpression('/connect\((".*?"), \{/', $page['body']);
        preg_match('/connect\((".*?"), \{.*token: (".*?"),/s', $page['body'], $found);
        $this->assertSame("ws://{$worker->ws}", json_decode($found[1]));
        $browser = $this->subscribe($worker, 'session.42', json_decode($found[2]));
        $saved = $application->get('/contest/save');

        $this->assertSame([200, ''], [$saved['status'], $saved['body']]);
        $this->assertSame(['event' => 'qso_saved'], $browser->nextMessage()['payload']);
        $this->assertSame([], $application->log());
    }

    public function testThePageOfTheExampleGetsAFreshTokenEvenFromAWorkerThatForgotTheTopic(): void
    {
        $worker = $this->worker();
        $application = $this->application($this->config($worker));
        $this->install($application);
        $page = $application->get('/contest');
        $this->assertStringContainsString("fetch('/contest/token')", $page['body']);
        $worker->end();
        $worker->start();

        $answer = $application->get('/contest/token');

        $this->assertSame(200, $answer['status']);
        $this->subscribe($worker, 'session.42', $answer['body']);
    }

    public function testWithoutAWorkerThePageIsAsItWas(): void
    {
        $application = $this->application(null);
        $this->install($application);

        $page = $application->get('/contest');

        $this->assertSame([200, ''], [$page['status'], trim($page['body'])]);
        $this->assertSame([200, ''], array_slice(array_values($application->get('/contest/save')), 0, 2));
        $this->assertSame([], $application->log());
    }

    public function testAWorkerThatIsDownDoesNotShowOnThePages(): void
    {
        $application = $this->application($this->configOf([DeafNode::closed()->url]));
        $this->install($application);

        $this->assertSame(200, $application->get('/contest')['status']);
        $this->assertSame([200, ''], array_slice(array_values($application->get('/contest/save')), 0, 2));
        $this->assertCount(2, $application->log());
    }

    public function testEverySettingOfTheReadmeIsInTheConfigurationWithItsDefault(): void
    {
        $config = [];
        defined('BASEPATH') || define('BASEPATH', __DIR__);
        require __DIR__ . '/../application/config/worker.php';
        preg_match_all('/^\| `(worker_\w+)` \| `(.*?)` \|/m', file_get_contents(__DIR__ . '/../README.md'), $rows);

        $documented = array_combine($rows[1], $rows[2]);

        $this->assertSame(array_keys($config), array_keys($documented));
        foreach ($documented as $name => $default) {
            $this->assertSame($config[$name], eval("return $default;"), $name);
        }
    }
}
