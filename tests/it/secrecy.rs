//! Secrets, tokens and payloads never appear where others can read them.

use std::fs;

use crate::support::{SECRET, Worker, mint, request};

#[test]
fn no_secret_no_token_and_no_payload_is_ever_logged() {
    let worker = Worker::with("log_level: trace\n");
    worker.register("session.42");
    let good = worker.token(1, "session.42");
    let forged = mint(r#"{"user_id":1}"#, "another-secret-0123456789abcdef0123");

    let mut socket = worker.subscribe("session.42");
    worker.publish("session.42", r#""a payload that is nobody's business""#);
    socket.next_push();
    socket.send_text("something that a browser says");
    socket.assert_quiet();
    let mut refused = worker.open("session.42");
    refused.send_text(&format!(r#"{{"type":"auth","token":"{forged}"}}"#));
    refused.ending();
    let wrong = [("X-Worker-Secret", "a-wrong-secret-that-somebody-typed-wrong")];
    worker.internal().ask(&request("POST", "/internal/publish", &wrong, b"{}"));
    let body = format!(r#"{{"topic":"{SECRET}-no-json"#);
    worker.post("/internal/publish", body);
    worker.wait_for_log("the refused login", |line| line["client"].is_string());

    let log = worker.log().join("\n");
    let signature = |token: &str| token.split_once('.').unwrap().1.to_owned();
    for secret in [
        SECRET,
        &good,
        &signature(&good),
        &forged,
        &signature(&forged),
        "nobody's business",
        "a browser says",
        "a-wrong-secret",
    ] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

#[test]
fn the_secret_is_not_in_the_command_line() {
    let worker = Worker::start();

    let command_line = fs::read(format!("/proc/{}/cmdline", worker.pid())).unwrap();

    assert!(!String::from_utf8_lossy(&command_line).contains(SECRET));
}

#[test]
fn every_line_of_a_json_log_is_a_json_object_with_message_and_level() {
    let worker = Worker::with("log_level: trace\n");
    worker.register("a");
    worker.subscribe("a").assert_quiet();
    worker.open("a").send_text("{}");
    worker.wait_for_counter("auth_failures", 1);

    for line in worker.log() {
        let parsed: serde_json::Value = serde_json::from_str(&line).expect(&line);
        assert!(parsed["message"].is_string() && parsed["level"].is_string(), "{line}");
    }
}
