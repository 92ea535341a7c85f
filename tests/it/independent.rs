//! The normal flow as a client library that is not ours sees it.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::{PATIENCE, Worker};

type Client = WebSocketStream<TcpStream>;

/// Connects as a browser does, without authenticating.
async fn connect(worker: &Worker, topic: &str) -> Result<Client, Error> {
    let stream = TcpStream::connect(worker.ws).await.unwrap();
    client_async(format!("ws://{}/ws?topic={topic}", worker.ws), stream).await.map(|(ws, _)| ws)
}

/// The next message, pings included.
async fn next_of_all(client: &mut Client) -> Message {
    timeout(PATIENCE, client.next()).await.unwrap().unwrap().unwrap()
}

/// The next message but for pings, which may come at any moment.
async fn next(client: &mut Client) -> Message {
    loop {
        let message = next_of_all(client).await;
        if !message.is_ping() {
            return message;
        }
    }
}

/// Connects and authenticates.
async fn subscribe(worker: &Worker, topic: &str) -> Client {
    let mut client = connect(worker, topic).await.unwrap();
    let token = worker.token(1, topic);
    client.send(Message::text(format!(r#"{{"type":"auth","token":"{token}"}}"#))).await.unwrap();
    assert_eq!(next(&mut client).await, Message::text(r#"{"type":"auth_ok"}"#));
    client
}

#[tokio::test]
async fn pushes_arrive_in_order() {
    let worker = Worker::start();
    worker.register("session.42");
    let mut client = subscribe(&worker, "session.42").await;

    for n in 0..20 {
        worker.publish("session.42", &format!(r#"{{"n":{n}}}"#));
    }

    for n in 0..20 {
        let text = format!(r#"{{"type":"push","payload":{{"n":{n}}}}}"#);
        assert_eq!(next(&mut client).await, Message::text(text));
    }
}

#[tokio::test]
async fn a_push_of_almost_1_mib_arrives() {
    let worker = Worker::start();
    worker.register("a");
    let mut client = subscribe(&worker, "a").await;
    let payload = format!("\"{}\"", "ä".repeat(500_000));

    worker.publish("a", &payload);

    let text = format!(r#"{{"type":"push","payload":{payload}}}"#);
    assert!(next(&mut client).await == Message::text(text));
}

#[tokio::test]
async fn a_ping_is_answered() {
    let worker = Worker::start();
    worker.register("a");
    let mut client = subscribe(&worker, "a").await;

    client.send(Message::Ping("hello".into())).await.unwrap();

    assert_eq!(next(&mut client).await, Message::Pong("hello".into()));
}

#[tokio::test]
async fn the_library_answers_pings_and_stays_connected() {
    let worker = Worker::with("ping_interval: 1s\nidle_timeout: 4s\n");
    worker.register("a");
    let mut client = subscribe(&worker, "a").await;

    for _ in 0..6 {
        assert_eq!(next_of_all(&mut client).await, Message::Ping("".into()));
    }

    assert_eq!(worker.counter("dead_peers"), 0);
}

#[tokio::test]
async fn a_close_is_shaken_hands_on() {
    let worker = Worker::start();
    worker.register("a");
    let mut client = subscribe(&worker, "a").await;

    let close = CloseFrame { code: CloseCode::Normal, reason: "done".into() };
    client.close(Some(close)).await.unwrap();

    let answer = next(&mut client).await;
    assert!(matches!(&answer, Message::Close(Some(frame)) if frame.code == CloseCode::Normal));
    assert!(timeout(PATIENCE, client.next()).await.unwrap().is_none(), "a clean end");
    worker.wait_for_sockets(0);
}

#[tokio::test]
async fn a_refusal_is_an_error_frame_and_a_close_frame() {
    let worker = Worker::start();
    worker.register("a");
    let mut client = connect(&worker, "a").await.unwrap();

    client.send(Message::text(r#"{"type":"auth","token":"x"}"#)).await.unwrap();

    let error = r#"{"type":"error","code":"unauthorized","message":"invalid or expired token"}"#;
    assert_eq!(next(&mut client).await, Message::text(error));
    let close = next(&mut client).await;
    assert!(matches!(&close, Message::Close(Some(frame)) if frame.code == CloseCode::Policy));
    assert!(timeout(PATIENCE, client.next()).await.unwrap().is_none(), "a clean end");
}

#[tokio::test]
async fn an_unknown_topic_is_a_failed_handshake_with_404() {
    let worker = Worker::start();

    let error = connect(&worker, "unknown").await.unwrap_err();

    let Error::Http(answer) = error else { panic!("{error}") };
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.body().as_deref(), Some(&b"topic not registered\n"[..]));
}

#[tokio::test]
async fn the_end_of_the_worker_is_a_close_with_1001() {
    let mut worker = Worker::start();
    worker.register("a");
    let mut client = subscribe(&worker, "a").await;

    worker.signal(rustix::process::Signal::TERM);

    let close = next(&mut client).await;
    assert!(
        matches!(&close, Message::Close(Some(frame)) if frame.code == CloseCode::Away),
        "{close:?}"
    );
    drop(client);
    assert!(worker.wait_for_exit().success());
}

#[tokio::test]
async fn a_client_that_was_away_subscribes_again_and_receives() {
    let worker = Worker::start();
    worker.register("a");

    for n in 0..5 {
        let mut client = subscribe(&worker, "a").await;
        worker.publish("a", &n.to_string());
        let text = format!(r#"{{"type":"push","payload":{n}}}"#);
        assert_eq!(next(&mut client).await, Message::text(text));
        timeout(Duration::from_secs(5), client.close(None)).await.unwrap().unwrap();
    }
}
