//! Starting the program: flags, configuration file, environment, exit codes (docs/protocol.md,
//! "Configuration").

use std::fs;
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::{SECRET, Worker, command, request};

/// Lines that make any configuration harmless to start, without the secret.
const HARMLESS: &str = "ws_port: 0\nws_bind: 127.0.0.1\ninternal_port: 0\nlog_format: json\n";

/// Runs the program on a file with `config`, and expects it to end by itself.
fn run(config: &str) -> Output {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("worker.yaml");
    fs::write(&path, config).unwrap();
    let mut command = command();
    command.arg("--config").arg(path);
    finish(&mut command)
}

/// Waits for the end of a program that should refuse to start. One that does start is killed,
/// and the test fails.
fn finish(command: &mut Command) -> Output {
    use std::process::Stdio;
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if std::time::Instant::now() > deadline {
            child.kill().unwrap();
            panic!("started: {:?}", child.wait_with_output());
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

/// Checks that a configuration is refused with exit code 1 and one line that has `hints` in it.
fn assert_refused(more_config: &str, hints: &[&str]) {
    let output = run(&format!("{HARMLESS}worker_secret: {SECRET}\n{more_config}"));
    assert_one_line(&output, hints);
}

/// Checks for exit code 1 and one line on stderr that has `hints` in it.
fn assert_one_line(output: &Output, hints: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    for hint in hints {
        assert!(stderr.contains(hint), "no {hint} in {stderr}");
    }
    assert!(!stderr.contains(SECRET), "{stderr}");
}

/// Starts a worker with these lines besides the harmless ones, as they are.
fn start(config: &str, secret: &str) -> Worker {
    Worker::from_config(&format!("{HARMLESS}{config}"), secret)
}

/// Whether the worker takes `secret`.
fn takes(worker: &Worker, secret: &str) -> bool {
    let headers = [("X-Worker-Secret", secret)];
    worker.internal().ask(&request("GET", "/internal/status", &headers, b"")).status == 200
}

#[test]
fn the_file_is_named_in_any_of_four_ways() {
    for form in ["-config F", "--config F", "-config=F", "--config=F"] {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("my worker.yaml");
        fs::write(&path, format!("{HARMLESS}worker_secret: {SECRET}\n")).unwrap();
        let mut command = command();
        for part in form.split(' ') {
            command.arg(part.replace('F', path.to_str().unwrap()));
        }

        let worker = Worker::from_command(command, directory, SECRET);

        assert!(takes(&worker, SECRET), "{form}");
    }
}

#[test]
fn without_a_flag_config_yaml_in_the_working_directory_is_read() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("config.yaml"), format!("{HARMLESS}worker_secret: {SECRET}\n"))
        .unwrap();
    let mut command = command();
    command.current_dir(directory.path());

    let worker = Worker::from_command(command, directory, SECRET);

    assert!(takes(&worker, SECRET));
}

#[test]
fn an_unknown_flag_is_exit_2() {
    for flag in ["-x", "--unknown", "--conf=x"] {
        let output = finish(command().arg(flag));
        assert_eq!(output.status.code(), Some(2), "{flag}");
        assert!(!output.stderr.is_empty());
    }
    assert_eq!(finish(command().arg("--config")).status.code(), Some(2), "no file given");
}

#[test]
fn a_secret_of_less_than_32_bytes_is_refused() {
    let message = "worker_secret must be at least 32 characters";

    for secret in ["x".repeat(31), "ä".repeat(15), "short".to_owned()] {
        let output = run(&format!("{HARMLESS}worker_secret: \"{secret}\"\n"));
        assert_one_line(&output, &[message]);
    }
    assert_one_line(&run(HARMLESS), &[message]);
    assert_one_line(&run(&format!("{HARMLESS}worker_secret:\n")), &[message]);
}

#[test]
fn the_32_are_bytes_not_characters() {
    let secret = "ä".repeat(16);

    let worker = start(&format!("worker_secret: \"{secret}\"\n"), &secret);

    assert!(takes(&worker, &secret));
}

#[test]
fn an_unquoted_secret_that_looks_like_a_number_is_taken_as_its_text() {
    for secret in ["12345678901234567890123456789012", "01234567890123456789012345678901"] {
        let worker = start(&format!("worker_secret: {secret}\n"), secret);
        assert!(takes(&worker, secret));
    }
}

#[test]
fn a_broken_file_is_refused() {
    for text in ["worker_secret: \"never closed\n", "a: [1\n", "\tws_port: 1\n", "{", "- a\n- b\n"]
    {
        let output = run(text);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert_eq!(String::from_utf8_lossy(&output.stderr).trim_end().lines().count(), 1, "{text}");
    }
}

#[test]
fn a_key_given_twice_is_refused() {
    assert_refused("ws_port: 0\n", &["ws_port"]);
}

