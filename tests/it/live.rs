//! What the live view says of a node: figures, topics, nodes, configuration (docs/live-view.md).

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Redis, SECRET, Viewer, Worker, alone, until};

fn names(state: &Value) -> Vec<&str> {
    let shown = state["topics"]["shown"].as_array().unwrap();
    shown.iter().map(|shown| shown["topic"].as_str().unwrap()).collect()
}

#[test]
fn the_state_has_this_node_its_figures_and_its_samples() {
    let worker = Worker::start();
    worker.register("a");
    let mut sockets = [worker.subscribe_as(1, "a"), worker.subscribe_as(1, "a")];
    worker.publish("a", "1");
    sockets.iter_mut().for_each(|socket| assert_eq!(socket.next_push(), "1"));
    let viewer = Viewer::sign_in(&worker);

    let state = until("two samples with what was published", || {
        let state = viewer.json("/live/state");
        let rates = state["samples"]["publishes_per_second"].as_array().unwrap();
        let was_published = rates.iter().any(|rate| rate.as_f64() > Some(0.0));
        (rates.len() >= 2 && was_published).then_some(state)
    });

    let node = &state["node"];
    assert_eq!(node["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&node["ready"], &node["draining"]), (&json!(true), &json!(false)));
    let now = state["now"].as_u64().unwrap();
    assert!(node["started_at"].as_u64().unwrap() <= now - 1000);
    assert_eq!(state["redis"], Value::Null);
    assert_eq!(state["nodes"].as_array().unwrap().len(), 1);
    assert_eq!(state["nodes"][0]["this"], true);
    let totals = &state["totals"];
    for (name, expected) in [
        ("sockets", 2),
        ("clients", 1),
        ("registered_topics", 2),
        ("active_topics", 1),
        ("publishes", 1),
        ("deliveries", 2),
        ("refetches", 2),
        ("backlog_bytes", 0),
    ] {
        assert_eq!(totals[name], expected, "{name}");
    }
    assert!(totals["memory_bytes"].as_u64().unwrap() > 1_000_000);
    assert!(totals["open_files"].as_u64().unwrap() > 5);
    assert!(totals["max_files"].as_u64().unwrap() >= totals["open_files"].as_u64().unwrap());
    assert_eq!(state["problems"], json!([]));
    assert_eq!(state.get("topics"), None);

    let samples = &state["samples"];
    assert_eq!((&samples["every_ms"], &samples["first"]), (&json!(1000), &json!(1)));
    let count = samples["at"].as_array().unwrap().len();
    for row in [
        "sockets",
        "publishes_per_second",
        "deliveries_per_second",
        "delay_p50_ms",
        "delay_p99_ms",
        "backlog_bytes",
        "loop_lag_ms",
    ] {
        assert_eq!(samples[row].as_array().unwrap().len(), count, "{row}");
    }
    let delays = samples["delay_p99_ms"].as_array().unwrap();
    assert!(delays.iter().any(Value::is_number), "{delays:?}");
    let last = count as u64;
    let more = until("a further sample", || {
        let more = viewer.json(&format!("/live/state?after={last}"));
        (more["samples"]["at"] != json!([])).then_some(more)
    });
    assert_eq!(more["samples"]["first"], last + 1);
    let of_another_start = viewer.json("/live/state?after=1000000");
    assert_eq!(of_another_start["samples"]["first"], 1);
}

#[test]
fn topics_are_listed_with_their_subscribers_and_what_they_need() {
    let worker = Worker::with("topic_ttl: 1h\n");
    worker.register("session.1");
    worker.register_open("open");
    let _sockets = [worker.subscribe("session.1"), worker.subscribe("session.1")];
    worker.register("gone");
    let _subscribed = worker.subscribe("gone");
    worker.unregister("gone");
    let viewer = Viewer::sign_in(&worker);

    let state = viewer.json("/live/state?topics=1");

    assert_eq!(state["topics"]["total"], 4);
    assert_eq!(names(&state), ["session.1", "gone", "open", "worker.status"]);
    let shown = &state["topics"]["shown"];
    assert_eq!((&shown[0]["subscribers"], &shown[0]["require_token"]), (&json!(2), &json!(true)));
    let left = shown[0]["expires_seconds"].as_u64().unwrap();
    assert!((3500..=3600).contains(&left), "{left}");
    assert_eq!((&shown[1]["subscribers"], &shown[1]["require_token"]), (&json!(1), &Value::Null));
    assert_eq!(shown[2]["require_token"], false);
    assert_eq!(shown[0]["publishes_per_minute"], Value::Null, "not counted long enough");
}

#[test]
fn topics_are_searched_sorted_and_bounded_in_number() {
    let worker = Worker::start();
    for n in 0..20 {
        worker.register(&format!("Session.{n:02}"));
    }
    worker.register("other <b>\u{202e}");
    let _subscribed = worker.subscribe("Session.07");
    let viewer = Viewer::sign_in(&worker);
    let asked = |query: &str| viewer.json(&format!("/live/state?topics=1&{query}"));

    let found = asked("search=sESSION.1&sort=topic&order=desc&limit=3");
    assert_eq!(found["topics"]["total"], 10);
    assert_eq!(names(&found), ["Session.19", "Session.18", "Session.17"]);
    assert_eq!(names(&asked("sort=topic&limit=2")), ["Session.00", "Session.01"]);
    assert_eq!(names(&asked("sort=subscribers&order=desc&limit=1")), ["Session.07"]);
    assert_eq!(names(&asked("search=%3Cb%3E")), ["other <b>\u{202e}"]);
    let none = asked("search=nowhere");
    assert_eq!((&none["topics"]["total"], &none["topics"]["shown"]), (&json!(0), &json!([])));
    assert_eq!(names(&asked("search=other+%3Cb%3E%E2%80%AE&limit=1")), ["other <b>\u{202e}"]);
    assert_eq!(names(&asked("limit=100000")).len(), 22);
    assert_eq!(names(&asked("limit=x&sort=x&order=x")).len(), 22);
}

#[test]
fn while_somebody_looks_publishes_are_counted_by_topic() {
    let worker = Worker::start();
    worker.register("busy");
    worker.register("quiet");
    let mut socket = worker.subscribe("busy");
    worker.publish("busy", "0"); // Nobody looks yet.
    assert_eq!(socket.next_push(), "0");
    let viewer = Viewer::sign_in(&worker);
    let since = viewer.json("/live/state?topics=1")["topics"]["counting_since"].clone();

    for n in 1..=10 {
        worker.publish("busy", &n.to_string());
        assert_eq!(socket.next_push(), n.to_string());
    }

    let busy = viewer.wait_for_topic("busy", |topic| topic["publishes_per_minute"].is_number());
    // Ten in some three seconds, or in whatever time this took.
    let rate = busy["publishes_per_minute"].as_f64().unwrap();
    assert!((10.0..=200.0).contains(&rate), "{rate}");
    assert_eq!(busy["deliveries_per_minute"], busy["publishes_per_minute"]);
    let state = viewer.json("/live/state?topics=1&sort=rate&order=desc&limit=1");
    assert_eq!(names(&state), ["busy"]);
    assert_eq!(state["topics"]["counting_since"], since);
    let quiet = viewer.wait_for_topic("quiet", |_| true);
    assert_eq!(quiet["publishes_per_minute"], 0.0);
}

#[test]
fn a_test_event_reaches_browsers_and_says_how_many() {
    let worker = Worker::start();
    worker.register_open("open");
    let mut socket = worker.subscribe("open");
    let viewer = Viewer::sign_in(&worker);
    let publish = |body: &str| {
        let answer = viewer.post("/live/publish", body);
        (answer.status, answer.json())
    };

    let event = r#"{"topic":"open","payload":{"x": [1, "ä"]},"register":true}"#;
    assert_eq!(publish(event), (200, json!({"delivered_to": 1})));
    assert_eq!(socket.next_push(), r#"{"x": [1, "ä"]}"#);
    let open = viewer.wait_for_topic("open", |_| true);
    assert_eq!(open["require_token"], false, "what is registered stays as it is");

    let (status, refused) = publish(r#"{"topic":"new","payload":null}"#);
    assert_eq!(status, 404);
    assert!(refused["error"].as_str().unwrap().starts_with("topic not registered"));
    let event = r#"{"topic":"new","payload":null,"register":true}"#;
    assert_eq!(publish(event), (200, json!({"delivered_to": 0})));
    assert_eq!(viewer.wait_for_topic("new", |_| true)["require_token"], true);
    for bad in ["", "{", "[]", r#"{"topic":"open"}"#, r#"{"topic":"","payload":1}"#] {
        assert_eq!(publish(bad).0, 400, "{bad}");
    }
    let long = format!(r#"{{"topic":"open","payload":"{}"}}"#, "x".repeat(1024 * 1024));
    assert_eq!(viewer.post("/live/publish", &long).status, 413);
    assert_eq!(viewer.json("/live/state")["problems"], json!([]), "a test is no problem");
}

#[test]
fn the_configuration_is_shown_with_its_origin_and_without_its_secrets() {
    let worker = Worker::with(
        "internal_bind: \"\"\nredis_url: redis://user:hunter2hunter2@127.0.0.1:1/0\n\
         node_name: one\nws_prot: 1\n",
    );
    let text = Viewer::sign_in(&worker).get("/live/config").text().to_owned();
    let config: Value = serde_json::from_str(&text).unwrap();
    let setting = |key: &str| {
        let settings = config["settings"].as_array().unwrap();
        settings.iter().find(|setting| setting["key"] == key).unwrap().clone()
    };

    assert!(!text.contains(SECRET) && !text.contains("hunter2"), "{text}");
    let secret = setting("worker_secret");
    assert_eq!(secret["value"], format!("(set, {} bytes)", SECRET.len()));
    assert_eq!(secret["secret"], true);
    assert!(setting("redis_url")["value"].as_str().unwrap().contains("127.0.0.1:1"));
    assert_eq!(setting("node_name")["value"], "one");
    assert!(setting("node_name")["origin"].as_str().unwrap().ends_with("worker.yaml:8"));
    assert_eq!(setting("topic_ttl")["origin"], "default");
    let risks = config["risks"].as_array().unwrap();
    let about = |text: &str| risks.iter().any(|risk| risk.as_str().unwrap().contains(text));
    assert!(about("ws_prot: unknown key"), "{risks:?}");
    assert!(about("internal_bind is every address"), "{risks:?}");
}

#[test]
fn all_nodes_of_a_cluster_are_shown_and_the_way_to_redis() {
    let mut redis = Redis::start();
    let one = Worker::node(&redis.url(), "one", "");
    let two = Worker::node(&redis.url(), "two", "");
    one.register("a");
    redis.wait_for_topic("a");
    let viewer = Viewer::sign_in(&two);

    let state = until("both nodes", || {
        let state = viewer.json("/live/state?topics=1");
        let nodes = state["nodes"].as_array().unwrap().len();
        (nodes == 2 && names(&state).contains(&"a")).then_some(state)
    });

    let of = |key: &str| [&state["nodes"][0][key], &state["nodes"][1][key]];
    assert_eq!(of("name"), ["two", "one"], "this node comes first");
    assert_eq!(of("this"), [&json!(true), &json!(false)]);
    assert_eq!(of("alive"), [true, true]);
    assert_eq!(state["node"]["name"], "two");
    assert!(of("seen_seconds")[1].as_u64().unwrap() < 15);
    assert_eq!(state["redis"]["state"], "up");
    assert!(state["redis"]["url"].as_str().unwrap().contains(&redis.address().to_string()));
    let known_elsewhere = viewer.wait_for_topic("a", |_| true);
    assert_eq!(known_elsewhere["subscribers"], 0);

    redis.kill();
    two.wait_until_alone();
    two.publish("worker.status", "1");
    let state = viewer.json("/live/state");
    assert_eq!(state["redis"]["state"], "away");
    assert!(state["redis"]["error"].is_string());
    assert_eq!(state["redis"]["queue"], 1);
    assert!(state["redis"]["waiting_bytes"].as_u64().unwrap() > 10);
    assert_eq!(state["node"]["ready"], false);
    let problem = viewer.wait_for_problem("redis_away", 1);
    assert!(!problem["recent"][0]["detail"].as_str().unwrap().is_empty());
    redis.restart();
    two.wait_until_ready();
    until("the end of it", || {
        let problem = viewer.wait_for_problem("redis_away", 1);
        let last = problem["recent"][0]["detail"].as_str().unwrap().to_owned();
        last.starts_with("back after").then_some(())
    });
    assert_eq!(viewer.json("/live/state")["redis"]["state"], "up");
}

#[test]
fn a_viewer_who_takes_nothing_delays_no_publish() {
    let _alone = alone();
    let worker = Worker::start();
    worker.register("a");
    for n in 0..500 {
        worker.register(&format!("a topic with a long name, so that the list is long {n}"));
    }
    let mut browser = worker.subscribe("a");
    let viewer = Viewer::sign_in(&worker);
    // Each asks for far more than the kernel keeps for him, and reads nothing.
    let mut stalled = Vec::new();
    for _ in 0..16 {
        let mut connection = worker.internal();
        for _ in 0..50 {
            let list = viewer.get_request("/live/state?topics=1&limit=500");
            let tail = viewer.get_request("/live/tail?topic=a");
            if connection.try_send(&[list, tail].concat()).is_err() {
                break;
            }
        }
        stalled.push(connection);
    }

    let mut longest = Duration::ZERO;
    for n in 0..200 {
        let payload = format!("\"{n:03}{}\"", "x".repeat(10_000));
        let begin = Instant::now();
        worker.publish("a", &payload);
        longest = longest.max(begin.elapsed());
        assert_eq!(browser.next_push(), payload);
    }

    println!("the longest of 200 publishes took {longest:?}");
    assert!(longest < Duration::from_secs(1), "{longest:?}, and PHP waits no longer");
}

#[test]
fn who_looks_costs_bounded_memory() {
    let _alone = alone();
    let worker = Worker::start();
    let viewer = Viewer::sign_in(&worker);
    for topic in 0..16 {
        worker.register(&format!("t{topic}"));
    }
    viewer.json("/live/state?topics=1");
    let before = worker.memory("VmRSS");

    // 16 topics are followed, and 64 MiB are published to them; their payloads are kept to 1 MiB.
    let payload = format!("\"{}\"", "x".repeat(16 * 1024 - 2));
    thread::scope(|scope| {
        for topic in 0..16 {
            scope.spawn({
                let (viewer, worker, payload) = (&viewer, &worker, &payload);
                move || {
                    let name = format!("t{topic}");
                    let mut connection = worker.internal();
                    connection.send(&viewer.get_request(&format!("/live/tail?topic={name}")));
                    let mut publisher = worker.internal();
                    for _ in 0..256 {
                        publisher.ask(&worker.publish_request(&name, payload)).assert_ok();
                    }
                    assert_eq!(connection.answer().status, 200);
                }
            });
        }
    });
    // And more topics are published to than are counted apart.
    let mut connection = worker.internal();
    for some in 0..120 {
        let mut requests = Vec::new();
        for n in 0..100 {
            let topic = format!("another topic {}", some * 100 + n);
            let body = format!(r#"{{"topic":"{topic}"}}"#);
            requests.extend(worker.post_request("/internal/register", body));
            requests.extend(worker.publish_request(&topic, "1"));
        }
        connection.send(&requests);
        for _ in 0..200 {
            connection.answer().assert_ok();
        }
        viewer.json("/live/state?topics=1&limit=1&after=1000000");
    }

    let grown = worker.memory("VmRSS") - before;
    println!("16 tails, and rates of 10,000 topics: {} KiB more", grown / 1024);
    assert!(grown < 40 * 1024 * 1024, "{grown} bytes more");
    let others = viewer.json("/live/state?topics=1")["topics"]["others_per_minute"].clone();
    assert!(others.as_f64().unwrap() > 0.0, "{others}");
}

#[test]
fn the_end_of_the_node_does_not_wait_for_who_follows_a_topic() {
    let mut worker = Worker::start();
    let viewer = Viewer::sign_in(&worker);
    worker.register("a");
    let next = viewer.begin_tail(&worker, "a");
    let mut following = worker.internal();
    following.send(&viewer.get_request(&format!("/live/tail?topic=a&after={next}")));
    assert!(!following.answers_within(Duration::from_millis(200)), "there is nothing to say yet");

    let begin = Instant::now();
    worker.signal(Signal::TERM);
    let status = worker.wait_for_exit();

    assert!(status.success(), "{status:?}");
    let took = begin.elapsed();
    assert!(took < Duration::from_millis(1000), "{took:?}");
    assert_eq!(following.answer().status, 503);
}
