//! `bench`, run as a person runs it, with sizes that take a second: the figures themselves are
//! not judged here, only that they are there and that nothing is wrong.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Http, SECRET, Socket, Strace, Worker, command, request, until};

/// What a finished run left.
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs `bench` with `arguments`, and with the secret of [`Worker`] in its environment.
fn bench(arguments: &[&str]) -> Outcome {
    run(command().args(["bench"]).args(arguments).env("WORKER_SECRET", SECRET))
}

fn run(command: &mut Command) -> Outcome {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(!stdout.contains(SECRET) && !stderr.contains(SECRET));
    Outcome { code: output.status.code(), stdout, stderr }
}

impl Outcome {
    /// The document of a run in which nothing was wrong.
    #[track_caller]
    fn document(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// The one line that says why nothing was measured.
    #[track_caller]
    fn refusal(&self) -> &str {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        self.stderr.trim_end().strip_prefix("error: ").unwrap()
    }
}

/// The arguments that name `worker`.
fn addresses(worker: &Worker) -> [String; 4] {
    let (ws, internal) = (worker.ws, worker.internal);
    ["--ws".into(), format!("ws://{ws}"), "--internal".into(), format!("http://{internal}")]
}

/// Runs `bench` against `worker`, with `arguments`.
fn bench_of(worker: &Worker, arguments: &[&str]) -> Outcome {
    let addresses = addresses(worker);
    bench(&[&addresses.each_ref().map(String::as_str)[..], arguments].concat())
}

/// An address on which nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[track_caller]
fn assert_no_faults(figures: &Value) {
    let faults = figures["faults"].as_object().unwrap();
    assert!(!faults.is_empty() && faults.values().all(|count| *count == 0), "{faults:?}");
}

#[test]
fn every_scenario_ends_without_faults_and_with_figures() {
    let small = ["--sockets", "40", "--topics", "10", "--seconds", "0.2", "--cycles", "50"];

    let document =
        bench(&[&["--quick", "--rounds", "1", "--json"], &small[..]].concat()).document();

    let scenarios = document["scenarios"].as_array().unwrap();
    let names: Vec<&str> = scenarios.iter().map(|each| each["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["idle", "fanout", "burst", "topics", "publish", "churn", "slow", "neighbours"]
    );
    for scenario in scenarios {
        let name = scenario["name"].as_str().unwrap();
        let round = &scenario["rounds"][0];
        let has_floor = !["churn", "slow", "neighbours"].contains(&name);
        assert_eq!(round["floor"].is_object(), has_floor, "{name}");
        assert_eq!(scenario["cost_ratio"].is_f64(), has_floor, "{name}");
        assert_no_faults(&round["server"]);
        if has_floor {
            assert_no_faults(&round["floor"]);
        }
        assert!(round["server"]["units"].as_u64().unwrap() > 0, "{name}");
        assert!(round["server"]["cpu_ns"].as_f64().unwrap() > 0.0, "{name}");
        let is_quiet = ["idle", "publish"].contains(&name);
        assert_eq!(round["server"]["deliveries"] == 0, is_quiet, "{name}");
        assert_eq!(round["server"]["latency"].is_null(), is_quiet, "{name}");
    }
    assert_eq!(document["target"], "a worker of its own");
    assert!(document["machine"]["possible_sockets"].as_u64().unwrap() > 0);
}

#[test]
fn the_table_says_that_nothing_was_lost_and_the_page_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("bench.html");

    let fanout = ["fanout", "--quick", "--rounds", "2", "--sockets", "20", "--seconds", "0.2"];
    let outcome = bench(&[&fanout[..], &["--report", page.to_str().unwrap()]].concat());

    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("\nfanout: each publish to 20 sockets"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("\nno faults: nothing lost"), "{}", outcome.stdout);
    assert!(outcome.stdout.lines().all(|line| line.chars().count() <= 100), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("no faults\n"), "a line when it is over: {}", outcome.stderr);
    assert!(fs::read_to_string(page).unwrap().contains("<html"));
}

#[test]
fn a_page_that_cannot_be_written_is_said_before_anything_is_measured() {
    let outcome = bench(&["--report", "/nonexistent/bench.html"]);

    assert!(outcome.refusal().starts_with("/nonexistent/bench.html cannot be written: "));
}

#[test]
fn threads_and_cores_of_a_worker_of_its_own_can_be_set() {
    let publish = ["publish", "--rounds", "1", "--publishes", "20", "--json"];
    let document = bench(&[&publish[..], &["--threads", "1", "--cores", "0"]].concat()).document();

    assert_eq!(document["threads"], 1);
}

#[test]
fn a_running_worker_is_measured_and_its_process_is_found() {
    let worker = Worker::start();

    let fanout = ["fanout", "--rounds", "1", "--sockets", "20", "--seconds", "0.2", "--json"];
    let document = bench_of(&worker, &fanout).document();

    let target = document["target"].as_str().unwrap();
    assert!(target.starts_with("wavelog_worker (Rust) ") && target.contains("at ws://127.0.0.1:"));
    let round = &document["scenarios"][0]["rounds"][0];
    assert!(round["server"]["cpu_ns"].as_f64().unwrap() > 0.0);
    assert!(round["floor"].is_object(), "it is on this machine");
    assert!(worker.counter("deliveries") >= round["server"]["deliveries"].as_u64().unwrap());
}

#[test]
fn its_secret_may_be_in_a_file_and_its_process_may_be_named() {
    let worker = Worker::start();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("{SECRET}\n")).unwrap();
    let process = worker.pid().to_string();

