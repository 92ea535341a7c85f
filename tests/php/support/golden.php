<?php
declare(strict_types=1);

/** The cases of a file of contract/, by their names, as a PHPUnit data provider wants them. */
function golden(string $file, callable $filter): array
{
    $text = file_get_contents(__DIR__ . "/../../../contract/$file");
    $contract = json_decode($text, true, 512, JSON_THROW_ON_ERROR);
    $chosen = [];
    foreach (array_filter($contract['cases'], $filter) as $case) {
        $chosen[$case['name']] = [$case, $contract['secret']];
    }
    return $chosen;
}