#[test]
fn values_of_a_wrong_type_are_refused_and_the_key_is_named() {
    for (key, values) in [
        ("ws_port", &["\"8000\"", "80.5", "abc", "[1]", "-1", "65536"][..]),
        ("internal_port", &["\"8000\"", "80.5", "true", "{}"]),
        ("topic_ttl", &["[1h]", "{}"]),
        ("ws_bind", &["[127.0.0.1]", "not-an-address"]),
    ] {
        for value in values {
            let lines = HARMLESS.lines().filter(|line| !line.starts_with(key));
            let rest: String = lines.map(|line| format!("{line}\n")).collect();
            let output = run(&format!("{rest}worker_secret: {SECRET}\n{key}: {value}\n"));
            assert_one_line(&output, &[key]);
        }
    }
}

#[test]
fn topic_ttl_is_a_go_duration() {
    for ttl in
        ["1h30m", "1.5h", ".5h", "+2h", "500ms", "100us", "100µs", "1.h.5m", "\"24h\"", "1h0.5s"]
    {
        start(&format!("worker_secret: {SECRET}\ntopic_ttl: {ttl}\n"), SECRET);
    }
    for ttl in ["24", "1.5", "1d", "abc", "h", "1 h", "1h30", "1H", "\"-\""] {
        assert_refused(&format!("topic_ttl: {ttl}\n"), &["invalid topic_ttl"]);
    }
    for ttl in ["0", "0s", "-1h", "-0.5s", "0h0m"] {
        assert_refused(&format!("topic_ttl: {ttl}\n"), &["topic_ttl must be positive"]);
    }
}

#[test]
fn white_space_around_a_duration_is_refused_as_go_does() {
    for ttl in ["\"1h \"", "\" 1h\""] {
        assert_refused(&format!("topic_ttl: {ttl}\n"), &["invalid topic_ttl"]);
    }
}

#[test]
fn our_own_keys_are_checked_as_well() {
    for (key, value) in [
        ("auth_timeout", "abc"),
        ("auth_timeout", "0s"),
        ("request_timeout", "-1s"),
        ("write_timeout", "10"),
        ("ping_interval", "0s"),
        ("idle_timeout", "x"),
        ("backlog_bytes", "0"),
        ("backlog_bytes", "lots"),
        ("outbox_bytes", "-5"),
        ("trusted_proxies", "[\"nonsense\"]"),
        ("trusted_proxies", "[\"10.0.0.0/33\"]"),
        ("threads", "0"),
        ("log_level", "loud"),
        ("log_format", "xml"),
    ] {
        let harmless = HARMLESS.replace("log_format: json\n", "");
        let output = run(&format!("{harmless}worker_secret: {SECRET}\n{key}: {value}\n"));
        assert_one_line(&output, &[key]);
    }
    assert_refused("ping_interval: 30s\nidle_timeout: 20s\n", &["idle_timeout"]);
}

#[test]
fn a_bad_redis_url_is_refused() {
    for url in ["http://localhost", "localhost:6379", "redis"] {
        assert_refused(&format!("redis_url: \"{url}\"\n"), &["redis_url"]);
    }
}

#[test]
fn an_unknown_key_is_warned_about_with_the_nearest_known_one() {
    let worker = start(&format!("worker_secret: {SECRET}\ntopic_tll: 1h\nfoo: bar\n"), SECRET);

    let warned = |key: &'static str| {
        worker.wait_for_log(key, |line| line["level"] == "WARN" && line.to_string().contains(key))
    };
    assert!(warned("topic_tll").to_string().contains("topic_ttl"));
    warned("foo");
}

#[test]
fn empty_and_null_values_keep_the_defaults() {
    let worker = start(
        &format!("worker_secret: {SECRET}\ntopic_ttl:\nredis_url: \"\"\ninternal_bind: null\n"),
        SECRET,
    );

    assert!(worker.internal.ip().is_loopback());
    worker.register("a");
    worker.publish("a", "1");
}

#[test]
fn an_empty_internal_bind_is_every_address() {
    let worker = start(&format!("worker_secret: {SECRET}\ninternal_bind: \"\"\n"), SECRET);

    assert!(worker.internal.ip().is_unspecified());
}

#[test]
fn without_ws_bind_every_address_is_served_ipv6_too() {
    let config =
        format!("ws_port: 0\ninternal_port: 0\nlog_format: json\nworker_secret: {SECRET}\n");
    let worker = Worker::from_config(&config, SECRET);
    let port = worker.ws.port();

    assert!(worker.ws.ip().is_unspecified());
    assert!(worker.internal.ip().is_loopback());
    TcpStream::connect(("127.0.0.1", port)).unwrap();
    TcpStream::connect(("127.0.0.2", port)).unwrap();
    // A machine without IPv6 cannot show the other half.
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
    }
}

#[test]
fn crlf_and_json_files_are_fine() {
    let yaml = format!("{HARMLESS}worker_secret: {SECRET}\ntopic_ttl: 1h\n").replace('\n', "\r\n");
    let json = format!(
        r#"{{"ws_port": 0, "ws_bind": "127.0.0.1", "internal_port": 0, "log_format": "json",
            "worker_secret": "{SECRET}"}}"#
    );

    for text in [yaml, json] {
        assert!(takes(&Worker::from_config(&text, SECRET), SECRET));
    }
}

