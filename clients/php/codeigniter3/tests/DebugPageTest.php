<?php

declare(strict_types=1);

/** The debug page, as PHP's own web server shows it. */
final class DebugPageTest extends DropInTestCase
{
    /** A model as applications have one: level 99 is for administrators. */
    private const USER_MODEL = '<?php
        class User_model extends CI_Model
        {
            function authorize($level) { return get_instance()->session->userdata("user_type") >= $level; }
        }
    ';

    /** An application whose user may see the page. */
    private function administrators(array $config): Application
    {
        $application = $this->application($config, ['user_type' => 99]);
        $application->write('models/User_model.php', self::USER_MODEL);
        return $application;
    }

    /** What the page says, without tags and with single spaces; it is whole and has no complaints of PHP. */
    private function page(Application $application): string
    {
        $answer = $application->get('/worker_debug');
        $this->assertSame(200, $answer['status'], $answer['body']);
        $this->assertStringStartsWith('<!DOCTYPE html>', $answer['body']);
        $this->assertStringEndsWith("</html>\n", $answer['body']);
        $this->assertDoesNotMatchRegularExpression('/(Warning|Notice|Deprecated|Fatal error): /', $answer['body']);
        if ($application->secret !== '') {
            $this->assertStringNotContainsString($application->secret, $answer['body']);
        }
        $text = strip_tags(preg_replace('#<style>.*</style>#s', '', $answer['body']));
        return trim(preg_replace('/\s+/', ' ', html_entity_decode($text, ENT_QUOTES)));
    }

    public function testAnAdministratorSeesEachWorkerWithWhatIsWrongAndWhatToDo(): void
    {
        $worker = $this->worker();
        $down = DeafNode::closed()->url;
        $application = $this->administrators($this->config($worker, ['worker_urls' => [$worker->internal, $down]]));
        $application->call('register_topic', 'session.1');
        $browser = $this->subscribe($worker, 'session.1', $application->call('create_token', 'session.1'));

        $page = $this->page($application);

        $this->assertNotNull($browser);
        $this->assertStringContainsString('1 of 2 workers answer', $page);
        $this->assertMatchesRegularExpression(
            "#$worker->internal up Version \d+\.\d+\.\d+\S* Running for \d+s Active topics 1 Known topics 2 Users 1 Sockets 1#",
            $page
        );
        $this->assertMatchesRegularExpression("#$down down $down cannot be reached[^?]*\?#", $page);
        $this->assertStringContainsString("Calls go to $worker->internal, then $down", $page);
        $this->assertStringContainsString("Secret set", $page);
        $this->assertStringContainsString("A call takes at most 1 s", $page);
        $this->assertStringContainsString("Browsers connect to ws://$worker->ws", $page);
        $this->assertStringContainsString("Tokens are good for 86400 s", $page);
        $this->assertStringNotContainsString('To be mended', $page);
    }

    public function testNobodyElseSeesIt(): void
    {
        $node = $this->scripted(ScriptedNode::DONE);
        $config = $this->configOf([$node->url]);
        $users = [[], ['user_type' => 2], ['user_type' => 98]];
        foreach ($users as $session) {
            $application = $this->application($config, $session, 'development');
            $application->write('models/User_model.php', self::USER_MODEL);

            $answer = $application->get('/worker_debug');

            $this->assertSame(403, $answer['status']);
            $this->assertStringContainsString('This page is for administrators.', $answer['body']);
            $this->assertStringNotContainsString('127.0.0.1', $answer['body']);
        }
        $this->assertSame([], $node->requests());
    }

    public function testAModelThatCannotTellAdministratorsLetsNobodyIn(): void
    {
        $application = $this->application($this->configOf(['http://127.0.0.1:1']), [], 'development');
        $application->write('models/User_model.php', '<?php class User_model extends CI_Model {}');

        $this->assertSame(403, $application->get('/worker_debug')['status']);
    }

    /** @return array<string, array{string}> models of applications that mean something else by the name */
    public static function otherModels(): array
    {
        return [
            'more arguments' => ['function authorize($name, $password) { return true; }'],
            'an argument of another type' => ['function authorize(array $roles) { return true; }'],
            'private' => ['private function authorize($level) { return true; }'],
            'no answer to such a level' => ['function authorize($level) { throw new DomainException("level"); }'],
        ];
    }

    /** @dataProvider otherModels */
    public function testAModelThatMeansSomethingElseLetsNobodyInAndTheLogSaysSo(string $method): void
    {
        $application = $this->application($this->configOf(['http://127.0.0.1:1']), ['user_type' => 99], 'development');
        $application->write('models/User_model.php', "<?php class User_model extends CI_Model { $method }");

        $answer = $application->get('/worker_debug');

        $this->assertSame(403, $answer['status'], $answer['body']);
        $this->assertStringContainsString('This page is for administrators.', $answer['body']);
        $this->assertCount(1, $application->log());
        $this->assertStringContainsString('may_see() in controllers/Worker_debug.php', $application->log()[0]);
    }

