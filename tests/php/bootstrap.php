<?php
declare(strict_types=1);

require __DIR__ . '/support/Worker.php';
require __DIR__ . '/support/Publisher.php';
require __DIR__ . '/support/Browser.php';
require __DIR__ . '/support/golden.php';
