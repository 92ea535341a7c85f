<?php
/*
 * The worker: what PHP calls, what browsers connect to, and the secret that both share.
 *
 * Copy this file once and fill it in; an application that has its own worker.php keeps it. Mistakes
 * here never break a page: each is one line in the application's log, which says what is used
 * instead, and the page of the controller Worker_debug shows them all.
 */
defined('BASEPATH') OR exit('No direct script access allowed');

// FALSE: nothing is called, and pages work without live updates.
$config['worker_enabled'] = FALSE;

// The worker's internal addresses, http:// or https://. The first is always tried first, the next
// only when no connection to it could be made. With several workers, name every one of them.
$config['worker_urls'] = ['http://127.0.0.1:9001'];

// The address of a load balancer in front of the workers. If it is set, PHP calls it instead of the
// list above; the list is then only for the status of each worker.
$config['worker_vip'] = '';

// One address in place of both settings above, as newer applications have it: a worker, or the load
// balancer in front of several. If it is set, the two above are not read.
// $config['worker_url'] = 'http://127.0.0.1:9001';

// The same as worker_secret in the worker's config.yaml, to the letter, at least 32 characters.
// Make one with: openssl rand -hex 32
$config['worker_secret'] = '';

// Seconds that one call may take in all, with every retry and other addresses. Connecting takes at
// most half a second of them. Keep it short: a visitor waits for it while a worker hangs.
$config['worker_timeout'] = 1.0;

// Where browsers connect, ws:// or wss://; the address of the proxy if one stands in front. A page
// that is served by https:// needs wss://. Empty: no live updates in browsers.
$config['worker_client_url'] = '';

// Seconds for which a browser's token is good, above 0. A worker keeps a connection whose token
// runs out; it is the next connection that needs a fresh one. Anything that is not above 0 is an
// error in the log, and 86400 is used: tokens that are never good would have every browser knock
// for ever, and an exception would break pages that work without the worker.
$config['worker_token_expiration'] = 86400;