    public function testWithoutAUserModelItIsForDevelopmentAlone(): void
    {
        $config = $this->configOf([DeafNode::closed()->url]);

        $this->assertSame(403, $this->application($config, [], 'production')->get('/worker_debug')['status']);
        $this->assertSame(403, $this->application($config, [], 'testing')->get('/worker_debug')['status']);
        $this->page($this->application($config, [], 'development'));
    }

    public function testItIsNotKeptByCaches(): void
    {
        $answer = $this->administrators($this->configOf([DeafNode::closed()->url]))->get('/worker_debug');

        $this->assertMatchesRegularExpression('/^cache-control: no-store\r?$/mi', $answer['headers']);
    }

    public function testWhatIsWrongWithTheConfigurationIsThereWithoutTheSecret(): void
    {
        $page = $this->page($this->administrators($this->configOf([], ['worker_timeout' => '<b>soon</b>'])));

        $this->assertStringContainsString('Switched on, but not usable', $page);
        $this->assertStringContainsString('there is no address of a worker', $page);
        $this->assertStringContainsString('worker_timeout is "<b>soon</b>"', $page);
        $this->assertStringContainsString('Calls go to nobody', $page);
    }

    public function testAnAddressThatBrowsersRefuseFromAPageByHttpsIsNamed(): void
    {
        $application = $this->administrators($this->configOf([DeafNode::closed()->url]));

        $plain = $application->get('/worker_debug')['body'];
        $encrypted = $application->get('/worker_debug', ['X-Forwarded-Proto: https'])['body'];

        $this->assertStringNotContainsString('write wss://', $plain);
        $this->assertStringContainsString('write wss://', $encrypted);
    }

    public function testWhatIsSwitchedOffIsShownAsThat(): void
    {
        $page = $this->page($this->administrators(['worker_enabled' => false]));

        $this->assertStringContainsString('Worker Switched off', $page);
        $this->assertStringContainsString('Switched on no; worker_enabled in application/config/worker.php', $page);
        $this->assertStringNotContainsString('Secret', $page);
        $this->assertStringNotContainsString('To be mended', $page);
    }

    public function testAMissingLibraryIsNamed(): void
    {
        $application = $this->administrators($this->configOf(['http://127.0.0.1:1']));
        unlink("{$application->path}/third_party/wavelog-worker/autoload.php");

        $page = $this->page($application);

        $this->assertStringContainsString('Copy src/ and autoload.php of clients/php', $page);
        $this->assertStringContainsString('Switched on, but not usable', $page);
    }

    public function testWhatAnotherServerSaysIsTextAndNothingElse(): void
    {
        $status = json_encode(['status' => 'ok', 'version' => '<script>alert(1)</script>', 'uptime' => '"><img src=x>']);
        $node = $this->scripted(ScriptedNode::answer(200, $status));
        $application = $this->administrators($this->configOf([$node->url]));

        $body = $application->get('/worker_debug')['body'];

        $this->assertStringContainsString('&lt;script&gt;alert(1)&lt;/script&gt;', $body);
        $this->assertStringNotContainsString('<script', $body);
        $this->assertStringNotContainsString('<img', $body);
    }

    public function testTheErrorOfAnotherServerIsTextAndNothingElse(): void
    {
        $node = $this->scripted(ScriptedNode::answer(500, '<script>alert(1)</script>'));
        $application = $this->administrators($this->configOf([$node->url]));

        $body = $application->get('/worker_debug')['body'];

        $this->assertStringContainsString('500 (&lt;script&gt;alert(1)&lt;/script&gt;)', $body);
        $this->assertStringNotContainsString('<script', $body);
    }

    public function testAddressesAreTextAndShownWithoutTheirPasswords(): void
    {
        $closed = str_replace('http://', 'http://user:pa55word@', DeafNode::closed()->url);
        $application = $this->administrators($this->configOf(["$closed/<b>path"], [
            'worker_client_url' => 'wss://user:pa55word@example.org/<i>path',
        ]));

        $body = $application->get('/worker_debug')['body'];

        $this->assertSame(0, preg_match('#<b>path|<i>path|pa55word#', $body));
        $this->assertSame(3, substr_count($body, '/&lt;b&gt;path')); // The node, its error, the configuration.
        $this->assertSame(1, substr_count($body, 'wss://example.org/&lt;i&gt;path'));
    }

    public function testWorkersThatHangDoNotKeepThePageWaiting(): void
    {
        $nodes = [DeafNode::hanging(), DeafNode::unplugged(), DeafNode::hanging()];
        $application = $this->administrators($this->configOf([$nodes[0]->url, $nodes[1]->url, $nodes[2]->url]));
        $application->address();
        $begin = hrtime(true);

        $page = $this->page($application);

        $this->assertLessThan(0.8 + 2 * self::MARGIN_SECONDS, (hrtime(true) - $begin) / 1e9);
        $this->assertStringContainsString('0 of 3 workers answer', $page);
        $this->assertStringContainsString('slow', $page);
    }
}
