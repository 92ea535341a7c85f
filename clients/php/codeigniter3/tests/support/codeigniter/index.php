<?php
/** What the web server calls: /worker_debug is the controller Worker_debug, its method index(). */

declare(strict_types=1);

require __DIR__ . '/system.php';

$name = ucfirst(trim((string) parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH), '/'));
if ( ! preg_match('/^\w+$/', $name) || ! file_exists(APPPATH . "controllers/$name.php")) {
    show_error('The page you requested was not found.', 404);
}
require APPPATH . "controllers/$name.php";
$controller = new $name();
$controller->index();
$controller->output->display();
