<?php
/** What the web server calls: /contest/save is the method save() of the controller Contest. */

declare(strict_types=1);

require __DIR__ . '/system.php';

[$name, $method] = explode('/', trim((string) parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH), '/')) + ['', 'index'];
$name = ucfirst($name);
if ( ! preg_match('/^\w+$/', $name) || ! file_exists(APPPATH . "controllers/$name.php")) {
    show_error('The page you requested was not found.', 404);
}
require APPPATH . "controllers/$name.php";
$controller = new $name();
if ( ! is_callable([$controller, $method])) {
    show_error('The page you requested was not found.', 404);
}
$controller->$method();
$controller->output->display();