    let outcome = run(command()
        .args(["bench", "publish", "--rounds", "1", "--publishes", "20", "--json"])
        .args(addresses(&worker))
        .args(["--pid", &process, "--secret-file", file.path().to_str().unwrap()]));

    let document = outcome.document();
    assert!(document["scenarios"][0]["rounds"][0]["server"]["cpu_ns"].is_f64());
}

#[test]
fn faults_are_shown_and_are_exit_code_1() {
    let worker = Worker::with("topic_ttl: 2s\n");

    // Few enough that the bench does not give up.
    let paced = ["--rate", "3", "--seconds", "4", "--connections", "1"];
    let outcome = bench_of(&worker, &[&["publish", "--rounds", "1"], &paced[..]].concat());

    assert_eq!(outcome.code, Some(1), "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("\nFAULTS: "), "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains(" failed to publish"), "{}", outcome.stdout);
}

#[test]
fn a_worker_on_another_machine_is_refused_before_anything_is_sent() {
    let here = "http://127.0.0.1:9";
    for (ws, internal) in
        [("ws://192.0.2.1:9000", here), ("ws://127.0.0.1:9", "http://192.0.2.1:9001")]
    {
        let outcome = bench(&["--ws", ws, "--internal", internal]);

        let refusal = outcome.refusal();
        assert!(
            refusal.contains("192.0.2.1:900") && refusal.contains("not a loopback"),
            "{refusal}"
        );
        assert!(refusal.ends_with("add --yes-remote"), "{refusal}");
    }
}

#[test]
fn a_worker_that_is_not_there_is_named() {
    let (ws, internal) = (format!("ws://{}", nobody()), format!("http://{}", nobody()));

    let outcome = bench(&["--ws", &ws, "--internal", &internal]);

    let refusal = outcome.refusal();
    assert!(refusal.starts_with("no worker listens on 127.0.0.1:"), "{refusal}");
    assert!(
        refusal.ends_with("start it, or say where it is with --ws ws://host:port"),
        "{refusal}"
    );
}

#[test]
fn a_wrong_secret_is_said_before_anything_is_measured() {
    let worker = Worker::with_secret(&"another secret ".repeat(4), "");

    let outcome = bench_of(&worker, &[]);

    assert!(outcome.refusal().contains("refuses this secret"), "{}", outcome.stderr);
}

#[test]
fn a_run_that_measures_nothing_is_no_success() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 1000; exec \"$0\" bench neighbours"]);
    let outcome = run(shell.arg(env!("CARGO_BIN_EXE_wavelog_worker")));

    let refusal = outcome.refusal();
    assert!(refusal.starts_with("nothing is measured: 808 of 11,100 sockets"), "{refusal}");
}

#[test]
fn sizes_out_of_bounds_are_wrong_arguments() {
    for arguments in [
        &["fanout", "--payload", "10"][..],
        &["fanout", "--seconds", "0"],
        &["fanout", "--rounds", "0"],
        &["fanout", "--cores", "x"],
        &["nothing"],
        &["--ws", "ws://127.0.0.1:9000"],
        &["--pid", "1"],
    ] {
        assert_eq!(bench(arguments).code, Some(2), "{arguments:?}");
    }
}

/// A program that is killed when the test ends.
struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command()
            .args(["bench"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr }
    }

    /// The next line on standard error.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line
    }

    fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("the bench to end", || child.try_wait().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processes that `parent` started and that are there, dead ones included.
fn children(parent: u32) -> Vec<u32> {
    let stat = |pid: u32| fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let of_parent = |pid: &u32| {
        let stat = stat(*pid).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        fields.split_whitespace().nth(1) == Some(&parent.to_string())
    };
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(of_parent).collect()
}

#[test]
fn a_signal_ends_its_servers_and_shows_what_was_measured_before() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let sizes = ["--rounds", "1", "--sockets", "20", "--seconds", "60"];
        let mut bench = Running::start(&[&["idle", "fanout"], &sizes[..]].concat());
        let line = bench.line();
        assert!(line.starts_with("idle: 20 sockets"), "{line}");
        let parent = bench.child.id();
        let servers = until("a server for the next scenario", || {
            Some(children(parent)).filter(|children| !children.is_empty())
        });

        kill_process(Pid::from_child(&bench.child), signal).unwrap();
        let status = bench.wait();

        assert_eq!(status.code(), Some(1));
        let gone = |pid: &u32| !fs::exists(format!("/proc/{pid}")).unwrap();
        assert!(servers.iter().all(gone), "{servers:?}");
        let mut stdout = String::new();
        bench.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        assert!(stdout.contains("\nidle: 20 sockets") && !stdout.contains("fanout"), "{stdout}");
        assert_eq!(bench.line(), "error: interrupted: this is what was measured before\n");
    }
}

