//! Faults that take long: part of `make faults` by the feature `faults`. As in
//! `cluster_faults.rs`, each prints a row of the table of faults.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{
    Balancer, GoNode, Herd, Kind, Link, Node, PATIENCE, Php, Proxy, Redis, Scene, Sentinels, Told,
    Verdict, Worker, free_port, judge_behind_a_proxy, topics, until,
};

const AFTERWARDS: Duration = Duration::from_secs(2);

/// Redis is stopped in mid-air for `time` and goes on.
fn redis_is_stopped_for(name: &'static str, time: Duration) {
    let redis = Redis::start();
    let mut scene = Scene::start(&redis.url());

    scene.fault(name);
    redis.pause();
    scene.go_on_for(time);
    redis.resume();
    scene.heal();
    scene.go_on_for(AFTERWARDS);

    scene.judge(Told::OnlyIfLost);
}

#[test]
fn redis_is_stopped_for_10_seconds() {
    redis_is_stopped_for("SIGSTOP 10 s", Duration::from_secs(10));
}

#[test]
fn redis_is_stopped_for_60_seconds() {
    redis_is_stopped_for("SIGSTOP 60 s", Duration::from_secs(60));
}

#[test]
fn nothing_arrives_in_either_direction_for_15_seconds() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.address());
    let mut scene = Scene::over(&[&redis.url_at(proxy.address), &redis.url()]);

    scene.fault("black hole, one node, 15 s");
    proxy.set(Link { up_stuck: true, down_stuck: true, ..Link::default() });
    scene.go_on_for(Duration::from_secs(15));
    proxy.set(Link::default());
    scene.heal();
    scene.go_on_for(AFTERWARDS);

    scene.judge(Told::OnlyIfLost);
}

#[test]
fn redis_is_away_for_30_seconds() {
    let mut redis = Redis::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mut scene = Scene::start(&redis.url());

    scene.fault("outage of 30 s, data kept");
    redis.kill();
    scene.go_on_for(Duration::from_secs(30));
    redis.restart();
    scene.heal();
    scene.go_on_for(AFTERWARDS);

    scene.judge(Told::Nobody);
}

#[test]
fn sentinels_fail_over_to_the_replica() {
    let mut sentinels = Sentinels::start();
    let mut scene = Scene::start(&sentinels.url());

    scene.fault("Sentinel failover (3 sentinels, 1 replica)");
    sentinels.fail_over();
    scene.heal();
    scene.go_on_for(Duration::from_secs(5));
    scene.nodes[0].register("after the failover");
    sentinels.replica.wait_for_topic("after the failover");

    scene.judge(Told::OnlyIfLost);
}

#[test]
fn what_a_go_node_unregisters_or_changes_is_seen_within_15_seconds() {
    let redis = Redis::start();
    let go = GoNode::join(&redis, "00000000000000f0");
    let node = Worker::node(&redis.url(), "node", "");
    for topic in ["gone", "changed"] {
        node.register(topic);
        redis.wait_for_topic(topic);
    }

    let begin = Instant::now();
    go.unregister("gone");
    go.register("changed", false);
    until("the topic to be gone", || (node.try_publish("gone", "1").status == 404).then_some(()));
    until("the topic to be open", || {
        let mut socket = node.open("changed");
        socket.send_text(r#"{"type":"auth","token":"x"}"#);
        socket.next().as_text().unwrap().contains("auth_ok").then_some(())
    });

    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
}

/// Three nodes behind a proxy are restarted one after the other, while PHP publishes through it
/// and browsers that come to it are moved from node to node.
fn rolling_restart_behind(kind: Kind) {
    let redis = Redis::start();
    let places: Vec<[u16; 2]> = (0..3).map(|_| [free_port(), free_port()]).collect();
    let start =
        |number: usize| Worker::node_at(places[number], &redis.url(), &format!("node-{number}"));
    let mut nodes: Vec<Worker> = (0..3).map(start).collect();
    let topics = topics();
    topics.iter().for_each(|topic| nodes[0].register(topic));
    topics.iter().for_each(|topic| redis.wait_for_topic(topic));
    let balancer = Balancer::start(kind, &nodes.iter().map(Node::from).collect::<Vec<_>>());
    let herd = Herd::at(balancer.browsers, &nodes[0], &topics, 120);
    let mut php = Php::publishing_at(balancer.php, &nodes[0], 0, &topics, 50);
    php.wait_for_more(100);

    let begin = Instant::now();
    for (number, node) in nodes.iter_mut().enumerate() {
        node.signal(Signal::TERM);
        assert!(node.wait_for_exit().success());
        // Nobody is at its place for a moment, as in any restart.
        *node = start(number);
        php.wait_for_more(100);
    }
    let took = begin.elapsed();
    until("all browsers to be back", || herd.all_are_in().then_some(()));
    php.wait_for_more(50);
    php.stop();

    let published = php.published();
    let deadline = Instant::now() + PATIENCE;
    let verdict = loop {
        let verdict = judge_behind_a_proxy(&herd.members(), &published);
        if verdict.owed.is_empty() || Instant::now() > deadline {
            break verdict;
        }
    };
    let refused: Vec<u16> =
        published.iter().map(|publish| publish.status).filter(|status| *status != 200).collect();
    eprintln!("{}\n{}", Verdict::HEAD, verdict.row(&format!("rolling restart behind {kind:?}")));
    eprintln!("{kind:?}: {took:?}, refused {refused:?}, closes {:?}", herd.endings());
    assert!(verdict.wrong.is_empty() && verdict.owed.is_empty(), "{verdict:#?}");
    assert!(verdict.told >= 120, "each browser's node was restarted");
    for member in herd.members() {
        let newest = published.iter().rev().find(|publish| publish.topic == member.topic).unwrap();
        let heard = member.sessions.last().unwrap().pushes.last().unwrap();
        assert_eq!(heard.payload, format!("[0,{}]", newest.number), "{}", member.topic);
    }
    let late: Vec<_> =
        published.iter().filter(|publish| publish.took > Duration::from_secs(1)).collect();
    assert!(late.is_empty(), "PHP gives up after a second: {late:#?}");
    // A request that a node may have taken before it ended is not sent to another (deploy/).
    assert!(refused.len() <= 3 && refused.iter().all(|status| *status == 502), "{refused:?}");
}

#[test]
fn a_rolling_restart_behind_haproxy_leaves_every_browser_with_the_newest_event() {
    rolling_restart_behind(Kind::Haproxy);
}

#[test]
fn a_rolling_restart_behind_nginx_leaves_every_browser_with_the_newest_event() {
    rolling_restart_behind(Kind::Nginx);
}
