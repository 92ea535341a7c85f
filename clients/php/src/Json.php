<?php
declare(strict_types=1);

namespace WavelogWorker;

use JsonException;
use Throwable;
use WavelogWorker\Exception\PayloadException;

/**
 * Writes what is sent as JSON: short, readable, and such that 14.0 stays a number with a fraction.
 *
 * @internal
 */
final class Json
{
    public const FLAGS = JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE
        | JSON_PRESERVE_ZERO_FRACTION;

    /**
     * @param array<string, mixed> $fields
     *
     * @throws PayloadException
     */
    public static function encode(array $fields, Options $options): string
    {
        $substitute = $options->substituteInvalidUtf8 ? JSON_INVALID_UTF8_SUBSTITUTE : 0;
        try {
            return json_encode($fields, self::FLAGS | $substitute);
        } catch (JsonException $e) {
            $hint = $e->getCode() === JSON_ERROR_UTF8 && $substitute === 0
                ? ': convert it to UTF-8, or set the option substitute_invalid_utf8'
                : '';
            // The application's objects may answer to json_encode() with a JsonException of their
            // own; its words are theirs, and may hold what is to be kept private.
            $reason = $e->getCode() > 0 ? $e->getMessage() : 'an object refused';
            throw new PayloadException("the message cannot be written as JSON ($reason)$hint", 0, $e);
        } catch (Throwable $e) { // Of jsonSerialize() of an application's object.
            $class = get_class($e);
            throw new PayloadException("the message cannot be written as JSON (an object threw $class)", 0, $e);
        }
    }
}
