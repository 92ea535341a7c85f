<?php
declare(strict_types=1);

/**
 * A port on which nobody ever answers, in three degrees. Nothing of it is simulated: the kernel
 * does what it does for a process that hangs, and for one whose queue is full.
 */
final class DeafNode
{
    /** @var string */
    public $url;
    /** @var resource|null */
    private $listener = null;
    /** @var resource[] */
    private $waiting = [];

    private function __construct(int $backlog)
    {
        $context = stream_context_create(['socket' => ['backlog' => $backlog]]);
        $flags = STREAM_SERVER_BIND | STREAM_SERVER_LISTEN;
        $this->listener = stream_socket_server('tcp://127.0.0.1:0', $errno, $error, $flags, $context);
        $this->url = 'http://' . stream_socket_get_name($this->listener, false);
    }

    /** Nobody listens: connections are refused at once. */
    public static function closed(): self
    {
        $node = new self(1);
        fclose($node->listener);
        $node->listener = null;
        return $node;
    }

    /** The process hangs: the kernel takes connections and requests, and nothing comes back. */
    public static function hanging(): self
    {
        return new self(100);
    }

    /** Its queue is full: nothing comes back to the first packet of a connection, as if unplugged. */
    public static function unplugged(): self
    {
        $node = new self(1);
        $address = substr($node->url, strlen('http://'));
        do {
            $socket = @stream_socket_client("tcp://$address", $errno, $error, 0.2);
            $node->waiting[] = $socket;
        } while ($socket !== false);
        return $node;
    }
}
