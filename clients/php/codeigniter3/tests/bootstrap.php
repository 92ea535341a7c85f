<?php

declare(strict_types=1);

// A real worker and a browser are those of the suite of the internal API, peers that misbehave those
// of the library's suite.
require_once __DIR__ . '/../../../../tests/php/support/Worker.php';
require_once __DIR__ . '/../../../../tests/php/support/Browser.php';
require_once __DIR__ . '/../../tests/support/DeafNode.php';
require_once __DIR__ . '/../../tests/support/ScriptedNode.php';
require_once __DIR__ . '/support/Application.php';
require_once __DIR__ . '/support/DropInTestCase.php';
