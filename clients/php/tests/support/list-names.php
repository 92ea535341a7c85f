<?php
/**
 * Prints what this PHP has, for php-names.json: `php list-names.php [OTHER]` leaves out what is not
 * in the file OTHER, which it printed under another version. The lists of this project are
 *
 *     php7.4 list-names.php > /tmp/7.4 && php8.4 list-names.php /tmp/7.4 > php-names.json
 *
 * so they have what PHP 7.4 had and 8.4 still has, of the extensions that every PHP brings and of
 * those that this project asks for.
 */
declare(strict_types=1);

$extensions = [
    'Core', 'ctype', 'curl', 'date', 'filter', 'hash', 'json', 'mbstring', 'pcntl', 'pcre', 'PDO',
    'posix', 'random', 'Reflection', 'session', 'SPL', 'standard',
];
$names = ['functions' => [], 'constants' => [], 'classes' => []];
foreach (array_filter($extensions, 'extension_loaded') as $extension) { // PHP 7.4 has random in standard.
    $about = new ReflectionExtension($extension);
    $names['functions'] = array_merge($names['functions'], array_keys($about->getFunctions()));
    $names['constants'] = array_merge($names['constants'], array_keys($about->getConstants()));
    $names['classes'] = array_merge($names['classes'], $about->getClassNames());
}
$other = isset($argv[1]) ? json_decode(file_get_contents($argv[1]), true) : $names;
foreach ($names as $kind => $list) {
    $list = array_values(array_intersect($list, $other[$kind]));
    sort($list);
    $names[$kind] = $list;
}
echo wordwrap(str_replace([',', '{', ':'], [', ', "{\n", ":\n"], json_encode($names)), 100), "\n";
