<?php
declare(strict_types=1);

namespace WavelogWorker;

use InvalidArgumentException;

/**
 * The secret that PHP and the worker share, kept such that no dump, export or trace shows it.
 *
 * The object itself holds only a number; the text is found by it. So even what looks into private
 * properties (var_export(), serialize(), error pages) finds nothing.
 *
 * @internal
 */
final class Secret
{
    /** @var array<int, string> */
    private static array $texts = [];
    private static int $last = 0;
    private int $number;

    /** @throws InvalidArgumentException */
    public function __construct(
        #[\SensitiveParameter]
        string $text
    ) {
        $kept = self::take($text);
        if (strlen($kept) < 32) {
            throw new InvalidArgumentException(
                'the secret of the worker has less than 32 bytes: copy worker_secret from its config.yaml'
            );
        }
        if (preg_match('/^\s|\s$|[\x00-\x1f\x7f]/', $kept) === 1) {
            throw new InvalidArgumentException(
                'the secret of the worker begins or ends with white space, or has control characters'
                . ' in it: copy worker_secret from its config.yaml, as one line'
            );
        }
        $this->number = ++self::$last;
        self::$texts[$this->number] = $kept;
    }

    /**
     * What `$argument` is; after that it is 'hidden', and so it is in the trace of whatever its function
     * throws, or the functions that this calls. PHP before 8.2 has no other way.
     *
     * By reference, because OPcache leaves out an assignment to a variable that nobody reads again.
     *
     * @param mixed $argument
     *
     * @return mixed
     */
    public static function take(
        #[\SensitiveParameter]
        &$argument
    ) {
        $kept = $argument;
        $argument = 'hidden';
        return $kept;
    }

    public function __destruct()
    {
        unset(self::$texts[$this->number]);
    }

    /** The header that every call carries. */
    public function header(): string
    {
        return 'X-Worker-Secret: ' . self::$texts[$this->number];
    }

    /** HMAC-SHA256 of a message, in lower-case hex. */
    public function sign(string $message): string
    {
        return hash_hmac('sha256', $message, self::$texts[$this->number]);
    }

    /** A text that comes from elsewhere, with stars in place of the secret. */
    public function hiddenIn(string $text): string
    {
        return str_replace(self::$texts[$this->number], '***', $text);
    }

    private function __clone()
    {
    }

    /** @return array<string, mixed> */
    public function __serialize(): array
    {
        throw new \LogicException('a client of the worker cannot be serialized: make a new one instead');
    }

    /**
     * Else whoever may choose what is unserialized would have the secret by its number.
     *
     * @param array<string, mixed> $data
     */
    public function __unserialize(array $data): void
    {
        throw new \LogicException('a client of the worker cannot be unserialized: make a new one instead');
    }

    /** @return array<string, string> what var_dump() may show */
    public function __debugInfo(): array
    {
        return ['secret' => 'hidden'];
    }
}
