//! What Prometheus makes of it all: the page of metrics by its own parser and by another, the files
//! in `deploy/prometheus`, and the dashboard's queries, asked of a real Prometheus that scrapes real
//! workers.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use saphyr::{LoadableYamlNode, Yaml};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Http, Redis, SECRET, Socket, Worker, free_port, request, until};

const OPENMETRICS: &str = "application/openmetrics-text";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shipped(name: &str) -> PathBuf {
    root().join("deploy/prometheus").join(name)
}

/// Runs a program that has to succeed.
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

/// Runs a program that reads `input`, succeeds and says nothing against it.
fn check(command: &mut Command, input: &[u8]) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}

/// Nodes of a cluster on which everything that has a number has happened.
struct Busy {
    redis: Redis,
    nodes: [Worker; 2],
    sockets: Vec<Socket>,
}

impl Busy {
    fn start() -> Self {
        let redis = Redis::start();
        let config = "metrics_allow: []\n";
        let nodes = ["one", "two"].map(|name| Worker::node(&redis.url(), name, config));
        nodes[0].register("a");
        redis.wait_for_topic("a");
        let sockets = nodes.iter().map(|node| node.subscribe("a")).collect();
        let mut busy = Self { redis, nodes, sockets };
        busy.publish();
        let mut refused = busy.nodes[0].open("a");
        refused.send_text("{}");
        refused.ending();
        busy
    }

    fn publish(&mut self) {
        for node in &self.nodes {
            node.publish("a", "1");
        }
        for socket in &mut self.sockets {
            assert_eq!([socket.next_push(), socket.next_push()], ["1", "1"]);
        }
    }

    fn page(&self, accept: &str) -> Vec<u8> {
        let headers = [("X-Worker-Secret", SECRET), ("Accept", accept)];
        let answer = self.nodes[0].ask_for_metrics(&headers);
        assert_eq!(answer.status, 200);
        answer.body
    }

    /// The names of all samples, as queries have them.
    fn names(&self) -> BTreeSet<String> {
        let page = String::from_utf8(self.page(OPENMETRICS)).unwrap();
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        samples.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
    }
}

/// The names of our metrics in a query.
fn names_in(query: &str) -> BTreeSet<String> {
    let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let ours = |word: &&str| word.starts_with("worker_") || word.starts_with("process_");
    words.filter(ours).map(str::to_owned).collect()
}

/// The queries of the dashboard, with the titles of their panels.
fn dashboard() -> Vec<(String, String)> {
    let path = root().join("deploy/grafana/wavelog_worker.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push((title.to_owned(), target["expr"].as_str().unwrap().to_owned()));
        }
    }
    queries
}

/// The alerts: name, query, and the lines of summary and description.
fn alerts() -> Vec<(String, String)> {
    let text = fs::read_to_string(shipped("alerts.yml")).unwrap();
    let documents = Yaml::load_from_str(&text).unwrap();
    let rules = documents[0]["groups"][0]["rules"].as_vec().unwrap();
    let text = |rule: &Yaml<'_>, key: &str| rule[key].as_str().unwrap().to_owned();
    rules.iter().map(|rule| (text(rule, "alert"), text(rule, "expr"))).collect()
}

#[test]
fn both_forms_are_read_without_a_complaint() {
    let mut busy = Busy::start();

    check_both_forms(&busy);
    // Now some numbers are not known.
    busy.redis.kill();
    busy.nodes[0].wait_until_alone();
    check_both_forms(&busy);
}

fn check_both_forms(busy: &Busy) {
    check(Command::new("promtool").args(["check", "metrics"]), &busy.page("text/plain"));
    // Strict about names, types, units, and the end.
    let parse = "import sys; from prometheus_client.openmetrics.parser import \
                 text_string_to_metric_families as read; \
                 families = list(read(sys.stdin.read())); \
                 assert len(families) > 40, families";
    check(Command::new("/usr/bin/python3").args(["-c", parse]), &busy.page(OPENMETRICS));
}

#[test]
fn the_files_for_prometheus_are_right_and_every_alert_rings_when_it_should() {
    run(Command::new("promtool").args(["check", "config"]).arg(shipped("prometheus.yml")));
    run(Command::new("promtool").args(["check", "rules"]).arg(shipped("alerts.yml")));
    run(Command::new("promtool").args(["test", "rules"]).arg(shipped("alerts_test.yml")));

    let tests = fs::read_to_string(shipped("alerts_test.yml")).unwrap();
    for (alert, _) in alerts() {
        for what in ["rings", "is quiet"] {
            assert!(tests.contains(&format!("- name: {alert} {what}\n")), "{alert} {what}");
        }
    }
}

