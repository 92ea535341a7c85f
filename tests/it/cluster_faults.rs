//! What may happen to Redis and to the way there, while two nodes with 200 browsers each go on and
//! PHP publishes to both. `support/scene.rs` has the stage, `support/judge.rs` what must hold
//! whatever happens; each test prints a row of the table of faults (`--nocapture` shows it).
//!
//! The faults that take longer are in `cluster_slow.rs`.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Herd, Link, Proxy, RESYNC, Redis, Scene, Told, Worker, topics};

/// Long enough for 300 publishes, of which a p99 is worth something.
const A_WHILE: Duration = Duration::from_millis(3200);
const AFTERWARDS: Duration = Duration::from_millis(1000);

#[test]
fn redis_is_killed_and_restarted_empty() {
    let mut redis = Redis::start();
    let mut scene = Scene::start(&redis.url());

    scene.fault("kill -9, restarted empty after 2.2 s");
    redis.kill();
    scene.go_on_for(A_WHILE - AFTERWARDS);
    redis.restart();
    scene.heal();
    scene.go_on_for(AFTERWARDS);

    scene.judge(Told::OnlyIfLost);
}

#[test]
fn redis_is_stopped_for_3_seconds() {
    let redis = Redis::start();
    let mut scene = Scene::start(&redis.url());

    scene.fault("SIGSTOP 3 s");
    redis.pause();
    scene.go_on_for(Duration::from_secs(3));
    redis.resume();
    scene.heal();
    scene.go_on_for(AFTERWARDS);

    scene.judge(Told::Nobody);
}

#[test]
fn redis_is_stopped_for_3_seconds_in_which_nobody_publishes() {
    let redis = Redis::start();
    let nodes: Vec<Worker> =
        ["one", "other"].map(|name| Worker::node(&redis.url(), name, "")).into();
    let topics = topics();
    topics.iter().for_each(|topic| nodes[0].register(topic));
    topics.iter().for_each(|topic| redis.wait_for_topic(topic));
    let herds: Vec<Herd> =
        nodes.iter().map(|node| Herd::of_one_visit(node, &topics, 200)).collect();

    redis.pause();
    // The fault itself, not a wait.
    thread::sleep(Duration::from_secs(3));
    redis.resume();
    nodes.iter().for_each(Worker::wait_until_ready);
    for topic in &topics {
        nodes[0].publish(topic, r#""afterwards""#);
    }

    for herd in &herds {
        herd.wait_for_all_to_hear(r#""afterwards""#);
        assert!(herd.endings().is_empty(), "{:?}", herd.endings());
    }
    for node in &nodes {
        assert_eq!((node.counter("gaps"), node.counter("resync_closes")), (0, 0));
    }
}

#[test]
fn all_connections_to_redis_are_killed_again_and_again() {
    let redis = Redis::start();
    let mut scene = Scene::start(&redis.url());

    scene.fault("CLIENT KILL of all, 6 times");
    for _ in 0..6 {
        redis.kill_clients();
        scene.go_on_for(A_WHILE / 6);
    }
    scene.heal();
    scene.go_on_for(AFTERWARDS);

    scene.judge(Told::OnlyIfLost);
}

#[test]
fn redis_restarts_with_a_new_password_and_gets_the_old_one_back() {
    let mut redis = Redis::with_password("the-old-one");
    let mut scene = Scene::start(&redis.url());

    scene.fault("another password for 2.2 s");
    redis.restart_with_password(Some("the-new-one"));
    scene.go_on_for(A_WHILE - AFTERWARDS);
    let refused: Vec<String> = scene.nodes[0]
        .notable_log(0)
        .into_iter()
        .filter(|line| line.to_ascii_uppercase().contains("WRONGPASS"))
        .collect();
    assert_eq!(scene.nodes[0].readiness().status, 503);
    redis.restart_with_password(Some("the-old-one"));
    scene.heal();
    scene.go_on_for(AFTERWARDS);

    assert!(refused.len() <= 1, "{refused:#?}");
    scene.judge(Told::OnlyIfLost);
}

#[test]
fn redis_answers_200_ms_late() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.address());
    let mut scene = Scene::start(&redis.url_at(proxy.address));

    scene.fault("200 ms of delay each way for 3.2 s");
    proxy.set(Link { delay: Duration::from_millis(200), ..Link::default() });
    scene.go_on_for(A_WHILE);
    for node in &scene.nodes {
        assert_eq!(node.readiness().status, 200, "a slow Redis is not an absent one");
    }
    proxy.set(Link::default());
    scene.heal();
    scene.go_on_for(AFTERWARDS / 2);

    scene.judge(Told::Nobody);
}

/// One node's link to Redis is stuck in one direction, without anybody being told.
fn one_direction_is_stuck(name: &'static str, link: Link) {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.address());
    let mut scene = Scene::over(&[&redis.url_at(proxy.address), &redis.url()]);

    scene.fault(name);
    proxy.set(link);
    scene.go_on_for(A_WHILE - AFTERWARDS);
    proxy.set(Link::default());
    scene.heal();
    scene.go_on_for(AFTERWARDS);

    scene.judge(Told::OnlyIfLost);
}

