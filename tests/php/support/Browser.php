<?php
declare(strict_types=1);

/**
 * Just enough of a WebSocket client to see that what PHP publishes arrives: one topic, text
 * frames, waiting at most two seconds for each. Written for PHP 7.4, as the suite of clients/php
 * uses it, too.
 */
final class Browser
{
    /** @var resource */
    private $stream;

    /** Subscribes; what the worker answers to the auth frame is the first {@see next()}. */
    public function __construct(string $address, string $topic, string $token)
    {
        $this->stream = stream_socket_client("tcp://$address", $errno, $error, 2);
        stream_set_timeout($this->stream, 2);
        fwrite($this->stream, implode("\r\n", [
            'GET /ws?topic=' . rawurlencode($topic) . ' HTTP/1.1',
            "Host: $address",
            'Connection: Upgrade',
            'Upgrade: websocket',
            'Sec-WebSocket-Version: 13',
            'Sec-WebSocket-Key: ' . base64_encode(random_bytes(16)),
            '',
            '',
        ]));
        $head = '';
        while (substr($head, -4) !== "\r\n\r\n") {
            $head .= $this->read(1);
        }
        if (strncmp($head, 'HTTP/1.1 101 ', 13) !== 0) {
            throw new RuntimeException(strtok($head, "\r"));
        }
        $this->send(json_encode(['type' => 'auth', 'token' => $token]));
    }

    /** The text of the next frame that is no ping. */
    public function next(): string
    {
        do {
            [$first, $length] = array_values(unpack('C2', $this->read(2)));
            if ($length === 126) {
                $length = unpack('n', $this->read(2))[1];
            } elseif ($length === 127) {
                $length = unpack('N2', $this->read(8))[2]; // No frame here has 4 GiB.
            }
            $text = $length > 0 ? $this->read($length) : '';
        } while ($first === 0x89);
        return $text;
    }

    /** What the next frame means. */
    public function nextMessage(): array
    {
        return json_decode($this->next(), true, 512, JSON_THROW_ON_ERROR);
    }

    private function send(string $text): void
    {
        $mask = random_bytes(4);
        $length = strlen($text);
        $header = $length < 126 ? pack('C2', 0x81, 0x80 | $length) : pack('C2n', 0x81, 0xFE, $length);
        fwrite($this->stream, $header . $mask . ($text ^ str_pad('', $length, $mask)));
    }

    private function read(int $length): string
    {
        $bytes = '';
        while (strlen($bytes) < $length) {
            $more = fread($this->stream, $length - strlen($bytes));
            if ($more === false || $more === '') {
                throw new RuntimeException('the worker sent nothing more');
            }
            $bytes .= $more;
        }
        return $bytes;
    }
}
