<?php
declare(strict_types=1);

use PHPUnit\Framework\TestCase;

/** A PHP application and a worker, from registration to the browser. */
final class PublisherTest extends TestCase
{
    private Worker $worker;
    private Publisher $publisher;

    protected function setUp(): void
    {
        $this->worker = new Worker();
        $this->publisher = new Publisher($this->worker->internal, $this->worker->secret);
    }

    protected function tearDown(): void
    {
        $this->assertSame(0, $this->worker->stop());
    }

    private function subscribe(string $topic, int $userId): Browser
    {
        $claims = ['user_id' => $userId, 'topic' => $topic, 'expires' => time() + 3600];
        $token = Publisher::token($claims, $this->worker->secret);
        $browser = new Browser($this->worker->ws, $topic, $token);
        $this->assertSame('{"type":"auth_ok"}', $browser->next());
        return $browser;
    }

    public function testWhatIsPublishedReachesTheBrowsersOfTheTopic(): void
    {
        $payload = ['call' => 'DL1ABC/p', 'name' => 'Grüße 😀', 'freq' => 14.074, 'none' => null];
        $this->assertSame(200, $this->publisher->register('session.42', true));
        $this->assertSame(200, $this->publisher->register('session.43', true));
        $browsers = [$this->subscribe('session.42', 1), $this->subscribe('session.42', 2)];
        $other = $this->subscribe('session.43', 3);

        $this->assertSame(200, $this->publisher->publish('session.42', $payload));
        $this->assertSame(200, $this->publisher->publish('session.43', 'for the other'));

        foreach ($browsers as $browser) {
            $this->assertSame(['type' => 'push', 'payload' => $payload], $browser->nextMessage());
        }
        $this->assertSame('{"type":"push","payload":"for the other"}', $other->next());
    }

    public function testATopicThatTheWorkerForgotIsRegisteredAgainAndThePublishRetriedOnce(): void
    {
        $this->publisher->register('session.42', true);
        $browser = $this->subscribe('session.42', 1);
        $this->publisher->unregister('session.42');
        $this->assertSame(404, $this->publisher->publish('session.42', 1));

        $this->assertSame(200, $this->publisher->publishRegistered('session.42', true, 2));

        $this->assertSame('{"type":"push","payload":2}', $browser->next());
    }

    public function testATokenForAnotherTopicIsRefused(): void
    {
        $this->publisher->register('session.42', true);
        $claims = ['user_id' => 1, 'topic' => 'session.43', 'expires' => time() + 3600];
        $token = Publisher::token($claims, $this->worker->secret);

        $answer = (new Browser($this->worker->ws, 'session.42', $token))->nextMessage();

        $this->assertSame(['error', 'unauthorized'], [$answer['type'], $answer['code']]);
    }

    public function testAnOpenTopicTakesABrowserWithoutAToken(): void
    {
        $this->publisher->register('cluster.spots', false);

        $browser = new Browser($this->worker->ws, 'cluster.spots', '');

        $this->assertSame('{"type":"auth_ok"}', $browser->next());
    }

    public function testStatusCountsTopicsUsersAndSockets(): void
    {
        $this->publisher->register('session.42', true);
        $browsers = [$this->subscribe('session.42', 1), $this->subscribe('session.42', 1)];

        $status = $this->publisher->status('?topics=1');

        $this->assertCount(2, $browsers);
        $this->assertSame('ok', $status['status']);
        $this->assertSame(1, $status['active_topics']);
        $this->assertSame(1, $status['connected_clients']);
        $this->assertSame(2, $status['connected_sockets']);
        $this->assertSame(['session.42'], $status['active_topic_list']);
        $this->assertEqualsCanonicalizing(['worker.status', 'session.42'], $status['topic_list']);
    }

    public function testAWrongSecretIsRefused(): void
    {
        $stranger = new Publisher($this->worker->internal, str_repeat('wrong', 8));

        $this->assertSame(403, $stranger->register('session.42', false));
        $this->assertSame(404, $this->publisher->publish('session.42', 1));
    }

    public function testPhpIsToldAtOnceWhenNoWorkerListens(): void
    {
        $socket = stream_socket_server('tcp://127.0.0.1:0');
        $free = stream_socket_get_name($socket, false);
        fclose($socket);
        $publisher = new Publisher("http://$free", $this->worker->secret);

        $this->expectException(RuntimeException::class);
        $this->expectExceptionCode(CURLE_COULDNT_CONNECT);

        $publisher->publish('session.42', 1);
    }
}