#[test]
fn what_a_node_sends_to_redis_does_not_arrive() {
    one_direction_is_stuck(
        "to Redis stuck, one node, 2.2 s",
        Link { up_stuck: true, ..Link::default() },
    );
}

#[test]
fn what_redis_sends_to_a_node_does_not_arrive() {
    one_direction_is_stuck(
        "from Redis stuck, one node, 2.2 s",
        Link { down_stuck: true, ..Link::default() },
    );
}

#[test]
fn one_of_100_packets_resets_its_connection() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.address());
    let mut scene = Scene::start(&redis.url_at(proxy.address));

    scene.fault("1 % of chunks reset their connection, 3.2 s");
    proxy.set(Link { reset_one_in: 100, ..Link::default() });
    scene.go_on_for(A_WHILE);
    proxy.set(Link::default());
    scene.heal();
    scene.go_on_for(AFTERWARDS);

    scene.judge(Told::OnlyIfLost);
}

#[test]
fn nodes_start_without_redis_which_appears_later() {
    let mut redis = Redis::absent(&[]);
    let nodes =
        ["node-0", "node-1"].map(|name| Worker::apart(&redis.url(), name, "resync_spread: 1s\n"));
    let mut scene = Scene::of(nodes.into());

    scene.fault("started without Redis, which appears after 2.2 s");
    scene.go_on_for(A_WHILE - AFTERWARDS);
    for node in &scene.nodes {
        assert_eq!(node.readiness().status, 503);
    }
    redis.restart();
    scene.heal();
    scene.go_on_for(AFTERWARDS);

    scene.judge(Told::OnlyIfLost);
}

#[test]
fn redis_becomes_a_read_only_replica_for_a_while() {
    let redis = Redis::start();
    let nobody = Redis::absent(&[]);
    let mut scene = Scene::start(&redis.url());

    scene.fault("read-only replica for 2.2 s");
    redis.cli(&["REPLICAOF", "127.0.0.1", &nobody.address().port().to_string()]);
    scene.go_on_for(A_WHILE - AFTERWARDS);
    redis.cli(&["REPLICAOF", "NO", "ONE"]);
    scene.heal();
    scene.go_on_for(AFTERWARDS);

    scene.judge(Told::OnlyIfLost);
}

#[test]
fn after_an_outage_of_5_seconds_everything_is_delivered_and_nobody_is_closed() {
    let mut redis = Redis::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mut scene = Scene::start(&redis.url());

    scene.fault("outage of 5 s, data kept");
    redis.kill();
    scene.go_on_for(Duration::from_secs(5));
    redis.restart();
    scene.heal();
    scene.go_on_for(AFTERWARDS);

    scene.judge(Told::Nobody);
}

#[test]
fn redis_takes_seconds_to_load_its_data() {
    let mut redis = Redis::start();
    for number in 0..10 {
        redis.cli(&["SET", &format!("ballast:{number}"), &"x".repeat(10_000)]);
    }
    let mut scene = Scene::start(&redis.url());

    scene.fault("killed, back with LOADING for some seconds");
    redis.kill_for_a_slow_load();
    let begin = Instant::now();
    redis.restart();
    scene.heal();
    let loaded = begin.elapsed();
    scene.go_on_for(A_WHILE);

    eprintln!("ready {loaded:?} after the start of Redis");
    scene.judge(Told::OnlyIfLost);
}

#[test]
fn one_node_is_cut_off_from_redis_while_the_others_publish() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.address());
    let mut scene = Scene::over(&[&redis.url_at(proxy.address), &redis.url()]);

    scene.fault("one node cut off for 2.2 s");
    proxy.set(Link { cut: true, ..Link::default() });
    scene.go_on_for(A_WHILE - AFTERWARDS);
    proxy.set(Link::default());
    scene.heal();
    scene.go_on_for(AFTERWARDS * 3);

    let herds: Vec<usize> = scene.herds.iter().map(|herd| herd.ended_at(RESYNC).len()).collect();
    assert_eq!(herds[1], 0, "the node that was never cut off closed browsers");
    let verdict = scene.judge(Told::OnlyIfLost);
    assert!(verdict.told >= 200, "what the other node published meanwhile was told to all");
}

#[test]
fn the_log_has_a_line_for_the_beginning_of_an_outage_and_one_for_its_end() {
    let mut redis = Redis::start();
    let node = Worker::node(&redis.url(), "node", "");
    let from = node.log().len();

    redis.kill();
    node.wait_until_alone();
    node.wait_for_log("Redis to be away", |line| {
        line["message"] == "Redis is away: degraded, this node serves alone"
    });
    // Many attempts fail meanwhile, none of which is worth a line.
    thread::sleep(Duration::from_secs(2));
    redis.restart();
    node.wait_until_ready();
    let back = node.wait_for_log("Redis to be back", |line| line["message"] == "Redis is back");

    let lines = node.notable_log(from);
    assert!(lines.len() <= 4, "{lines:#?}");
    assert!(back["away_ms"].as_u64().unwrap() >= 2000, "{back}");
}
