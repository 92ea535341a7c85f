<?php

declare(strict_types=1);

use PHPUnit\Framework\TestCase;

defined('BASEPATH') || define('BASEPATH', __DIR__ . '/support/codeigniter/');
require_once __DIR__ . '/../application/libraries/Worker_settings.php';

/** What the settings of worker.php mean, and what becomes of those that make no sense. */
final class SettingsTest extends TestCase
{
    private const SECRET = 'the-secret-of-the-settings-0123456789';
    private const GOOD = [
        'worker_enabled' => true,
        'worker_urls' => ['http://one:9001', 'http://two:9001/'],
        'worker_secret' => self::SECRET,
    ];

    private static function settings(array $more): Worker_settings
    {
        return new Worker_settings($more + self::GOOD);
    }

    public function testTheInstalledFileIsSwitchedOffAndHasNoProblems(): void
    {
        $config = [];
        require __DIR__ . '/../application/config/worker.php';

        $settings = new Worker_settings($config);

        $this->assertFalse($settings->enabled);
        $this->assertSame([], $settings->problems);
    }

    public function testTheInstalledFileNeedsASwitchAndASecretAlone(): void
    {
        $config = [];
        require __DIR__ . '/../application/config/worker.php';

        $settings = new Worker_settings(['worker_enabled' => true, 'worker_secret' => self::SECRET] + $config);

        $this->assertTrue($settings->enabled);
        $this->assertSame([], $settings->problems);
        $this->assertSame(['http://127.0.0.1:9001'], $settings->call_urls);
        $this->assertSame(1.0, $settings->timeout_seconds);
        $this->assertSame(86400, $settings->token_seconds);
        $this->assertSame('', $settings->client_url);
    }

    public function testWhatIsNotSetHasItsDefault(): void
    {
        $settings = self::settings([]);

        $this->assertTrue($settings->enabled);
        $this->assertSame([], $settings->problems);
        $this->assertSame(['http://one:9001', 'http://two:9001'], $settings->call_urls);
        $this->assertSame($settings->call_urls, $settings->node_urls);
        $this->assertNull($settings->vip);
        $this->assertSame(1.0, $settings->timeout_seconds);
        $this->assertSame(86400, $settings->token_seconds);
    }

    public function testALoadBalancerIsCalledAndItsNodesAreAsked(): void
    {
        $settings = self::settings(['worker_vip' => 'https://balancer.example/']);

        $this->assertSame(['https://balancer.example'], $settings->call_urls);
        $this->assertSame(['http://one:9001', 'http://two:9001'], $settings->node_urls);
        $this->assertSame('https://balancer.example', $settings->vip);
    }

    public function testALoadBalancerAloneIsItsOwnNode(): void
    {
        $settings = self::settings(['worker_vip' => 'http://balancer', 'worker_urls' => []]);

        $this->assertSame(['http://balancer'], $settings->node_urls);
        $this->assertSame([], $settings->problems);
    }

    public function testTheOneAddressOfNewerApplicationsComesBeforeBothOthers(): void
    {
        $settings = self::settings(['worker_url' => 'http://newer:9001', 'worker_vip' => 'http://balancer']);

        $this->assertSame(['http://newer:9001'], $settings->call_urls);
        $this->assertSame(['http://newer:9001'], $settings->node_urls);
        $this->assertNull($settings->vip);
    }

    public function testAnEmptyOneAddressIsNotSet(): void
    {
        $settings = self::settings(['worker_url' => '']);

        $this->assertSame(['http://one:9001', 'http://two:9001'], $settings->call_urls);
        $this->assertSame([], $settings->problems);
    }

    public function testAListThatIsOneAddressIsTakenAsOne(): void
    {
        $settings = self::settings(['worker_urls' => 'http://127.0.0.1:9001/']);

        $this->assertSame(['http://127.0.0.1:9001'], $settings->call_urls);
        $this->assertSame([], $settings->problems);
    }

    public function testAnAddressThatIsNoneIsNamedAndTheOthersAreUsed(): void
    {
        $urls = ['127.0.0.1:9001', 'http://good:9001', ['nested'], "http://a\nb", 'ftp://x', 'http://good:9001/'];

        $settings = self::settings(['worker_urls' => $urls]);

        $this->assertSame(['http://good:9001'], $settings->call_urls);
        $this->assertTrue($settings->enabled);
        $this->assertCount(4, $settings->problems);
        $this->assertSame('application/config/worker.php: worker_urls has "127.0.0.1:9001", which is no http:// '
            . 'or https:// address and is left out; write e.g. http://127.0.0.1:9001.', $settings->problems[0]);
    }

    public function testAddressesThatAreNoneLeaveNothingToCall(): void
    {
        $settings = self::settings(['worker_urls' => 9001]);

        $this->assertFalse($settings->enabled);
        $this->assertStringContainsString('worker_urls has "9001"', $settings->problems[0]);
        $this->assertStringContainsString('there is no address of a worker', $settings->problems[1]);
    }

