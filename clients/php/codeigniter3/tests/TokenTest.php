<?php

declare(strict_types=1);

/** The tokens that a page hands to its browser, and the helper of the `Paths` library. */
final class TokenTest extends DropInTestCase
{
    private const SECRET = 'the-secret-of-the-tokens-0123456789abcdef';
    /** Nobody listens there: a token is minted without the worker. */
    private const CONFIG = [
        'worker_enabled' => true,
        'worker_urls' => ['http://127.0.0.1:1'],
        'worker_secret' => self::SECRET,
    ];

    /** @param array $claims with `expires` as the seconds from now */
    private function assertClaims(array $claims, string $token): void
    {
        $found = $this->claims($token, self::SECRET);
        $expires = $found['expires'] - time();
        $this->assertLessThanOrEqual($claims['expires'], $expires);
        $this->assertGreaterThan($claims['expires'] - 10, $expires);
        $this->assertSame(['expires' => 0] + $claims, ['expires' => 0] + $found);
    }

    public function testATokenIsForItsTopicAndTheUserOfTheSessionForADay(): void
    {
        $token = $this->application(self::CONFIG)->call('create_token', 'contest_session.42');

        $this->assertClaims(['user_id' => 7, 'topic' => 'contest_session.42', 'expires' => 86400], $token);
    }

    public function testTheOperatorOfAClubIsTheUser(): void
    {
        $application = $this->application(self::CONFIG, ['user_id' => '7', 'source_uid' => '3']);

        $this->assertClaims(['user_id' => 3, 'topic' => 'a', 'expires' => 86400], $application->call('create_token', 'a'));
    }

    public function testWithoutAUserItIsNobodyInParticular(): void
    {
        foreach ([[], ['user_id' => ''], ['user_id' => null], null] as $session) {
            $token = $this->application(self::CONFIG, $session)->call('create_token', 'a');

            $this->assertClaims(['user_id' => 0, 'topic' => 'a', 'expires' => 86400], $token);
        }
    }

    public function testTheConfigurationSaysHowLongATokenIsGoodAndTheCallMaySayOtherwise(): void
    {
        $application = $this->application(self::CONFIG + ['worker_token_expiration' => 600]);

        $this->assertClaims(['user_id' => 7, 'topic' => 'a', 'expires' => 600], $application->call('create_token', 'a'));
        $this->assertClaims(['user_id' => 7, 'topic' => 'a', 'expires' => 60], $application->call('create_token', 'a', 60));
        $this->assertClaims(['user_id' => 7, 'topic' => 'a', 'expires' => 60], $application->call('create_token', 'a', '60'));
        $this->assertSame([], $application->log());
    }

    public function testATokenForNoTimeIsGoodForTheConfiguredTime(): void
    {
        $application = $this->application(self::CONFIG);

        foreach ([0, -1, 'abc', PHP_INT_MIN] as $seconds) {
            $token = $application->call('create_token', 'a', $seconds);

            $this->assertClaims(['user_id' => 7, 'topic' => 'a', 'expires' => 86400], $token);
        }

        $this->assertSame(array_fill(0, 4, 'wavelog_worker: a token cannot be good for no time; this one is good for '
            . '86400 s [create_token a]'), $application->log());
    }

    public function testATokenThatWouldOutliveNumbersIsALineInTheLog(): void
    {
        $application = $this->application(self::CONFIG);

        $this->assertSame('', $application->call('create_token', 'a', PHP_INT_MAX));

        $this->assertCount(1, $application->log());
    }

    public function testAMisconfiguredTimeDoesNotBreakThePage(): void
    {
        foreach ([0, -5, 'a day'] as $seconds) {
            $application = $this->application(self::CONFIG + ['worker_token_expiration' => $seconds]);

            $token = $application->call('create_token', 'a');

            $this->assertClaims(['user_id' => 7, 'topic' => 'a', 'expires' => 86400], $token);
            $this->assertSame(["wavelog_worker: application/config/worker.php: worker_token_expiration is \"$seconds\", "
                . 'which is no whole number of seconds above 0; 86400 is used.'], $application->log());
        }
    }

    public function testTheReadyPathsLibraryMintsTheOlderForm(): void
    {
        $application = $this->application(self::CONFIG, ['user_id' => '7', 'source_uid' => '3']);
        copy(__DIR__ . '/../optional/libraries/Paths.php', "{$application->path}/libraries/Paths.php");

        $token = $application->run('$CI->load->library("paths"); return $CI->paths->create_worker_token(42);');

        $this->assertClaims(['user_id' => 3, 'session_id' => 42, 'expires' => 86400], $token);
        $this->assertSame([], $application->log());
    }

    public function testAPathsLibraryOfTheApplicationTakesTheHelperIn(): void
    {
        $application = $this->application(self::CONFIG + ['worker_token_expiration' => 600]);
        $application->write('libraries/Paths.php', '<?php
            require_once APPPATH . "libraries/Worker_token.php";

            class Paths
            {
                use Worker_token;

                function getPathQsl() { return "assets/qslcard"; }
            }');

        $answers = $application->run('
            $CI->load->library("Paths");
            return [$CI->paths->create_worker_token("42"), $CI->paths->getPathQsl()];
        ');

        $this->assertClaims(['user_id' => 7, 'session_id' => 42, 'expires' => 600], $answers[0]);
        $this->assertSame('assets/qslcard', $answers[1]);
    }

    public function testAWorkerTakesBothForms(): void
    {
        $worker = $this->worker();
        $application = $this->application($this->config($worker));
        $application->call('register_topic', 'session.42');

        $this->subscribe($worker, 'session.42', $application->call('create_token', 'session.42'));
        $this->subscribe($worker, 'session.42', $application->call('create_session_token', 42));
    }

    public function testTheHelperGivesNoTokenWhileTheWorkerIsSwitchedOff(): void
    {
        $application = $this->application(['worker_enabled' => false] + self::CONFIG);
        copy(__DIR__ . '/../optional/libraries/Paths.php', "{$application->path}/libraries/Paths.php");

        $this->assertSame('', $application->run('
            $CI->load->library("paths");
            return $CI->paths->create_worker_token(42);
        '));
        $this->assertSame([], $application->log());
    }
}
