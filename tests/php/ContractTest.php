<?php
declare(strict_types=1);

use PHPUnit\Framework\TestCase;

/** What PHP, JavaScript and Rust have to agree on, from contract/. */
final class ContractTest extends TestCase
{
    private ?Worker $worker = null;

    protected function tearDown(): void
    {
        $this->worker?->stop();
    }

    public static function tokensWithFields(): array
    {
        return golden('tokens.json', fn (array $case) => isset($case['fields']));
    }

    public static function signedTokens(): array
    {
        return golden('tokens.json', fn (array $case) => $case['signed']);
    }

    public static function acceptedTokens(): array
    {
        return golden('tokens.json', fn (array $case) => $case['accepted']);
    }

    public static function requests(): array
    {
        return golden('api.json', fn () => true);
    }

    /** @dataProvider tokensWithFields */
    public function testTheApplicationMintsTheGoldenTokens(array $case, string $secret): void
    {
        $this->assertSame($case['token'], Publisher::token($case['fields'], $secret));
    }

    /** @dataProvider signedTokens */
    public function testPhpSignsAsTheGoldenTokensAreSigned(array $case, string $secret): void
    {
        $message = bin2hex($case['claims']);

        $this->assertSame($case['token'], $message . '.' . hash_hmac('sha256', $message, $secret));
    }

    /** @dataProvider acceptedTokens */
    public function testTheWorkerTakesTheGoldenTokens(array $case, string $secret): void
    {
        $this->worker = new Worker($secret);
        (new Publisher($this->worker->internal, $secret))->register($case['topic'], true);

        $browser = new Browser($this->worker->ws, $case['topic'], $case['token']);

        $this->assertSame('{"type":"auth_ok"}', $browser->next());
    }

    /** @dataProvider requests */
    public function testTheWorkerAnswersTheGoldenRequests(array $case, string $secret): void
    {
        $this->worker = new Worker($secret);
        $publisher = new Publisher($this->worker->internal, $secret);
        foreach ($case['given'] ?? [] as $topic) {
            $publisher->register($topic, true);
        }

        $request = $case['request'];
        $headers = array_map(
            // curl leaves a header without a value out, unless it ends in a semicolon.
            fn (array $pair) => $pair[1] === '' ? "$pair[0];" : "$pair[0]: $pair[1]",
            $request['headers'] ?? [],
        );
        $hex = $request['body_hex'] ?? null;
        $body = $hex === null ? $request['body'] ?? null : hex2bin($hex);
        $answer = $publisher->call($request['method'], $request['path'], $headers, $body);

        $expected = $case['answer'];
        $this->assertSame($expected['status'], $answer['status']);
        foreach ($expected['headers'] ?? [] as $name => $value) {
            $this->assertSame($value, $answer['headers'][strtolower($name)] ?? null, $name);
        }
        if (isset($expected['body_keys'])) {
            $this->assertSame($expected['body_keys'], array_keys(json_decode($answer['body'], true)));
        } else {
            $this->assertSame($expected['body'], $answer['body']);
        }
    }
}