    /** @return array<string, array{array, bool, string}> settings, whether still enabled, the problem */
    public static function mistakes(): array
    {
        return [
            'no switch' => [['worker_enabled' => 'perhaps'], false, 'worker_enabled is neither TRUE nor FALSE'],
            'a switch that is a list' => [['worker_enabled' => []], false, 'worker_enabled is neither'],
            'no address' => [['worker_urls' => []], false, 'there is no address of a worker'],
            'a load balancer without http' => [['worker_vip' => 'balancer:80'], true, 'worker_vip has "balancer:80"'],
            'no secret' => [['worker_secret' => ''], false, 'worker_secret is empty'],
            'a short secret' => [['worker_secret' => 'short'], false, 'worker_secret has less than 32'],
            'a secret with an end of line' => [['worker_secret' => self::SECRET . "\n"], false, 'worker_secret is no text'],
            'a secret with a space' => [['worker_secret' => ' ' . self::SECRET], false, 'worker_secret is no text'],
            'a secret with a header in it' => [['worker_secret' => "a\r\nX: b" . self::SECRET], false, 'worker_secret is'],
            'a secret that is a list' => [['worker_secret' => [self::SECRET]], false, 'worker_secret is no text'],
            'a time-out in words' => [['worker_timeout' => 'abc'], true, 'worker_timeout is "abc"'],
            'no time-out' => [['worker_timeout' => 0], true, 'worker_timeout is "0"'],
            'a time-out below nothing' => [['worker_timeout' => -1.5], true, 'worker_timeout is "-1.5"'],
            'a time-out in milliseconds' => [['worker_timeout' => 1000], true, 'worker_timeout is "1000"'],
            'a time-out of next to nothing' => [['worker_timeout' => 1e-9], true, 'worker_timeout is "1.0E-9"'],
            'an infinite time-out' => [['worker_timeout' => INF], true, 'worker_timeout is "INF"'],
            'a time-out that is no number' => [['worker_timeout' => NAN], true, 'worker_timeout is "NAN"'],
            'a time-out that is a list' => [['worker_timeout' => [1]], true, 'worker_timeout is a value of type array'],
            'http for browsers' => [['worker_client_url' => 'http://x'], true, 'worker_client_url is "http://x"'],
            'a list for browsers' => [['worker_client_url' => []], true, 'worker_client_url is a value of type array'],
            'tokens for no time' => [['worker_token_expiration' => 0], true, 'worker_token_expiration is "0"'],
            'tokens from the past' => [['worker_token_expiration' => -60], true, 'worker_token_expiration is "-60"'],
            'tokens in words' => [['worker_token_expiration' => '24h'], true, 'worker_token_expiration is "24h"'],
            'tokens for half a second' => [['worker_token_expiration' => 0.5], true, 'worker_token_expiration is'],
            'tokens for TRUE' => [['worker_token_expiration' => true], true, 'worker_token_expiration is "true"'],
        ];
    }

    /** @dataProvider mistakes */
    public function testAMistakeIsOneProblemWithoutTheSecretAndADefault(array $mistake, bool $enabled, string $problem): void
    {
        $settings = self::settings($mistake);

        $this->assertSame($enabled, $settings->enabled);
        $this->assertCount(1, $settings->problems);
        $this->assertStringStartsWith("application/config/worker.php: ", $settings->problems[0]);
        $this->assertStringContainsString($problem, $settings->problems[0]);
        $this->assertStringNotContainsString(self::SECRET, $settings->problems[0]);
        $this->assertStringNotContainsString("\n", $settings->problems[0]);
        $this->assertSame(1.0, $settings->timeout_seconds);
        $this->assertSame(86400, $settings->token_seconds);
        $this->assertSame('', $settings->client_url);
    }

    public function testNumbersInQuotesAreNumbers(): void
    {
        $settings = self::settings(['worker_timeout' => '0.25', 'worker_token_expiration' => '3600']);

        $this->assertSame(0.25, $settings->timeout_seconds);
        $this->assertSame(3600, $settings->token_seconds);
        $this->assertSame([], $settings->problems);
    }

    public function testASwitchInWordsIsASwitch(): void
    {
        $this->assertTrue(self::settings(['worker_enabled' => 'on'])->enabled);
        $this->assertTrue(self::settings(['worker_enabled' => 1])->enabled);
        $this->assertFalse(self::settings(['worker_enabled' => 'false'])->enabled);
        $this->assertFalse(self::settings(['worker_enabled' => ''])->enabled);
        $this->assertFalse(self::settings(['worker_enabled' => null])->enabled);
    }

    public function testWhatIsSwitchedOffIsNotComplainedAbout(): void
    {
        $settings = new Worker_settings(['worker_enabled' => false, 'worker_timeout' => 'abc', 'worker_urls' => 5]);

        $this->assertFalse($settings->enabled);
        $this->assertSame([], $settings->problems);
    }

    public function testCredentialsOfAnAddressAreNotShown(): void
    {
        $settings = self::settings(['worker_urls' => ['ftp://user:hidden@host/x']]);

        $this->assertStringContainsString('"ftp://host/x"', $settings->problems[0]);
        $this->assertStringNotContainsString('hidden', implode('', $settings->problems));
        $this->assertSame('http://host:1/', Worker_settings::without_credentials('http://u:p@host:1/'));
        $this->assertSame('http://host/a@b', Worker_settings::without_credentials('http://host/a@b'));
    }

    public function testAPasswordThatMakesAnAddressUnusableIsNotShownEither(): void
    {
        foreach (['http://u:hid/den@host:1', 'http://u:hid#den@host:1', 'u:hidden@host:1', 'http:/u:hid@den@host:1'] as $url) {
            $settings = self::settings(['worker_urls' => [$url]]);

            $this->assertStringContainsString('host:1"', $settings->problems[0]);
            $this->assertDoesNotMatchRegularExpression('/hid|den@/', $settings->problems[0]);
        }
    }

    public function testTheSecretIsNotDumped(): void
    {
        $dump = print_r(self::settings([]), true);

        $this->assertStringNotContainsString(self::SECRET, $dump);
        $this->assertStringContainsString('(hidden)', $dump);
    }
}
