<?php
/**
 * `Worker_publisher` under the name that newer applications load it by:
 *
 *     $this->load->library('worker');
 *     $this->worker->publish('session.42', ['event' => 'qso_updated']);
 *
 * Copy it only over an application's own library of this name, or where nothing else is called
 * `Worker`: a controller of that name would be the same class.
 */

declare(strict_types=1);

defined('BASEPATH') OR exit('No direct script access allowed');

require_once APPPATH . 'libraries/Worker_publisher.php';

class Worker extends Worker_publisher
{
}
