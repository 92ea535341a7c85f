//! What takes several seconds each: servers that hang.

use rustix::process::Signal;

use super::*;

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
    way.is(LinkState::Away).await;
    assert!(way.redis.commands().is_none());
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