#[test]
fn alerts_and_dashboard_name_no_metric_that_there_is_not() {
    let busy = Busy::start();
    let names = busy.names();

    for (place, query) in alerts().into_iter().chain(dashboard()) {
        for name in names_in(&query) {
            assert!(names.contains(&name), "{name} of {place}");
        }
    }
}

#[test]
fn the_dashboard_shows_every_metric() {
    let busy = Busy::start();
    let shown: BTreeSet<String> = dashboard().iter().flat_map(|(_, q)| names_in(q)).collect();

    for name in busy.names() {
        let parts = ["_bucket", "_count", "_sum"];
        let stem = parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(&name);
        let is_shown = shown.iter().any(|shown| shown.starts_with(stem));
        assert!(is_shown, "{name} is in no panel");
    }
}

#[test]
fn a_real_prometheus_scrapes_the_workers_and_has_an_answer_to_every_query() {
    let mut busy = Busy::start();
    let prometheus = Prometheus::watch(&busy.nodes);

    // A rate needs two scrapes with something between them.
    prometheus.wait_for_scrapes(2);
    busy.publish();
    prometheus.wait_for_scrapes(4);

    for (panel, query) in dashboard() {
        let query = query
            .replace("$job", "wavelog_worker")
            .replace("$node", ".*")
            .replace("$__rate_interval", "1m");
        let answer = prometheus.query(&query);
        let series = answer["data"]["result"].as_array().unwrap().len();
        // Nobody was slow.
        assert!(series > 0 || panel == "Time that slow browsers need", "{panel}: {query}");
    }
    for (_, query) in alerts() {
        prometheus.query(&query);
    }
    until("every rule to be evaluated", || {
        let rules = prometheus.get("/api/v1/rules");
        let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap().clone();
        let bad = rules.iter().find(|rule| rule["health"] == "err");
        assert!(bad.is_none(), "{bad:?}");
        rules.iter().all(|rule| rule["health"] == "ok").then_some(())
    });
    drop(busy.redis);
}

/// A running Prometheus with the shipped configuration. Dropping it ends the process.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Prometheus {
    /// One that scrapes `nodes` every second, with their secret.
    fn watch(nodes: &[Worker]) -> Self {
        let directory = TempDir::new().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::copy(shipped("alerts.yml"), path("alerts.yml")).unwrap();
        fs::write(path("secret"), SECRET).unwrap();
        let targets: Vec<String> = nodes.iter().map(|n| format!("\"{}\"", n.internal)).collect();
        let mut text = fs::read_to_string(shipped("prometheus.yml")).unwrap();
        let secret = path("secret");
        for (old, new) in [
            ("\"127.0.0.1:9001\"", targets.join(", ").as_str()),
            ("interval: 15s", "interval: 1s"),
            ("    # authorization:", "    authorization:"),
            ("    #   type: Bearer", "      type: Bearer"),
            ("    #   credentials_file:", "      credentials_file:"),
            ("/etc/prometheus/wavelog_worker.secret", secret.to_str().unwrap()),
        ] {
            assert!(text.contains(old), "the shipped file has no `{old}`");
            text = text.replace(old, new);
        }
        fs::write(path("prometheus.yml"), text).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let log = fs::File::create(path("log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("this test needs prometheus");
        let mut prometheus = Self { child, address, directory };
        until("Prometheus to be ready", || {
            let ended = prometheus.child.try_wait().unwrap();
            assert!(ended.is_none(), "Prometheus ended: {}", prometheus.log());
            let stream = std::net::TcpStream::connect(address).ok()?;
            let answer = Http::over(stream).ask(&request("GET", "/-/ready", &[], b""));
            (answer.status == 200).then_some(())
        });
        prometheus
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn get(&self, path: &str) -> Value {
        let answer = Http::connect(self.address).ask(&request("GET", path, &[], b""));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let document = answer.json();
        assert_eq!(document["status"], "success", "{path}: {document}");
        document
    }

    /// The answer to a query, at this moment.
    fn query(&self, query: &str) -> Value {
        let escape = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        };
        let query: String = query.bytes().map(escape).collect();
        self.get(&format!("/api/v1/query?query={query}"))
    }

    /// Waits until every target was scraped so many times, each time whole.
    fn wait_for_scrapes(&self, count: u64) {
        until("scrapes", || {
            let targets = self.get("/api/v1/targets");
            for target in targets["data"]["activeTargets"].as_array().unwrap() {
                assert_ne!(target["health"], "down", "{target}");
            }
            let query = format!("count_over_time(worker_build_info[1m]) >= {count}");
            let scraped = self.query(&query);
            (scraped["data"]["result"].as_array().unwrap().len() == 2).then_some(())
        });
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("Prometheus said: {}", self.log());
        }
    }
}
