<?php

declare(strict_types=1);

namespace LiveLog;

/**
 * One radio contact, as somebody typed it in: checked here and nowhere else.
 *
 * It knows nothing of the database, nor of HTML: what it holds is plain text, and whoever shows
 * it escapes it.
 */
final class Contact
{
    public const BANDS = ['160m', '80m', '60m', '40m', '30m', '20m', '17m', '15m', '12m', '10m', '6m', '2m', '70cm'];
    public const MODES = ['SSB', 'CW', 'FT8', 'FM', 'RTTY', 'DIGI'];

    /** Call sign of the other station, in capitals. */
    public string $call;
    /** One of BANDS. */
    public string $band;
    /** One of MODES. */
    public string $mode;
    /** Signal report, as `59` or `-12`. */
    public string $report;
    /** Name of the operator there; may be empty. */
    public string $name;

    /**
     * Takes the fields of a form.
     *
     * @param array<string, mixed> $form
     *
     * @throws InvalidContact names the field and says what it should be
     */
    public static function fromForm(array $form): self
    {
        $contact = new self();
        $contact->call = strtoupper(self::text($form, 'call', 20));
        $contact->band = self::text($form, 'band', 10);
        $contact->mode = self::text($form, 'mode', 10);
        $contact->report = self::text($form, 'report', 10);
        $contact->name = self::text($form, 'name', 60);
        if ($contact->call === '') {
            throw new InvalidContact('call', 'Which call sign was it?');
        }
        if (!in_array($contact->band, self::BANDS, true)) {
            throw new InvalidContact('band', 'Choose a band of the list.');
        }
        if (!in_array($contact->mode, self::MODES, true)) {
            throw new InvalidContact('mode', 'Choose a mode of the list.');
        }
        if ($contact->report === '') {
            throw new InvalidContact('report', 'Which report was given?');
        }
        return $contact;
    }

    /** @param array<string, mixed> $form */
    private static function text(array $form, string $field, int $most): string
    {
        $value = $form[$field] ?? '';
        // `call[]=x` is an array; and what is not UTF-8 could neither be shown nor published.
        if (!is_string($value) || preg_match('//u', $value) !== 1) {
            throw new InvalidContact($field, 'This is not text.');
        }
        $value = trim((string) preg_replace('/[\s\x00-\x1f\x7f]+/u', ' ', $value));
        if (preg_match('/^.{0,' . $most . '}$/u', $value) !== 1) {
            throw new InvalidContact($field, "At most $most characters, please.");
        }
        return $value;
    }
}
