<?php
declare(strict_types=1);

use WavelogWorker\Client;
use WavelogWorker\Secret;
use WavelogWorker\Token;

/** Tokens: the golden cases of contract/, and what a worker says to those that are minted now. */
final class TokenTest extends WorkerTestCase
{
    public static function withFields(): array
    {
        return golden('tokens.json', static function (array $case): bool {
            return isset($case['fields']);
        });
    }

    /** @dataProvider withFields */
    public function testTheGoldenTokensAreMinted(array $case, string $secret): void
    {
        $fields = $case['fields'];

        $token = isset($fields['topic'])
            ? Token::forTopic(new Secret($secret), $fields['topic'], $fields['user_id'], $fields['expires'])
            : Token::forSession(new Secret($secret), $fields['session_id'], $fields['user_id'], $fields['expires']);

        $this->assertSame($case['token'], $token);
    }

    /** @dataProvider withFields */
    public function testTheClientMintsTheGoldenTokensWhenTheirTimeIsLeft(array $case, string $secret): void
    {
        $fields = $case['fields'];
        $client = new Client('http://127.0.0.1:1', $secret);

        do { // Again if the clock moved on in between.
            $now = time();
            $ttl = $fields['expires'] - $now;
            if ($ttl < 1) {
                $this->expectException(InvalidArgumentException::class);
            }
            $token = isset($fields['topic'])
                ? $client->token($fields['topic'], $fields['user_id'], $ttl)
                : $client->tokenForSession($fields['session_id'], $fields['user_id'], $ttl);
        } while ($now !== time());

        $this->assertSame($case['token'], $token);
    }

    public function testTheWorkerLetsBothFormsIn(): void
    {
        $client = $this->client();
        $client->register('session.42');

        $tokens = [$client->token('session.42', 1, 60), $client->tokenForSession(42, 1, 60)];

        foreach ($tokens as $token) {
            $browser = new Browser($this->worker()->ws, 'session.42', $token);
            $this->assertSame('{"type":"auth_ok"}', $browser->next());
        }
    }

    public function testATokenOpensNoOtherTopic(): void
    {
        $client = $this->client();
        $client->register('session.43');

        $browser = new Browser($this->worker()->ws, 'session.43', $client->tokenForSession(42, 1, 60));

        $this->assertSame('unauthorized', $browser->nextMessage()['code']);
    }

    public static function bad(): array
    {
        return [
            'no life' => ['token', ['session.42', 1, 0], 'in seconds'],
            'a life that is over' => ['token', ['session.42', 1, -1], 'in seconds'],
            'a life without end' => ['token', ['session.42', 1, PHP_INT_MAX], 'in seconds'],
            'no topic' => ['token', ['', 1, 60], 'topic is empty'],
            'a topic that is not UTF-8' => ['token', ["\xff", 1, 60], 'not UTF-8'],
            'no session' => ['tokenForSession', [0, 1, 60], 'above 0'],
            'a negative session' => ['tokenForSession', [-1, 1, 60], 'above 0'],
            'no life of a session' => ['tokenForSession', [42, 1, 0], 'in seconds'],
        ];
    }

    /** @dataProvider bad */
    public function testATokenThatNoWorkerWouldTakeIsNotMinted(string $verb, array $arguments, string $words): void
    {
        $client = new Client('http://127.0.0.1:1', str_repeat('s', 32));

        $this->expectException(InvalidArgumentException::class);
        $this->expectExceptionMessage($words);

        $client->$verb(...$arguments);
    }
}
