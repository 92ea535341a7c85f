<?php
/**
 * The page /worker_debug: how each worker is, what is configured, what is wrong and what to do.
 *
 * It is for administrators alone. An application with a model `user_model` that has
 * `authorize($level)` is asked whether the user has level 99; without such a model nobody may see
 * the page, except where ENVIRONMENT is 'development'. To use another check, change may_see().
 */
defined('BASEPATH') OR exit('No direct script access allowed');

class Worker_debug extends CI_Controller
{
    public function index()
    {
        if ( ! $this->may_see()) {
            show_error('This page is for administrators.', 403, 'Not allowed');
            return;
        }
        $this->load->library('Worker_publisher');
        $problems = $this->worker_publisher->problems();
        if (is_https() && stripos($this->worker_publisher->client_url(), 'ws://') === 0) {
            $problems[] = 'This page came by https://, and browsers do not connect from such a page to '
                . 'worker_client_url, which begins with ws://; put a proxy in front and write wss://.';
        }
        $this->output->set_header('Cache-Control: no-store');
        $this->load->view('worker_debug', [
            'enabled' => $this->worker_publisher->is_enabled(),
            'nodes' => $this->worker_publisher->status_all(),
            'settings' => $this->worker_publisher->describe(),
            'problems' => $problems,
        ]);
    }

    private function may_see()
    {
        if ( ! isset($this->user_model) && ! file_exists(APPPATH . 'models/User_model.php')) {
            return ENVIRONMENT === 'development';
        }
        try {
            isset($this->user_model) OR $this->load->model('user_model');
            return method_exists($this->user_model, 'authorize') && (bool) $this->user_model->authorize(99);
        } catch (Throwable $error) {
            // Another application's authorize() may want other things than a level.
            log_message('error', 'wavelog_worker: user_model cannot tell who is an administrator ('
                . get_class($error) . '), so nobody sees the page; write another check into may_see() in '
                . 'controllers/Worker_debug.php');
            return FALSE;
        }
    }
}
