<?php
/**
 * The functions, classes and constants that the PHP of this project uses, all of them in PHP 7.4:
 * `make test-php-versions` runs the suite there, and the test that they exist. Before you add one,
 * look into its manual page for the version that it came with.
 *
 * `given` is what the programs define in which some files run: PHPUnit, its parser of PHP,
 * CodeIgniter 3.
 */
declare(strict_types=1);

return [
    'functions' => [],
    'constants' => [],
    'classes' => [],
    'given' => [
        'functions' => [],
        'constants' => [],
        'classes' => [],
    ],
];
