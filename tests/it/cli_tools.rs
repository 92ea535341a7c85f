//! The shell tools against a running worker: `token`, `publish`, `listen` and `status`. Start reading
//! at `support/site.rs`.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use rustix::process::Signal;
use wavelog_worker::clock::unix_now;
use wavelog_worker::secret::Secret;
use wavelog_worker::token::{Claims, Grant, mint};

use crate::support::site::{
    OTHER_SECRET, PATIENCE, PROGRAM, Process, SECRET, Site, command, lines, run,
};

fn token(topic: &str, expires: i64, secret: &str) -> String {
    let claims = Claims { user_id: 1, grant: Grant::Topic(topic.to_owned()), expires };
    mint(&claims, &Secret::new(secret).unwrap())
}

/// An address where nobody listens.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn what_is_published_is_printed_a_line_each_and_in_order() {
    let site = Site::start();
    let mut listener = site.listen(&["--register", "--count", "3", "session.42"]);
    listener.stderr_line("connected to ws://127.0.0.1:");

    let said = site.run(&["publish", "session.42", r#"{"call": "DL1ABC"}"#]).good();
    site.run(&["publish", "session.42", "-5"]).good();
    run(site.command(&["publish", "session.42"]), b"[1,\n2]\n").good();

    assert!(said.starts_with("published to \"session.42\" on 127.0.0.1:"), "{said}");
    assert_eq!(listener.stdout_line(), r#"{"call": "DL1ABC"}"#);
    assert_eq!(listener.stdout_line(), "-5");
    assert_eq!(listener.stdout_line(), "[1, 2]");
    assert_eq!(listener.wait(), Some(0), "--count is reached");
}

#[test]
fn listen_comes_back_after_a_restart_of_the_worker() {
    let mut site = Site::start();
    let mut listener = site.listen(&["--register", "a"]);
    listener.stderr_line("connected");

    let mut worker = site.worker.take().unwrap();
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait(), Some(0));
    let note = listener.stderr_line("reconnecting in ");
    site.restart();
    listener.stderr_line("connected");
    site.run(&["publish", "a", "\"again\""]).good();

    assert!(note.contains(" s (closed 1001 shutting down)"), "{note}");
    assert!(note.starts_with("reconnecting in 0.") || note.starts_with("reconnecting in 1.0 s"));
    assert_eq!(listener.stdout_line(), "\"again\"");
}

#[test]
fn listen_comes_back_after_a_crash_of_the_worker() {
    let mut site = Site::start();
    let mut listener = site.listen(&["--register", "a"]);
    listener.stderr_line("connected");

    drop(site.worker.take());
    listener.stderr_line(" s (the connection broke)");
    listener.stderr_line("no worker listens on 127.0.0.1:");
    site.restart();

    listener.stderr_line("connected");
}

#[test]
fn listen_ends_with_0_when_it_is_interrupted() {
    let site = Site::start();
    for signal in [Signal::INT, Signal::TERM] {
        let mut listener = site.listen(&["--register", "a"]);
        listener.stderr_line("connected");

        listener.signal(signal);

        assert_eq!(listener.wait(), Some(0));
    }
}

#[test]
fn listen_says_what_to_do_where_coming_back_would_not_help() {
    let site = Site::start();
    site.run(&["publish", "--register", "a", "1"]).good();

    let unknown = site.run(&["listen", "unknown"]).failure();
    let closed = site.run(&["listen", "--open", "a"]).failure();
    let url = format!("ws://{}/", site.ws);
    let elsewhere = site.run(&["listen", "--url", &url, "a"]).failure();
    fs::write(site.path("token.txt"), token("a", unix_now() - 60, SECRET)).unwrap();
    let expired = site.run(&["listen", "--token-file", "token.txt", "a"]).failure();
    let missing = site.run(&["listen", "--token-file", "none.txt", "a"]).failure();

    assert!(unknown.contains("topic \"unknown\" is not registered: add --register, or --wait"));
    assert!(closed.contains("refuses the token: the topic is not open; leave --open away"));
    assert!(elsewhere.contains("or is the path wrong? A worker's own is /ws"), "{elsewhere}");
    assert!(expired.contains("see why with `wavelog_worker token --decode`"), "{expired}");
    assert!(missing.contains("none.txt: the token cannot be read"), "{missing}");
}

#[test]
fn listen_waits_for_a_topic_if_it_is_told_to() {
    let site = Site::start();
    let mut listener = site.listen(&["--wait", "later"]);
    listener.stderr_line("(topic not registered)");

    site.run(&["publish", "--register", "later", "1"]).good();

    listener.stderr_line("connected");
}

#[test]
fn an_open_topic_needs_neither_secret_nor_token() {
    let site = Site::start();
    site.run(&["publish", "--register", "--open", "news", "1"]).good();
    let elsewhere = tempfile::tempdir().unwrap();
    let url = format!("ws://{}/ws", site.ws);
    let arguments = ["listen", "--open", "--url", &url, "--count", "1", "news"];
    let mut listener = Process::start(command(elsewhere.path(), &arguments));
    listener.stderr_line("connected");

    site.run(&["publish", "news", "2"]).good();

    assert_eq!(listener.stdout_line(), "2");
    assert_eq!(listener.wait(), Some(0));
}

#[test]
fn a_token_opens_a_topic_without_the_secret() {
    let site = Site::start();
    site.run(&["publish", "--register", "a", "1"]).good();
    let good = site.run(&["token", "--topic", "a"]).good();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("token.txt"), &good).unwrap();
    let url = format!("ws://{}/ws", site.ws);
    let without = run(command(elsewhere.path(), &["listen", "--url", &url, "a"]), b"").failure();

    let file = ["listen", "--url", &url, "--token-file", "token.txt", "--count", "1", "a"];
    let of_file = command(elsewhere.path(), &file);
    let mut of_variable =
        command(elsewhere.path(), &["listen", "--url", &url, "--count", "1", "a"]);
    of_variable.env("WORKER_TOKEN", &good);
    let mut listeners = [of_file, of_variable].map(Process::start);
    for listener in &mut listeners {
        listener.stderr_line("connected");
        assert!(!listener.command_line().contains(good.trim()));
    }
    site.run(&["publish", "a", "2"]).good();

    for listener in &mut listeners {
        assert_eq!(listener.stdout_line(), "2");
    }
    assert!(without.contains("or use --open, --token-file FILE or WORKER_TOKEN"), "{without}");
}

