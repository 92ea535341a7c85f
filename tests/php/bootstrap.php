<?php
declare(strict_types=1);

require __DIR__ . '/support/Worker.php';
require __DIR__ . '/support/Publisher.php';
require __DIR__ . '/support/Browser.php';

/** The cases of a file of contract/, by their names, as a PHPUnit data provider wants them. */
function golden(string $file, callable $filter): array
{
    $contract = json_decode(
        file_get_contents(__DIR__ . "/../../contract/$file"),
        true,
        flags: JSON_THROW_ON_ERROR,
    );
    $chosen = [];
    foreach (array_filter($contract['cases'], $filter) as $case) {
        $chosen[$case['name']] = [$case, $contract['secret']];
    }
    return $chosen;
}
