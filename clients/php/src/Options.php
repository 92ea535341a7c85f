<?php
declare(strict_types=1);

namespace WavelogWorker;

use InvalidArgumentException;

/**
 * The options of a {@see Client}, checked.
 *
 * | option | default | meaning |
 * |---|---|---|
 * | `timeout` | 1.0 | seconds that a whole operation may take, with every retry and other node |
 * | `connect_timeout` | 0.5 | seconds to connect to one node; 0.5 at most |
 * | `dead_for` | 5.0 | seconds for which a node that did not answer is passed over, at most; 0: never |
 * | `substitute_invalid_utf8` | false | whether bytes that are not UTF-8 become U+FFFD, or fail |
 *
 * @internal
 */
final class Options
{
    public float $timeout;
    public float $connectTimeout;
    public float $deadFor;
    public bool $substituteInvalidUtf8;

    /**
     * @param array<string, mixed> $given
     *
     * @throws InvalidArgumentException
     */
    public function __construct(array $given)
    {
        $defaults = [
            'timeout' => 1.0,
            'connect_timeout' => 0.5,
            'dead_for' => 5.0,
            'substitute_invalid_utf8' => false,
        ];
        $unknown = array_keys(array_diff_key($given, $defaults));
        if ($unknown !== []) {
            throw new InvalidArgumentException(
                "there is no option '{$unknown[0]}'; there are " . implode(', ', array_keys($defaults))
            );
        }
        $values = $given + $defaults;
        $this->timeout = self::seconds('timeout', $values['timeout'], 0.001, 3600.0);
        $this->connectTimeout = self::seconds('connect_timeout', $values['connect_timeout'], 0.001, 0.5);
        $this->deadFor = self::seconds('dead_for', $values['dead_for'], 0.0, 3600.0);
        if (!is_bool($values['substitute_invalid_utf8'])) {
            throw new InvalidArgumentException('option substitute_invalid_utf8 has to be true or false');
        }
        $this->substituteInvalidUtf8 = $values['substitute_invalid_utf8'];
    }

    /** @param mixed $value */
    private static function seconds(string $name, $value, float $least, float $most): float
    {
        if ((is_int($value) || is_float($value)) && $value >= $least && $value <= $most) {
            return (float) $value;
        }
        throw new InvalidArgumentException(
            "option $name has to be a number of seconds from $least to $most"
        );
    }
}
