//! What `deploy/cluster/compose.yaml` says: the nodes start with the very environment it gives
//! them, in a real Redis with its settings and its user, and nothing is published that should not
//! be. Containers themselves are not started.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use saphyr::{LoadableYamlNode, Yaml};
use tempfile::TempDir;

use crate::support::{EVENTS, RESYNC, Redis, Worker, command, until};

const NODES: [&str; 3] = ["worker-1", "worker-2", "worker-3"];
const PROXIES: [&str; 3] = ["haproxy", "nginx", "caddy"];

const SECRET: &str = "5d41402abc4b2a76b9719d911017c592-compose";
const PASSWORD: &str = "7d793037a0760186574b0282f2f435e7";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/cluster")
}

/// The file with the variables of `.env` put in, as Docker Compose does.
fn compose() -> Yaml<'static> {
    let mut text = fs::read_to_string(folder().join("compose.yaml")).unwrap();
    for (name, value) in [("WORKER_SECRET", SECRET), ("REDIS_PASSWORD", PASSWORD)] {
        text = text.replace(&format!("${{{name}:?set it in .env}}"), value);
    }
    for (name, value) in
        [("WORKER_IMAGE", "wavelog_worker"), ("LISTEN", "443"), ("SITE", "localhost")]
    {
        text = text.replace(&format!("${{{name}:-{value}}}"), value);
    }
    assert!(!text.contains("${"), "a variable without a value: {text}");
    let mut documents = Yaml::load_from_str(&text.leak()[..]).unwrap();
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

/// The value of `key`, which may come in by `<<`.
fn field<'a>(node: &'a Yaml<'static>, key: &str) -> Option<&'a Yaml<'static>> {
    let mapping = node.as_mapping()?;
    let find = |key: &str| {
        mapping.iter().find(|(name, _)| name.as_str() == Some(key)).map(|(_, value)| value)
    };
    find(key).or_else(|| find("<<").and_then(|merged| field(merged, key)))
}

fn service<'a>(compose: &'a Yaml<'static>, name: &str) -> &'a Yaml<'static> {
    field(&compose["services"], name).unwrap()
}

fn texts(list: Option<&Yaml<'static>>) -> Vec<String> {
    let items = list.and_then(Yaml::as_sequence).map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// The environment of a service, what comes in by `<<` included.
fn environment(node: &Yaml<'static>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, value) in node.as_mapping().unwrap().iter() {
        match name.as_str().unwrap() {
            "<<" => all.extend(environment(value)),
            name => drop(all.insert(name.to_owned(), value.as_str().unwrap().to_owned())),
        }
    }
    all
}