#[test]
fn a_token_is_made_and_explained() {
    let site = Site::start();
    let decode = |token: &str, more: &[&str]| {
        let arguments = [&["token", "--decode"], more].concat();
        run(site.command(&arguments), token.as_bytes())
    };
    let good = site.run(&["token", "--session", "42", "--user-id", "7", "--ttl", "3h12m5s"]).good();

    let accepted = decode(&good, &[]);
    let forged = decode(&token("a", unix_now() + 60, OTHER_SECRET), &[]);
    let expired = decode(&token("a", unix_now() - 301, SECRET), &[]);
    let malformed = decode(&good[..good.len() / 2], &["--json"]);
    let nothing = decode("", &[]);

    assert_eq!(accepted.code, Some(0));
    for line in [
        "claims     {\"user_id\":7,\"session_id\":42,\"expires\":",
        "opens      topic \"session.42\"\nuser       7\nexpiry     expires in 3 h 12 min (",
        "signature  good\nverdict    would be accepted now\n",
    ] {
        assert!(accepted.stdout.contains(line), "{}", accepted.stdout);
    }
    assert_eq!(good.lines().count(), 1);
    assert!(forged.stdout.contains("would be refused: its signature does not match"));
    assert!(expired.stdout.contains("expired 5 min"), "{}", expired.stdout);
    let json: serde_json::Value = serde_json::from_str(&malformed.stdout).unwrap();
    assert_eq!(json["accepted"], false);
    assert!(json["reason"].as_str().unwrap().contains("it has no dot"), "{json}");
    assert!(nothing.stdout.contains("it is empty"));
    for refused in [forged, expired, malformed, nothing] {
        assert_eq!((refused.code, refused.stderr.as_str()), (Some(1), ""));
    }
}

