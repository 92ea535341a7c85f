//! Which address of a client the log tells (docs/protocol.md, "Client address").

use crate::support::{Socket, Worker};

/// The `client` of the log line that a refused login with these header lines leaves.
fn client(worker: &Worker, headers: &str) -> String {
    let lines = worker.log().len();
    let mut socket = Socket::upgrade(worker.public(), "/ws?topic=a", headers);
    socket.send_text("{}");
    socket.ending();
    let nth = |line: &serde_json::Value| line["level"] == "INFO" && line["client"].is_string();
    crate::support::until("the log line of a refused login", || {
        let log = worker.log();
        let mut new = log[lines..].iter().filter_map(|line| serde_json::from_str(line).ok());
        new.find(nth).map(|line: serde_json::Value| line["client"].as_str().unwrap().to_owned())
    })
}

fn worker(config: &str) -> Worker {
    let worker = Worker::with(config);
    worker.register("a");
    worker
}

#[test]
fn without_headers_it_is_the_peer() {
    let worker = worker("");

    assert_eq!(client(&worker, ""), "127.0.0.1");
}

#[test]
fn behind_a_trusted_proxy_it_is_the_rightmost_address_that_is_not_trusted() {
    let worker = worker("");

    for (forwarded, expected) in [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, 10.0.0.1", "203.0.113.7"),
        ("1.2.3.4, 203.0.113.7, 192.168.1.1, 172.16.0.1, 127.0.0.1", "203.0.113.7"),
        ("evil, 203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("  203.0.113.7  ", "203.0.113.7"),
        ("203.0.113.7,10.0.0.1,::1", "203.0.113.7"),
    ] {
        let header = format!("X-Forwarded-For: {forwarded}\r\n");
        assert_eq!(client(&worker, &header), expected, "{forwarded}");
    }
}

#[test]
fn several_forwarded_headers_are_one_list() {
    let worker = worker("");
    let headers = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 203.0.113.7, 10.0.0.1\r\n";

    assert_eq!(client(&worker, headers), "203.0.113.7");
}

#[test]
fn without_forwarded_for_it_is_the_real_ip() {
    let worker = worker("");

    assert_eq!(client(&worker, "X-Real-IP: 203.0.113.9\r\n"), "203.0.113.9");
    let both = "X-Real-IP: 203.0.113.9\r\nX-Forwarded-For: 203.0.113.7\r\n";
    assert_eq!(client(&worker, both), "203.0.113.7");
    let all_trusted = "X-Real-IP: 203.0.113.9\r\nX-Forwarded-For: 10.0.0.1, 192.168.0.1\r\n";
    assert_eq!(client(&worker, all_trusted), "203.0.113.9");
}

#[test]
fn what_is_no_address_becomes_a_question_mark() {
    let worker = worker("");

    for forged in ["evil", "203.0.113.7, \"}{\\", "203.0.113.7, <script>", "999.1.1.1", "1.2.3"] {
        let header = format!("X-Forwarded-For: {forged}\r\n");
        assert_eq!(client(&worker, &header), "?", "{forged}");
    }
    assert_eq!(client(&worker, "X-Real-IP: admin\r\n"), "?");
    assert!(!worker.log().concat().contains("evil"));
    assert!(!worker.log().concat().contains("script"));
}

#[test]
fn headers_of_a_peer_that_is_not_trusted_are_ignored() {
    let worker = worker("trusted_proxies: [\"192.0.2.0/24\"]\n");

    assert_eq!(client(&worker, "X-Forwarded-For: 203.0.113.7\r\n"), "127.0.0.1");
    assert_eq!(client(&worker, "X-Real-IP: 203.0.113.7\r\n"), "127.0.0.1");
}

#[test]
fn an_own_list_of_trusted_proxies_replaces_the_default_one() {
    let worker = worker("trusted_proxies: [\"127.0.0.1\", \"203.0.113.0/24\"]\n");

    let header = "X-Forwarded-For: 198.51.100.1, 10.0.0.1, 203.0.113.7\r\n";
    assert_eq!(client(&worker, header), "10.0.0.1");
}
