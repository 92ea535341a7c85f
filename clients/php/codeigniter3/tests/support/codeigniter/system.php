<?php
/**
 * As much of CodeIgniter 3 as the drop-in and the tests use, with the behaviour of version 3.1.13:
 * which files a name means, what a missing one does, how sections of the configuration work, what
 * the loader hands to a library's constructor, what goes to the log.
 *
 * APPPATH is the application that the environment variable CI_APPPATH names; CI_ENV is its
 * environment; CI_SESSION, JSON, what its session holds (not set: no session library is loaded).
 */

declare(strict_types=1);

define('BASEPATH', __DIR__ . '/');
define('APPPATH', getenv('CI_APPPATH') . '/');
define('VIEWPATH', APPPATH . 'views/');
define('ENVIRONMENT', getenv('CI_ENV') ?: 'production');

function &get_instance()
{
    return CI_Controller::get_instance();
}

/** Writes errors, as `log_threshold` 1 does; lines of every other level go nowhere. */
function log_message($level, $message): void
{
    if (strtoupper($level) === 'ERROR') {
        $line = 'ERROR - ' . date('Y-m-d H:i:s') . ' --> ' . $message . "\n";
        file_put_contents(APPPATH . 'logs/log.php', $line, FILE_APPEND);
    }
}

/** Ends the request. */
function show_error($message, $status_code = 500, $heading = 'An Error Was Encountered'): void
{
    http_response_code($status_code);
    exit("<h1>$heading</h1><p>$message</p>");
}

function is_https(): bool
{
    return strtolower($_SERVER['HTTPS'] ?? 'off') !== 'off'
        || ($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '') === 'https';
}

class CI_Config
{
    public array $config = [];
    public array $is_loaded = [];

    public function load($file = '', $use_sections = false, $fail_gracefully = false): bool
    {
        $file = str_replace('.php', '', $file);
        $loaded = false;
        foreach ([$file, ENVIRONMENT . '/' . $file] as $location) {
            $path = APPPATH . 'config/' . $location . '.php';
            if (in_array($path, $this->is_loaded, true)) {
                return true;
            }
            if ( ! file_exists($path)) {
                continue;
            }
            $config = null;
            include $path;
            if ( ! is_array($config)) {
                if ($fail_gracefully === true) {
                    return false;
                }
                show_error("Your $path file does not appear to contain a valid configuration array.");
            }
            if ($use_sections === true) {
                $this->config[$file] = array_merge($this->config[$file] ?? [], $config);
            } else {
                $this->config = array_merge($this->config, $config);
            }
            $this->is_loaded[] = $path;
            $loaded = true;
        }
        if ( ! $loaded && $fail_gracefully !== true) {
            show_error("The configuration file $file.php does not exist.");
        }
        return $loaded;
    }

    public function item($item, $index = '')
    {
        return $index === '' ? $this->config[$item] ?? null : $this->config[$index][$item] ?? null;
    }
}

class CI_Loader
{
    private array $models = [];

    public function config($file, $use_sections = false, $fail_gracefully = false): bool
    {
        return get_instance()->config->load($file, $use_sections, $fail_gracefully);
    }

    public function is_loaded($class)
    {
        $name = strtolower($class);
        return isset(get_instance()->$name) ? $name : false;
    }

    public function library($library, $params = null, $object_name = null): self
    {
        $class = ucfirst($library);
        $name = $object_name ?: strtolower($class);
        $CI =& get_instance();
        if ( ! class_exists($class, false)) {
            if ( ! file_exists(APPPATH . "libraries/$class.php")) {
                show_error("Unable to load the requested class: $class");
            }
            include_once APPPATH . "libraries/$class.php";
        }
        if (isset($CI->$name)) {
            return $this; // A second attempt is ignored.
        }
        // A configuration file of the library's name goes to its constructor.
        $config = $params;
        if ($config === null && file_exists(APPPATH . 'config/' . strtolower($class) . '.php')) {
            include APPPATH . 'config/' . strtolower($class) . '.php';
        }
        $CI->$name = isset($config) ? new $class($config) : new $class();
        return $this;
    }

    public function model($model, $name = ''): self
    {
        $name = $name ?: $model;
        $class = ucfirst($model);
        $CI =& get_instance();
        if (in_array($name, $this->models, true)) {
            return $this;
        }
        if (isset($CI->$name)) {
            throw new RuntimeException("The model name you are loading is already being used: $name");
        }
        if ( ! file_exists(APPPATH . "models/$class.php")) {
            throw new RuntimeException("Unable to locate the model you have specified: $class");
        }
        require_once APPPATH . "models/$class.php";
        $this->models[] = $name;
        $CI->$name = new $class();
        return $this;
    }

    public function view($view, $vars = [], $return = false)
    {
        extract($vars);
        ob_start();
        include VIEWPATH . $view . '.php';
        if ($return === true) {
            return ob_get_clean();
        }
        get_instance()->output->append_output(ob_get_clean());
        return $this;
    }
}

class CI_Output
{
    private string $output = '';

    public function set_output($output): self
    {
        $this->output = $output;
        return $this;
    }

    public function append_output($output): self
    {
        $this->output .= $output;
        return $this;
    }

    public function set_header($header, $replace = true): self
    {
        header($header, $replace);
        return $this;
    }

    public function display(): void
    {
        echo $this->output;
    }
}

class CI_Session
{
    public function userdata($key = null)
    {
        return json_decode(getenv('CI_SESSION'), true)[$key] ?? null;
    }
}

class CI_Model
{
}

#[AllowDynamicProperties]
class CI_Controller
{
    private static CI_Controller $instance;

    public function __construct()
    {
        self::$instance = $this;
        $this->load = new CI_Loader();
        $this->config = new CI_Config();
        $this->output = new CI_Output();
        if (getenv('CI_SESSION') !== false) {
            $this->session = new CI_Session();
        }
    }

    public static function &get_instance()
    {
        return self::$instance;
    }
}