/// A Redis with the settings of `deploy/redis.conf` and the users of the file.
fn valkey(compose: &Yaml<'static>, directory: &TempDir) -> Redis {
    let users = compose["configs"]["users.acl"]["content"].as_str().unwrap();
    assert!(users.starts_with("user default off\n"));
    // The test itself is the default user, and looks at what was refused.
    let users = users.replace("user default off", "user default on nopass ~* &* +@all");
    let acl = directory.path().join("users.acl");
    fs::write(&acl, users).unwrap();
    let settings = fs::read_to_string(folder().join("../redis.conf")).unwrap();
    let mut options = vec!["--aclfile".to_owned(), acl.to_str().unwrap().to_owned()];
    for line in settings.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (name, value) = line.split_once(' ').unwrap();
        options.push(format!("--{name}"));
        options.push(value.trim_matches('"').to_owned());
    }
    Redis::with(&options.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Starts a node with the environment of its service, on free ports.
fn node(compose: &Yaml<'static>, name: &str, redis: &Redis) -> Worker {
    let mut command = command();
    for (name, value) in environment(field(service(compose, name), "environment").unwrap()) {
        command.env(name, value.replace("@valkey:6379", &format!("@{}", redis.address())));
    }
    command.env("WORKER_WS_PORT", "0").env("WORKER_INTERNAL_PORT", "0");
    command.env("WORKER_WS_BIND", "127.0.0.1").env("WORKER_LOG_FORMAT", "json");
    let directory = TempDir::new().unwrap();
    command.current_dir(directory.path());
    let node = Worker::from_command(command, directory, SECRET);
    node.wait_until_ready();
    node
}

#[test]
fn the_nodes_work_together_with_exactly_the_rights_that_the_file_gives_them() {
    let compose = compose();
    let directory = TempDir::new().unwrap();
    let redis = valkey(&compose, &directory);
    let nodes = NODES.map(|name| node(&compose, name, &redis));

    nodes[0].register("a");
    nodes[1].register("b");
    redis.wait_for_topic("a");
    let mut sockets: Vec<_> = nodes.iter().map(|node| node.subscribe("a")).collect();
    nodes[2].publish("a", "1");
    for socket in &mut sockets {
        assert_eq!(socket.next_push(), "1");
    }
    nodes[1].unregister("a");
    until("the topic to be gone", || (nodes[0].try_publish("a", "2").status == 404).then_some(()));
    until("three nodes in the roster", || {
        (nodes[0].nodes()["nodes"].as_array()?.len() == 3).then_some(())
    });
    until("three nodes to be counted", || (nodes[0].status()["cluster_nodes"] == 3).then_some(()));
    until("all topics to be counted", || {
        (nodes[2].status()["registered_topics"] == 2).then_some(())
    });
    let names: Vec<_> = nodes.iter().map(|node| node.nodes()["nodes"][0]["name"].clone()).collect();

    assert_eq!(names, NODES);
    let refused = redis.ask(&["ACL", "LOG"]).list();
    assert!(refused.is_empty(), "{refused:?}");
    for node in &nodes {
        let warned: Vec<String> =
            node.log().into_iter().filter(|line| line.contains(r#""level":"WARN""#)).collect();
        // The internal port is for PHP in other containers, and nobody else is in that network.
        assert!(warned.iter().all(|line| line.contains("internal_bind")), "{warned:#?}");
    }
}

#[test]
fn a_node_for_which_too_much_waits_is_cut_off_comes_back_and_tells_its_browsers() {
    let compose = compose();
    let directory = TempDir::new().unwrap();
    let redis = valkey(&compose, &directory);
    let [stopped, other] = ["worker-1", "worker-2"].map(|name| node(&compose, name, &redis));
    stopped.register("a");
    redis.wait_for_topic("a");
    let mut socket = stopped.subscribe("a");

    stopped.signal(Signal::STOP);
    let half_a_mebibyte = format!("\"{}\"", "x".repeat(512 * 1024));
    for published in 1..=160 {
        other.publish("a", &half_a_mebibyte);
        other.wait_for_counter("envelopes_sent", published);
    }
    until("Redis to cut the node off", || (redis.listeners(EVENTS) == 1).then_some(()));
    stopped.signal(Signal::CONT);

    assert_eq!(socket.ending().code(), Some(RESYNC));
    stopped.wait_until_ready();
    assert_eq!(other.counter("envelopes_dropped"), 0);
}

#[test]
fn nothing_is_published_but_the_proxy_and_everything_that_is_mounted_is_there() {
    let compose = compose();

    for (name, service) in compose["services"].as_mapping().unwrap() {
        let name = name.as_str().unwrap();
        let ports = texts(field(service, "ports"));
        if PROXIES.contains(&name) {
            assert_eq!(ports, ["443:443"], "{name}");
            assert_eq!(texts(field(service, "profiles")), [name]);
        } else {
            assert_eq!(ports, [""; 0], "{name}");
        }
        for mounted in texts(field(service, "volumes")) {
            let source = mounted.split(':').next().unwrap();
            // A volume has a name, and the certificate is the operator's.
            if source.contains('/') && source != "./site.pem" {
                assert!(folder().join(source).is_file(), "{name}: {source}");
            }
        }
    }
    for name in NODES {
        let node = service(&compose, name);
        let check = field(node, "healthcheck").unwrap();
        assert_eq!(texts(field(check, "test")), ["CMD", "wavelog_worker", "health"], "{name}");
        let build = field(node, "build").unwrap();
        let context = folder().join(field(build, "context").unwrap().as_str().unwrap());
        let dockerfile = field(build, "dockerfile").unwrap().as_str().unwrap();
        assert!(context.join(dockerfile).is_file(), "{name}");
    }
}

#[test]
fn the_sample_of_the_environment_names_every_variable() {
    let compose = fs::read_to_string(folder().join("compose.yaml")).unwrap();
    let sample = fs::read_to_string(folder().join("env.sample")).unwrap();

    for part in compose.split("${").skip(1) {
        let name: String = part
            .chars()
            .take_while(|letter| letter.is_ascii_uppercase() || *letter == '_')
            .collect();
        assert!(sample.lines().any(|line| line.starts_with(&format!("{name}="))), "{name}");
    }
    for name in PROXIES {
        assert!(sample.contains(name), "{name}");
    }
}

#[test]
fn the_documentation_has_the_user_that_the_file_makes() {
    let page = fs::read_to_string(folder().join("../../docs/clustering.md")).unwrap();
    let compose = compose();
    let users = compose["configs"]["users.acl"]["content"].as_str().unwrap();
    let user = users.lines().find(|line| line.starts_with("user wavelog ")).unwrap();

    let documented = user.replace(PASSWORD, "PASSWORD");
    assert!(page.lines().any(|line| line == documented), "{documented}");
}
