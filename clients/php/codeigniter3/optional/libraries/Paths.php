<?php
/**
 * A `Paths` library for applications that have none. One that has its own keeps it and adds the
 * line `use Worker_token;` (application/libraries/Worker_token.php says how).
 */

declare(strict_types=1);

defined('BASEPATH') OR exit('No direct script access allowed');

require_once APPPATH . 'libraries/Worker_token.php';

class Paths
{
    use Worker_token;
}