#[test]
fn a_busy_port_is_exit_1_and_says_so() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port();
    let rest = format!("ws_bind: 127.0.0.1\nworker_secret: {SECRET}\n");

    for ports in [
        format!("ws_port: {port}\ninternal_port: 0\n"),
        format!("ws_port: 0\ninternal_port: {port}\n"),
    ] {
        let output = run(&format!("{rest}{ports}"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("address already in use"), "{stderr}");
        assert!(stderr.contains(&port.to_string()), "{stderr}");
    }
}

/// Runs in an empty directory with these variables and no flag.
fn with_environment(variables: &[(&str, &str)], directory: &Path) -> Command {
    let mut command = command();
    command.current_dir(directory).envs(variables.iter().copied());
    command
}

#[test]
fn the_environment_overrides_the_file() {
    let directory = TempDir::new().unwrap();
    let config = "ws_port: 1\nws_bind: 192.0.2.1\ninternal_port: 1\ninternal_bind: 192.0.2.1\n\
                  worker_secret: the-secret-of-the-file-0123456789abcdef\ntopic_ttl: bad\n\
                  log_format: json\n";
    fs::write(directory.path().join("config.yaml"), config).unwrap();
    let command = with_environment(
        &[
            ("WORKER_WS_PORT", "0"),
            ("WORKER_WS_BIND", "127.0.0.1"),
            ("WORKER_INTERNAL_PORT", "0"),
            ("WORKER_INTERNAL_BIND", "127.0.0.1"),
            ("WORKER_SECRET", SECRET),
            ("WORKER_TOPIC_TTL", "1s"),
        ],
        directory.path(),
    );

    let worker = Worker::from_command(command, directory, SECRET);

    assert!(takes(&worker, SECRET));
    worker.register("a");
    crate::support::until("the topic to expire", || {
        (worker.try_publish("a", "1").status == 404).then_some(())
    });
}

#[test]
fn an_empty_variable_is_ignored() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("config.yaml"), format!("{HARMLESS}worker_secret: {SECRET}\n"))
        .unwrap();
    let command = with_environment(
        &[("WORKER_SECRET", ""), ("WORKER_WS_PORT", ""), ("WORKER_TOPIC_TTL", "")],
        directory.path(),
    );

    let worker = Worker::from_command(command, directory, SECRET);

    assert!(takes(&worker, SECRET));
}

#[test]
fn a_bad_variable_is_refused_and_named() {
    for (name, value) in [
        ("WORKER_WS_PORT", "abc"),
        ("WORKER_INTERNAL_PORT", "70000"),
        ("WORKER_TOPIC_TTL", "bad"),
        ("WORKER_SECRET", "short"),
    ] {
        let directory = TempDir::new().unwrap();
        let config = format!("{HARMLESS}worker_secret: {SECRET}\n");
        fs::write(directory.path().join("config.yaml"), config).unwrap();
        let output = finish(&mut with_environment(&[(name, value)], directory.path()));
        assert_eq!(output.status.code(), Some(1), "{name}");
        let stderr = String::from_utf8_lossy(&output.stderr).to_lowercase();
        let key = name.trim_start_matches("WORKER_").to_lowercase();
        assert!(stderr.contains(&key), "no {key} in {stderr}");
        assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    }
}

#[test]
fn a_missing_file_is_fine_when_the_environment_has_the_secret() {
    let directory = TempDir::new().unwrap();
    let mut command = with_environment(
        &[
            ("WORKER_SECRET", SECRET),
            ("WORKER_WS_PORT", "0"),
            ("WORKER_WS_BIND", "127.0.0.1"),
            ("WORKER_INTERNAL_PORT", "0"),
        ],
        directory.path(),
    );
    command.args(["--config", "missing.yaml"]);

    // Without a file the log is text for people.
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    let listening = lines.by_ref().map_while(Result::ok).find(|line| line.contains("listening"));

    child.kill().unwrap();
    child.wait().unwrap();
    assert!(listening.is_some());
}

#[test]
fn a_missing_file_without_a_secret_in_the_environment_is_refused() {
    let directory = TempDir::new().unwrap();

    let output = finish(command().current_dir(directory.path()).args(["--config", "missing.yaml"]));

    assert_one_line(&output, &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("worker_secret") || stderr.contains("missing.yaml"), "{stderr}");
}

#[test]
fn a_file_that_cannot_be_read_is_refused_and_named() {
    let directory = TempDir::new().unwrap();

    // A directory cannot be read as a file, not even by root.
    let output = finish(command().arg("--config").arg(directory.path()));

    assert_one_line(&output, &[directory.path().to_str().unwrap()]);
}

#[test]
fn a_risky_setting_is_warned_of_at_the_start() {
    let worker = Worker::with_secret(&"a".repeat(40), "internal_bind: 0.0.0.0\n");

    for words in ["worker_secret has very few different characters", "internal_bind"] {
        let line = worker.wait_for_log(words, |line| {
            line["message"].as_str().is_some_and(|message| message.contains(words))
        });
        assert_eq!(line["level"], "WARN");
    }
}