#[test]
fn a_token_is_explained_without_a_secret_but_not_found_good() {
    let elsewhere = tempfile::tempdir().unwrap();
    let token = token("a", unix_now() + 60, SECRET);

    let explained = run(command(elsewhere.path(), &["token", "--decode"]), token.as_bytes());

    assert_eq!(explained.code, Some(1));
    assert!(explained.stdout.contains("opens      topic \"a\""));
    assert!(explained.stdout.contains("signature  not checked, for want of a secret: config.yaml"));
    let lost = run(command(elsewhere.path(), &["status"]), b"").failure();
    assert!(lost.ends_with(", or name the worker's own file with --config\n"), "{lost}");
}

#[test]
fn a_refused_secret_is_said_without_being_shown() {
    let site = Site::start();
    let refused = |arguments: &[&str]| {
        let mut command = site.command(arguments);
        command.env("WORKER_SECRET", OTHER_SECRET);
        run(command, b"").failure()
    };
    site.run(&["publish", "--register", "a", "1"]).good();

    for arguments in [&["publish", "a", "1"][..], &["status"], &["listen", "--register", "a"]] {
        let line = refused(arguments);
        assert!(line.contains("the worker refuses this secret: give the worker_secret"), "{line}");
    }
    let line = refused(&["listen", "a"]);
    assert!(line.contains("refuses the token: it was made with another secret"), "{line}");
}

#[test]
fn without_a_worker_the_way_to_one_is_shown() {
    let site = Site::start();
    let internal = format!("http://{}", free_address());
    let browsers = format!("http://{}", site.ws);

    for arguments in [&["publish", "a", "1", "--internal"][..], &["status", "--internal"]] {
        let nobody = site.run(&[arguments, &[&internal]].concat()).failure();
        let other_port = site.run(&[arguments, &[&browsers]].concat()).failure();

        assert!(nobody.contains("no worker listens on 127.0.0.1:"), "{nobody}");
        assert!(nobody.contains("start it, or say where it is with --internal"), "{nobody}");
        assert!(other_port.contains("it is not the internal port of a worker"), "{other_port}");
    }
    let url = format!("ws://{}/ws", free_address());
    let mut listener = site.listen(&["--url", &url, "a"]);
    let note = listener.stderr_line("reconnecting in ");
    assert!(note.contains("start it, or say where it is with --url ws://host:port/ws"), "{note}");
}

#[test]
fn a_server_that_is_no_worker_is_told_from_one_that_does_not_answer() {
    let site = Site::start();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
    let (silent_url, other_url) = (url(&silent), url(&other));
    thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        stream.write_all(b"220 mail.example ESMTP\r\n").unwrap();
        let _ = stream.read(&mut [0; 1000]);
    });

    let no_http = site.run(&["status", "--internal", &other_url]).failure();
    let no_answer = site.run(&["status", "--internal", &silent_url]).failure();

    assert!(no_http.contains("gave no HTTP answer"), "{no_http}");
    assert!(no_answer.contains("did not answer within 5 s"), "{no_answer}");
}

#[test]
fn a_payload_that_is_not_json_is_refused_and_not_sent() {
    let site = Site::start();
    site.run(&["publish", "--register", "a", "1"]).good();

    let word = site.run(&["publish", "a", "hello"]).failure();
    let bytes = run(site.command(&["publish", "a", "-"]), b"\"\xff\"").failure();
    let nothing = run(site.command(&["publish", "a"]), b"").failure();
    let large = run(site.command(&["publish", "a"]), &[b'1'; 2 << 20]).failure();

    assert!(word.contains("not JSON") && word.contains("such as '\"text\"'"), "{word}");
    assert!(bytes.contains("not UTF-8"), "{bytes}");
    assert!(nothing.contains("the payload is empty"), "{nothing}");
    assert!(large.contains("the payload is too large"), "{large}");
    let status = site.run(&["status", "--json"]).good();
    assert!(status.contains("\"publishes\":1,"), "{status}");
}

