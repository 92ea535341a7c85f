<?php
/**
 * One request of a CodeIgniter application that goes on for as long as the test wants.
 *
 * Each line on standard input is JSON, a piece of PHP in which `$CI` is the controller; each line on
 * standard output is JSON: what the piece returned, what it threw, what it printed (warnings
 * among it), and how long it took in seconds.
 */

declare(strict_types=1);

require __DIR__ . '/system.php';

$controller = new CI_Controller();
$ask = static function (string $code) use ($controller) {
    $CI = $controller;
    return eval($code);
};

while (($line = fgets(STDIN)) !== false) {
    $answer = ['result' => null, 'thrown' => null];
    ob_start();
    $begin = hrtime(true);
    try {
        $answer['result'] = $ask(json_decode($line, false, 512, JSON_THROW_ON_ERROR));
    } catch (Throwable $thrown) {
        $answer['thrown'] = (string) $thrown;
    }
    $answer['seconds'] = (hrtime(true) - $begin) / 1e9;
    $answer['output'] = ob_get_clean();
    fwrite(STDOUT, json_encode($answer, JSON_THROW_ON_ERROR | JSON_PRESERVE_ZERO_FRACTION) . "\n");
}
