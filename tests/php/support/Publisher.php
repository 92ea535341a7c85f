<?php
declare(strict_types=1);

/**
 * Speaks to the worker as PHP applications do: a new connection for each call, 500 ms to connect,
 * 1 s in all, and after a 404 one registration and one more try.
 */
final class Publisher
{
    public function __construct(private string $url, private string $secret)
    {
    }

    /** The token that lets a user's browser subscribe to a topic. */
    public static function token(array $claims, string $secret): string
    {
        $message = bin2hex(json_encode($claims, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES));
        return $message . '.' . hash_hmac('sha256', $message, $secret);
    }

    public function register(string $topic, bool $requireToken): int
    {
        $meta = ['require_token' => $requireToken];
        return $this->post('/internal/register', ['topic' => $topic, 'meta' => $meta]);
    }

    public function unregister(string $topic): int
    {
        return $this->post('/internal/unregister', ['topic' => $topic]);
    }

    public function publish(string $topic, mixed $payload): int
    {
        return $this->post('/internal/publish', ['topic' => $topic, 'payload' => $payload]);
    }

    /** Publishes; if the worker has forgotten the topic, registers it and tries once more. */
    public function publishRegistered(string $topic, bool $requireToken, mixed $payload): int
    {
        $status = $this->publish($topic, $payload);
        if ($status !== 404) {
            return $status;
        }
        $this->register($topic, $requireToken);
        return $this->publish($topic, $payload);
    }

    public function status(string $query = ''): array
    {
        $answer = $this->call('GET', "/internal/status$query", ["X-Worker-Secret: $this->secret"]);
        return json_decode($answer['body'], true, flags: JSON_THROW_ON_ERROR);
    }

    /**
     * Makes any call, with these header lines and no others of ours.
     *
     * @return array{status: int, headers: array<string, string>, body: string}
     */
    public function call(string $method, string $path, array $headers, ?string $body = null): array
    {
        $answerHeaders = [];
        $curl = curl_init($this->url . $path);
        curl_setopt_array($curl, [
            CURLOPT_CUSTOMREQUEST => $method,
            CURLOPT_HTTPHEADER => [...$headers, 'Expect:'],
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_CONNECTTIMEOUT_MS => 500,
            CURLOPT_TIMEOUT_MS => 1000,
            CURLOPT_PROXY => '',
            CURLOPT_HEADERFUNCTION => function ($curl, string $line) use (&$answerHeaders): int {
                [$name, $value] = [...explode(':', $line, 2), ''];
                $answerHeaders[strtolower(trim($name))] = trim($value);
                return strlen($line);
            },
        ]);
        if ($body !== null) {
            curl_setopt($curl, CURLOPT_POSTFIELDS, $body);
        }
        $answer = curl_exec($curl);
        if ($answer === false) {
            throw new RuntimeException(curl_error($curl), curl_errno($curl));
        }
        $status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
        return ['status' => $status, 'headers' => $answerHeaders, 'body' => $answer];
    }

    private function post(string $path, array $fields): int
    {
        $headers = ['Content-Type: application/json', "X-Worker-Secret: $this->secret"];
        $body = json_encode($fields, JSON_THROW_ON_ERROR);
        return $this->call('POST', $path, $headers, $body)['status'];
    }
}
