<?php
declare(strict_types=1);

require __DIR__ . '/../autoload.php';
require __DIR__ . '/../../../tests/php/support/Worker.php';
require __DIR__ . '/../../../tests/php/support/Browser.php';
require __DIR__ . '/../../../tests/php/support/golden.php';
require __DIR__ . '/support/WorkerTestCase.php';
require __DIR__ . '/support/ScriptedNode.php';
require __DIR__ . '/support/DeafNode.php';
