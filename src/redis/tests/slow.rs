//! What takes several seconds each: servers that hang.

use rustix::process::Signal;

use super::proxy::Proxy;
use super::*;
use crate::config::{RedisAddress, RedisTarget, SentinelConfig};

#[tokio::test]
async fn a_server_that_stands_still_for_2_s_loses_neither_connections_nor_messages() {
    let server = Server::start(&[]);
    let way = Way::up(server.config()).await;
    let commands = way.commands();

    server.signal(Signal::STOP);
    let under_way =
        tokio::spawn(
            async move { commands.query::<u64>(cmd("PUBLISH").arg("news").arg("1")).await },
        );
    // The other connection may be noticed first.
    until("it is noticed", || way.redis.commands().is_none()).await;
    way.is(LinkState::Away).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.signal(Signal::CONT);

    assert_eq!(within(under_way).await.unwrap(), Ok(1));
    way.is(LinkState::Up).await;
    assert!(way.redis.heard_all(Listening { generation: 1 }).await);
    assert_eq!(*way.heard.lock(), ["1"]);
    assert_eq!(way.generations().await, (1, 1));
    assert_eq!(way.metrics.redis_reconnects.get(), 0);
}

#[tokio::test]
async fn a_server_that_stands_still_for_6_s_is_found_again() {
    let server = Server::start(&[]);
    let way = Way::up(server.config()).await;

    server.signal(Signal::STOP);
    way.is(LinkState::Away).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(way.redis.describe().last_error.as_deref(), Some("does not answer"));
    server.signal(Signal::CONT);

    way.is(LinkState::Up).await;
    way.publish("again").await;
    assert!(way.redis.heard_all(way.redis.listening(0).await).await);
    assert_eq!(*way.heard.lock(), ["again"]);
}

#[tokio::test]
async fn the_master_that_sentinels_name_is_followed() {
    let quickly = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"];
    let mut master = Server::start(&quickly);
    let port = master.port.to_string();
    let replica = Server::start(&["--replicaof", "127.0.0.1", port.as_str()]);
    until("it is in step", || replica.cli(&["role"]).contains("connected")).await;
    let sentinel = super::kinds::sentinel(&master);
    until("the sentinel knows the replica", || {
        sentinel.cli(&["-a", "hunter2", "sentinel", "replicas", "main"]).contains("127.0.0.1")
    })
    .await;
    let dead = RedisAddress { host: "127.0.0.1".to_owned(), port: server::free_port() };
    let config = |password: Option<&str>, name: &str| RedisConfig {
        target: RedisTarget::Sentinel(SentinelConfig {
            sentinels: vec![dead.clone(), sentinel.address()],
            master: name.to_owned(),
            username: None,
            password: password.map(str::to_owned),
        }),
        ..master.config()
    };
    let way = Way::up(config(Some("hunter2"), "main")).await;
    let _: () = way.commands().query(cmd("SET").arg("where").arg("master")).await.unwrap();
    Way::to(config(Some("hunter2"), "other")).fails_with("").await;
    Way::to(config(None, "main")).fails_with("").await;
    until("it is copied", || replica.cli(&["get", "where"]).contains("master")).await;

    master.kill();

    way.is(LinkState::Away).await;
    way.is(LinkState::Up).await;
    let found: String = way.commands().query(cmd("GET").arg("where")).await.unwrap();
    assert_eq!(found, "master");
    way.publish("by the new one").await;
    assert!(way.redis.heard_all(way.redis.listening(0).await).await);
    assert_eq!(*way.heard.lock(), ["by the new one"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_hangs_alone_is_replaced_and_not_heard_any_more() {
    let server = Server::start(&[]);
    let proxy = Proxy::to(server.port).await;
    let way = Way::up(RedisConfig {
        target: RedisTarget::Tcp(RedisAddress { port: proxy.port, ..server.address() }),
        ..server.config()
    })
    .await;
    let old = way.commands();
    way.publish("heard").await;
    assert!(way.redis.heard_all(Listening { generation: 1 }).await);

    proxy.freeze();
    server.cli(&["publish", "news", "too late"]);
    let under_way = tokio::spawn(async move { old.query::<String>(&cmd("PING")).await });
    way.is(LinkState::Away).await;
    way.is(LinkState::Up).await;
    proxy.thaw();

    assert_eq!(within(under_way).await.unwrap(), Err(RedisError::Lost(SILENT.to_owned())));
    assert_eq!(way.generations().await, (2, 2));
    assert!(!way.redis.heard_all(Listening { generation: 1 }).await);
    until("the old ones are closed", || {
        server.cli(&["client", "list"]).lines().count() == 3 // And who asks.
    })
    .await;
    way.publish("again").await;
    assert!(way.redis.heard_all(Listening { generation: 2 }).await);
    assert_eq!(*way.heard.lock(), ["heard", "again"]);
}

#[tokio::test]
async fn a_script_that_takes_long_is_waited_for() {
    let server = Server::start(&["--busy-reply-threshold", "100"]);
    let way = Way::up(server.config()).await;

    let port = server.port.to_string();
    let mut script = std::process::Command::new("redis-cli")
        .args(["-p", &port, "eval", "while true do end", "0"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    way.is(LinkState::Away).await;
    until("it can be ended", || server.cli(&["script", "kill"]).contains("OK")).await;
    way.is(LinkState::Up).await;
    script.wait().unwrap();

    assert_eq!(way.generations().await, (1, 1));
}
