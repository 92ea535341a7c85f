<?php
/**
 * A server that answers as its script says: `php scripted-node.php '["…","…"]' LOG`.
 *
 * It prints its port, then serves one connection after the other. Each request takes the next
 * entry of the script, the last one for ever. Before an entry acts, the request is written to LOG
 * as a line of JSON. An entry is what is sent, to the byte; or `hang` (nothing is sent any more),
 * `flood` (an answer without end), `end` (the connection ends), `die` (so does the server).
 */
declare(strict_types=1);

[, $script, $log] = $argv;
$script = json_decode($script, true);
$server = stream_socket_server('tcp://127.0.0.1:0');
echo substr(strrchr(stream_socket_get_name($server, false), ':'), 1), "\n";

/** One request, or null when the client has gone. */
function readRequest($connection): ?array
{
    $head = '';
    while (substr($head, -4) !== "\r\n\r\n") {
        $byte = fread($connection, 1);
        if ($byte === '' || $byte === false) {
            return null;
        }
        $head .= $byte;
    }
    preg_match('/^content-length: (\d+)/mi', $head, $match);
    $body = '';
    while (strlen($body) < (int) ($match[1] ?? 0)) {
        $part = fread($connection, (int) $match[1] - strlen($body));
        if ($part === '' || $part === false) {
            return null;
        }
        $body .= $part;
    }
    return ['head' => $head, 'body' => $body];
}

for ($number = 1; true; $number++) {
    $connection = stream_socket_accept($server, -1);
    stream_set_timeout($connection, 60);
    while (($request = readRequest($connection)) !== null) {
        file_put_contents($log, json_encode($request + ['connection' => $number]) . "\n", FILE_APPEND);
        $entry = count($script) > 1 ? array_shift($script) : $script[0];
        if ($entry === 'die') {
            fclose($server);
            fclose($connection);
            exit;
        } elseif ($entry === 'flood') {
            fwrite($connection, "HTTP/1.1 200 OK\r\n\r\n");
            while (@fwrite($connection, str_repeat('x', 1000000)) > 0) {
                continue;
            }
            break;
        } elseif ($entry === 'end') {
            break;
        } elseif ($entry !== 'hang') {
            fwrite($connection, $entry);
        }
    }
    fclose($connection);
}