#[test]
fn an_unknown_topic_is_hinted_to_register() {
    let site = Site::start();

    let line = site.run(&["publish", "a", "1"]).failure();
    site.run(&["publish", "a", "1", "--register"]).good();
    site.run(&["publish", "a", "1"]).good();

    assert_eq!(
        line,
        "error: topic \"a\" is not registered: add --register, or let PHP register it\n"
    );
}

#[test]
fn status_is_shown_for_people_and_as_it_came() {
    let site = Site::start();
    let mut listener = site.listen(&["--register", "b"]);
    listener.stderr_line("connected");
    site.run(&["publish", "--register", "a", "1"]).good();

    let table = site.run(&["status"]).good();
    let topics = site.run(&["status", "--topics"]).good();
    let json = site.run(&["status", "--topics", "--json"]).good();

    assert!(table.starts_with("wavelog_worker (Rust) "), "{table}");
    for words in [
        "\n  topics registered                  3\n",
        "\n  topics with subscribers            1\n",
        "\n  cluster nodes            single node\n",
        "\n  publishes",
    ] {
        assert!(table.contains(words), "{table}");
    }
    assert!(!table.contains("forbidden"), "it is zero");
    assert!(topics.ends_with("topics (* has subscribers)\n  a\n* b\n  worker.status\n"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["active_topic_list"], serde_json::json!(["b"]));
    assert_eq!(json["counters"]["publishes"], 1);
}

/// A server that gives one answer to the first request, then hands the request's head over.
fn answering(status: &str, body: &str) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(head).unwrap()
    });
    (url, served)
}

#[test]
fn the_nodes_of_a_cluster_are_shown_for_people_and_as_they_came() {
    const ROSTER: &str = r#"{"redis":{"state":"away","address":"127.0.0.1:6379","away_ms":12000,"reconnects":1,"error":"timed out"},"nodes":[{"id":"00ff","name":"web1","version":"0.4.0","uptime":"3m2s","active_topics":1,"connected_sockets":2,"alive":true,"link":"away","self":true},{"id":"00fe","name":"web2","version":"0.3.0","seen_at":"2026-01-02T03:04:05Z","alive":false}]}"#;
    let site = Site::start();
    let (url, served) = answering("200 OK", ROSTER);
    let (other_url, other_served) = answering("200 OK", ROSTER);

    let table = site.run(&["status", "--cluster", "--internal", &url]).good();
    let json = site.run(&["status", "--cluster", "--json", "--internal", &other_url]).good();

    assert!(table.starts_with("redis: away for 12 s (timed out)\n\n  NAME "), "{table}");
    assert!(table.contains("\n* web1  0.4.0      3m2s        2       1  away  00ff\n"), "{table}");
    assert!(table.contains("00fe  (last seen 2026-01-02T03:04:05Z)\n"), "{table}");
    assert_eq!(json, ROSTER);
    for served in [served, other_served] {
        let head = served.join().unwrap();
        assert!(head.starts_with("GET /internal/nodes HTTP/1.1\r\n"), "{head}");
        assert!(head.contains(&format!("x-worker-secret: {SECRET}\r\n")));
    }
}

#[test]
fn a_single_node_is_alone_in_its_cluster() {
    let site = Site::start();
    let mut listener = site.listen(&["--register", "b"]);
    listener.stderr_line("connected");

    let table = site.run(&["status", "--cluster"]).good();

    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 6, "{table}");
    assert_eq!(lines[0], "redis: none, this is a single node");
    let asked: Vec<&str> = lines[3].split_whitespace().collect();
    assert_eq!((asked[0], asked[2]), ("*", env!("CARGO_PKG_VERSION")), "{table}");
    assert_eq!(asked[4..6], ["1", "1"], "{table}");
}

