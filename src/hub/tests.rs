//! The hub over real sockets: who gets what, in which order, and what a full outbox does.

use std::num::NonZeroUsize;

use mio::{Poll, Token, Waker};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::clock::Clock;
use crate::link::{LinkContext, Troubled};
use crate::protocol::frame;

fn hub(outbox_bytes: usize) -> Arc<Hub> {
    let config = HubConfig { outbox_bytes: NonZeroUsize::new(outbox_bytes).unwrap() };
    Hub::new(config, Arc::default())
}

/// Subscribes as many browsers as asked to `topic`.
pub(crate) async fn browsers(
    hub: &Arc<Hub>,
    topic: &str,
    count: i64,
) -> Vec<(Subscription, TcpStream)> {
    let waker = Waker::new(Poll::new().unwrap().registry(), Token(0)).unwrap();
    let context = Arc::new(LinkContext {
        backlog_bytes: 1024 * 1024,
        write_timeout: Duration::from_secs(10),
        clock: Clock::start(),
        metrics: Arc::clone(&hub.metrics),
        troubled: Troubled::new(Arc::new(waker)),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut browsers = Vec::new();
    for user_id in 0..count {
        let browser = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let stream = listener.accept().await.unwrap().0.into_std().unwrap();
        let stream = mio::net::TcpStream::from_std(stream);
        let link = Link::corked(stream, 0, Arc::clone(&context));
        let subscription = hub.subscribe(topic, user_id, Arc::clone(&link));
        link.uncork(&Bytes::new());
        browsers.push((subscription, browser));
    }
    browsers
}

async fn assert_gets(browser: &mut TcpStream, frames: &[Bytes]) {
    let expected = frames.concat();
    let mut got = vec![0; expected.len()];
    browser.read_exact(&mut got).await.unwrap();
    assert_eq!(got, expected);
}

fn numbered(n: usize) -> Bytes {
    frame::text(&[&n.to_string()])
}

#[tokio::test]
async fn short_and_long_lists_get_every_frame_in_order_and_others_nothing() {
    let hub = hub(8 * 1024 * 1024);
    let frames: Vec<Bytes> = (0..500).map(numbered).collect();
    for (topic, count) in [("one", 1), ("short", 64), ("long", 700)] {
        let mut browsers = browsers(&hub, topic, count).await;

        for frame in &frames {
            hub.publish(topic, Moment::now(), || frame.clone()).await.unwrap();
        }

        for (_, browser) in &mut browsers {
            assert_gets(browser, &frames).await;
        }
    }
    assert_eq!(hub.metrics.deliveries.get(), 500 * (1 + 64 + 700));
    let bytes: usize = frames.iter().map(Bytes::len).sum();
    assert_eq!(hub.metrics.delivered_bytes.get(), bytes as u64 * (1 + 64 + 700));
    let rounds = hub.metrics.fanout.snapshot().count();
    assert!((1_001..=1_500).contains(&rounds), "a long list takes several at once: {rounds}");
    assert_eq!(hub.metrics.delivery_delay.snapshot().count(), rounds);
    assert_eq!(hub.active_topics(), 0, "a topic goes with its last subscriber");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_publishes_come_in_the_same_order_on_every_socket() {
    let hub = hub(8 * 1024 * 1024);
    let mut browsers = browsers(&hub, "t", 100).await;

    let publishers = (0..4).map(|publisher| {
        let hub = Arc::clone(&hub);
        tokio::spawn(async move {
            for n in 0..250 {
                hub.publish("t", Moment::now(), || numbered(1000 * publisher + 1000 + n))
                    .await
                    .unwrap();
            }
        })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await.unwrap();
    }

    let mut orders = Vec::new();
    for (_, browser) in &mut browsers {
        let mut got = vec![0; 1000 * numbered(1000).len()];
        browser.read_exact(&mut got).await.unwrap();
        orders.push(got);
    }
    assert!(orders.iter().all(|order| *order == orders[0]));
    let mut frames: Vec<&[u8]> = orders[0].chunks(6).collect();
    for publisher in [b'1', b'2', b'3', b'4'] {
        let own: Vec<_> = frames.iter().filter(|frame| frame[2] == publisher).collect();
        assert!(own.is_sorted(), "a publisher's own order holds");
    }
    frames.sort_unstable();
    frames.dedup();
    assert_eq!(frames.len(), 1000, "each once");
}

#[tokio::test(start_paused = true)]
async fn a_full_outbox_makes_a_publish_wait_and_then_refuses_it() {
    let hub = hub(100);
    let _browsers = browsers(&hub, "t", 1).await;
    let channel = hub.shard("t").lock().get("t").cloned().unwrap();
    // A drain that has begun and does not get on.
    channel.outbox.lock().append(&Bytes::from(vec![0; 80]), Moment::now(), 100);
    let began = Instant::now();

    let refused = hub.publish("t", Moment::now(), || Bytes::from(vec![0; 30])).await;

    assert_eq!(refused, Err(Busy));
    assert_eq!(began.elapsed(), ROOM_PATIENCE);
    assert_eq!(
        hub.publish("t", Moment::now(), || Bytes::from(vec![0; 20])).await,
        Ok(()),
        "this one has room"
    );
}

#[tokio::test]
async fn a_publish_that_waits_for_room_goes_on_when_the_drain_does() {
    let hub = hub(100);
    let mut browsers = browsers(&hub, "t", 1).await;
    let channel = hub.shard("t").lock().get("t").cloned().unwrap();
    let (first, second) = (frame::text(&[&"a".repeat(78)]), frame::text(&[&"b".repeat(28)]));
    channel.outbox.lock().append(&first, Moment::now(), 100);

    let (published, ()) = tokio::join!(
        hub.publish("t", Moment::now(), || second.clone()),
        Arc::clone(&channel).drain()
    );

    assert_eq!(published, Ok(()));
    assert_gets(&mut browsers[0].1, &[first, second]).await;
}

#[tokio::test]
async fn a_publish_reaches_who_came_while_it_waited_and_all_others_left() {
    let hub = hub(100);
    let early = browsers(&hub, "t", 1).await;
    let channel = hub.shard("t").lock().get("t").cloned().unwrap();
    channel.outbox.lock().append(&Bytes::from(vec![0; 80]), Moment::now(), 100);
    let frame = frame::text(&[&"b".repeat(28)]);

    let (published, mut late) =
        tokio::join!(hub.publish("t", Moment::now(), || frame.clone()), async {
            drop(early);
            let late = browsers(&hub, "t", 1).await;
            channel.drain().await;
            late
        });

    assert_eq!(published, Ok(()));
    assert_gets(&mut late[0].1, &[frame]).await;
}

#[tokio::test]
async fn users_count_once_and_everybody_else_by_himself() {
    let hub = hub(100);
    let mut all = browsers(&hub, "a", 3).await; // Users 0, 1, 2.
    all.extend(browsers(&hub, "b", 2).await); // Users 0, 1.
    assert_eq!(hub.audience(), AudienceSize { clients: 4, sockets: 5 });
    assert_eq!(hub.active_topics(), 2);

    all.truncate(2);

    assert_eq!(hub.audience(), AudienceSize { clients: 2, sockets: 2 });
    assert_eq!(hub.active_topic_names(), ["a"]);
}

#[test]
fn topics_of_one_application_are_spread_over_all_parts_of_the_map() {
    for name in [
        |n| format!("session.{n}"),
        |n| format!("log/{n}/{}", "x".repeat(12)),
        |n| format!("{n:032x}"),
    ] {
        let mut parts = [0; SHARDS];
        (0..6_400).for_each(|n: u32| parts[shard_of(&name(n))] += 1);

        assert!(parts.iter().all(|count| (50..200).contains(count)), "{}: {parts:?}", name(0));
    }
}
