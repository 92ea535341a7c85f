<?php
/**
 * The token helper of a `Paths` library, to be mixed into the application's own.
 *
 *     require_once APPPATH . 'libraries/Worker_token.php';
 *
 *     class Paths
 *     {
 *         use Worker_token;
 *         ...
 *
 * and then, in a controller:
 *
 *     $this->load->library('paths');
 *     $data['worker_token'] = $this->paths->create_worker_token($session_id);
 */

declare(strict_types=1);

defined('BASEPATH') OR exit('No direct script access allowed');

trait Worker_token
{
    /**
     * A token with which the logged-in user's browser may subscribe to `session.$session_id`, good
     * for `worker_token_expiration` (a day, if the configuration does not say otherwise).
     *
     * @param int|string $session_id above 0
     * @return string empty if the worker is switched off, and after an error, which is in the log
     */
    public function create_worker_token($session_id): string
    {
        $CI =& get_instance();
        $CI->load->library('Worker_publisher');

        return $CI->worker_publisher->create_session_token($session_id);
    }
}
