//! The tools of the cluster's tests do what they say: a fault that does not happen would be
//! survived by everything.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::support::{Herd, Link, Proxy, Redis, Reply, Resp, Worker, until};

const SHORT: Duration = Duration::from_millis(300);

/// Whether an answer came within [`SHORT`].
fn answers(connection: &mut Resp) -> bool {
    connection.patience(SHORT).unwrap();
    match connection.read() {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_redis_comes_back_empty_at_its_old_port_and_may_want_another_password() {
    let mut redis = Redis::start();
    redis.cli(&["SET", "a", "1"]);
    let address = redis.address();

    redis.kill();
    assert!(Resp::connect(address).is_err());
    redis.restart();
    let after = redis.get("a");
    redis.restart_with_password(Some("new"));
    let stranger = Resp::connect(address).unwrap().ask(&["PING"]).unwrap();

    assert_eq!(after, None);
    assert!(matches!(stranger, Reply::Error(text) if text.starts_with("NOAUTH")));
    assert_eq!(redis.cli(&["PING"]), "PONG");
}

#[test]
fn a_stopped_redis_answers_nothing_until_it_goes_on() {
    let redis = Redis::start();
    let mut connection = redis.connect();

    redis.pause();
    connection.send(&["PING"]).unwrap();
    let while_stopped = answers(&mut connection);
    redis.resume();

    assert!(!while_stopped);
    assert_eq!(connection.read().unwrap().text(), "PONG");
}

#[test]
fn a_redis_that_loads_says_so() {
    let mut redis = Redis::start();
    for number in 0..10 {
        redis.cli(&["SET", &format!("ballast:{number}"), &"x".repeat(10_000)]);
    }

    redis.kill_for_a_slow_load();
    redis.restart();

    let Reply::Error(answer) = redis.ask(&["GET", "ballast:1"]) else {
        panic!("it has loaded everything");
    };
    assert!(answer.starts_with("LOADING"), "{answer}");
    until("the data to be loaded", || {
        matches!(redis.ask(&["GET", "ballast:1"]), Reply::Text(_)).then_some(())
    });
}

#[test]
fn a_link_delays_sticks_resets_and_is_cut() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.address());
    let mut connection = Resp::connect(proxy.address).unwrap();
    assert_eq!(connection.ask(&["PING"]).unwrap().text(), "PONG");

    proxy.set(Link { delay: Duration::from_millis(100), ..Link::default() });
    let begin = Instant::now();
    connection.ask(&["PING"]).unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(200), "{:?}", begin.elapsed());

    for (up_stuck, down_stuck) in [(true, false), (false, true)] {
        proxy.set(Link { up_stuck, down_stuck, ..Link::default() });
        let before = redis.calls("ping");
        connection.send(&["PING"]).unwrap();
        assert!(!answers(&mut connection), "up {up_stuck}, down {down_stuck}");
        assert_eq!(redis.calls("ping") - before, u64::from(down_stuck));
        proxy.set(Link::default());
        connection.patience(crate::support::PATIENCE).unwrap();
        assert_eq!(connection.read().unwrap().text(), "PONG");
    }

    proxy.set(Link { cut: true, ..Link::default() });
    assert!(connection.ask(&["PING"]).is_err());
    until("connections to be refused", || {
        Resp::connect(proxy.address)
            .is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused)
            .then_some(())
    });
    proxy.set(Link { reset_one_in: 20, ..Link::default() });
    let mut connection = Resp::connect(proxy.address).unwrap();
    let reset = (0..1000).find_map(|_| connection.ask(&["PING"]).err());
    assert_eq!(reset.expect("no reset").kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_herd_comes_back_a_second_after_its_connections_end_and_takes_everything_down() {
    let mut worker = Worker::start();
    let port = worker.ws.port();
    let topics = ["a".to_owned(), "b".to_owned()];
    topics.iter().for_each(|topic| worker.register(topic));
    let herd = Herd::of(&worker, &topics, 10);
    topics.iter().for_each(|topic| worker.publish(topic, "1"));
    herd.wait_for_all_to_hear("1");

    worker.signal(rustix::process::Signal::TERM);
    worker.wait_for_exit();
    let worker = Worker::on_port(port, "");
    topics.iter().for_each(|topic| worker.register(topic));
    until("all to be back", || (herd.endings() == [(1001, 10)].into()).then_some(()));
    until("all to be back", || herd.all_are_in().then_some(()));
    topics.iter().for_each(|topic| worker.publish(topic, "2"));
    herd.wait_for_all_to_hear("2");

    assert_eq!(herd.heard(), 20);
    for member in herd.members() {
        assert_eq!(member.sessions.len(), 2);
        let ended = member.sessions[0].ended.unwrap().at;
        assert!(member.sessions[1].opened - ended >= Duration::from_secs(1));
    }
}