#[test]
fn a_bench_that_is_killed_leaves_no_server_behind() {
    let mut bench = Running::start(&["slow", "--sockets", "20", "--seconds", "60"]);
    let parent = bench.child.id();
    let servers =
        until("a worker", || Some(children(parent)).filter(|children| !children.is_empty()));

    bench.child.kill().unwrap();
    bench.wait();

    // Whoever inherits them may not reap them.
    let is_over = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.map_or(true, |stat| stat.contains(") Z "))
    };
    until("its servers to end", || servers.iter().all(is_over).then_some(()));
}

/// A running floor and where it listens.
fn floor() -> (Running, SocketAddr, SocketAddr) {
    let mut floor = Running::start(&["floor"]);
    let listening: Value = serde_json::from_str(&floor.line()).unwrap();
    let address = |name: &str| listening[name].as_str().unwrap().parse().unwrap();
    let (ws, internal) = (address("ws"), address("internal"));
    (floor, ws, internal)
}

/// Waits until the floor waits: it sleeps nowhere else.
fn until_asleep(floor: &Running) {
    until("the floor to have nothing to do", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", floor.child.id())).unwrap();
        stat.rsplit_once(") ").filter(|(_, fields)| fields.starts_with('S')).map(drop)
    });
}

/// A request that publishes `payload` to `topic`, as the bench writes it.
fn publish_request(topic: &str, payload: &str) -> Vec<u8> {
    let body = format!(r#"{{"topic":"{topic}","payload":{payload}}}"#);
    request("POST", "/internal/publish", &[("X-Worker-Secret", "s")], body.as_bytes())
}

#[test]
fn the_floor_is_one_send_for_each_socket_and_nothing_else() {
    const SOCKETS: u64 = 50;
    const PUBLISHES: u64 = 20;
    let (floor, ws, internal) = floor();
    let mut sockets: Vec<_> = (0..SOCKETS).map(|_| Socket::open(ws, "/ws?topic=a")).collect();
    let mut publisher = Http::connect(internal);
    let request = publish_request("a", r#"{"n":1}"#);
    publisher.ask(&request).assert_ok();
    for socket in &mut sockets {
        assert_eq!(socket.next_push(), r#"{"n":1}"#);
    }

    until_asleep(&floor);
    let strace = Strace::count_all(floor.child.id());
    for _ in 0..PUBLISHES {
        publisher.ask(&request).assert_ok();
        for socket in &mut sockets {
            socket.next_push();
        }
    }
    // Its last answer is here before strace has seen the call that sent it.
    until_asleep(&floor);
    let mut calls = strace.finish_all();

    assert_eq!(calls.remove("sendto"), Some(PUBLISHES * (SOCKETS + 1)), "and one for the answer");
    assert_eq!(calls.remove("recvfrom"), Some(PUBLISHES));
    // Those that it was in when strace came and went may count or not.
    let waits = calls.remove("epoll_wait").unwrap();
    assert!((PUBLISHES - 1..=PUBLISHES + 1).contains(&waits), "{waits}");
    calls.remove("restart_syscall");
    assert!(calls.is_empty(), "{calls:?}");
}

#[test]
fn the_floor_waits_for_a_slow_socket_and_loses_nothing() {
    const PUBLISHES: usize = 20;
    let (_floor, ws, internal) = floor();
    let mut slow = Socket::open(ws, "/ws?topic=a");
    let gone = Socket::open(ws, "/ws?topic=a");
    let mut other = Socket::open(ws, "/ws?topic=b");
    // Much more than the kernel keeps for it.
    let payload = format!("\"{}\"", "x".repeat(900_000));
    let publishing = thread::spawn(move || {
        let mut publisher = Http::connect(internal);
        for _ in 0..PUBLISHES {
            publisher.ask(&publish_request("a", &payload)).assert_ok();
        }
        payload
    });
    drop(gone);

    let pushes: Vec<String> = (0..PUBLISHES).map(|_| slow.next_push()).collect();

    let payload = publishing.join().unwrap();
    assert!(pushes.iter().all(|push| *push == payload), "it is altered");
    Http::connect(internal).ask(&publish_request("b", "7")).assert_ok();
    assert_eq!(other.next_push(), "7", "the first thing it hears");
}

#[test]
fn the_floor_goes_with_whoever_started_it() {
    let (mut floor, ..) = floor();

    drop(floor.child.stdin.take());

    assert_eq!(floor.wait().code(), Some(0));
}