#[test]
fn a_worker_that_knows_of_no_cluster_is_told_from_one_that_refuses() {
    let site = Site::start();
    let (older_url, _) = answering("404 Not Found", "404 page not found\n");
    let (strict_url, _) = answering("403 Forbidden", "forbidden\n");
    let (other_url, _) = answering("200 OK", "{\"status\":\"ok\"}");

    let older = site.run(&["status", "--cluster", "--internal", &older_url]).failure();
    let strict = site.run(&["status", "--cluster", "--internal", &strict_url]).failure();
    let other = site.run(&["status", "--cluster", "--internal", &other_url]).failure();

    assert!(older.contains("cannot say which nodes there are: it is an older worker"), "{older}");
    assert!(strict.contains("the worker refuses this secret"), "{strict}");
    assert!(other.contains("answers, but not with a worker's status"), "{other}");
}

#[test]
fn the_secret_is_not_to_be_seen_from_outside() {
    let site = Site::start();
    let mut listener = site.listen(&["--register", "a"]);

    listener.stderr_line("connected"); // `lines` looks for the secret in every line.

    for process in [&listener, site.worker.as_ref().unwrap()] {
        assert!(process.command_line().starts_with(PROGRAM));
        assert!(!process.command_line().contains(SECRET));
    }
    for tool in ["token", "publish", "listen", "status"] {
        let help = site.run(&[tool, "--help"]).good();
        assert!(help.contains("Examples:\n  wavelog_worker "), "{help}");
        assert!(!help.contains("--secret"));
    }
    for command in ["serve", "demo", "init", "check"] {
        let help = site.run(&[command, "--help"]).good();
        assert!(help.contains(&format!("Examples:\n  wavelog_worker {command}")), "{help}");
    }
}

#[test]
fn wrong_arguments_exit_with_2() {
    let site = Site::start();
    for arguments in [
        &["publish"][..],
        &["publish", "", "1"],
        &["publish", "--open", "a", "1"],
        &["publish", "--internal", "127.0.0.1:9001", "a", "1"],
        &["listen", "--url", "ftp://example.org/ws", "a"],
        &["listen", "--count", "0", "a"],
        &["status", "--cluster", "--topics"],
        &["token"],
        &["token", "--topic", "a", "--session", "1"],
        &["token", "--session", "0"],
        &["token", "--topic", "a", "--ttl", "1d"],
        &["token", "--decode", "7b7d.00"],
        &["token", "--decode", "--topic", "a"],
    ] {
        assert_eq!(site.run(arguments).code, Some(2), "{arguments:?}");
    }
    let scheme = site.run(&["listen", "--url", "ftp://example.org/ws", "a"]).stderr;
    assert!(scheme.contains("write it as ws://host:port/ws"), "{scheme}");
}

#[test]
fn a_reader_that_has_enough_ends_a_tool_quietly() {
    let site = Site::start();
    for arguments in [
        &["status"][..],
        &["token", "--topic", "a"],
        &["publish", "--register", "a", "1"],
        &["check"],
        &["init", "--config", "new.yaml"],
    ] {
        let mut command = site.command(arguments);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);

        let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();

        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }

    let mut listener = site.listen(&["a"]);
    listener.stderr_line("connected");
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = site.command(&["listen", "a"]);
    let mut child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    drop(command); // It holds an end of the pipe, too.
    let notes = lines(child.stderr.take().unwrap());
    assert!(notes.recv_timeout(PATIENCE).unwrap().starts_with("connected"));
    drop(reader);
    // A child that another test is just starting may hold the reader for a moment longer.
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        site.run(&["publish", "a", "1"]).good();
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => assert!(Instant::now() < deadline, "it goes on"),
        }
    };

    assert_eq!(status.code(), Some(0));
    assert_eq!(notes.recv_timeout(PATIENCE).ok(), None, "nothing more is said");
}
