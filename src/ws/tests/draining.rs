//! The end as those see it who come during it: load balancers and new browsers.

use super::*;

const HEALTHZ: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

impl Browser {
    /// Asks `/healthz`; the status of the answer.
    async fn ask_health(&mut self) -> u16 {
        self.stream.write_all(HEALTHZ.as_bytes()).await.unwrap();
        self.status().await
    }

    /// Whether the connection ended without a word.
    async fn ended(mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_u8()).await.unwrap();
        read.is_err()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_the_first_moment_of_the_end_healthz_is_503_and_nobody_is_let_in() {
    let node = Node::start();
    let mut kept = node.connect().await;
    assert_eq!(kept.ask_health().await, 200);
    let mut browsers = node.join_all("a", 3).await;

    node.stopping.cancel();

    assert_eq!(kept.ask_health().await, 503);
    assert!(kept.ended().await);
    assert_eq!(node.connect().await.ask_health().await, 503);
    let mut newcomer = node.connect().await;
    newcomer.stream.write_all(upgrade("a").as_bytes()).await.unwrap();
    assert!(newcomer.ended().await, "a load balancer tries another node");
    node.reaches("a", &mut browsers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_was_upgraded_before_the_end_is_still_let_in_and_told() {
    let node = Node::start();
    let mut browser = node.upgraded("a").await;

    node.stopping.cancel();
    browser.authenticate().await;
    node.running.close_all();

    let (first, payload) = browser.frame().await;
    assert_eq!((first, &payload[..2]), (0x88, &1001_u16.to_be_bytes()[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_during_the_end_is_answered_to_the_last_and_waited_for_by_nobody() {
    let node = Node::start();
    let mut browser = node.join("a").await;
    node.stopping.cancel();
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(node.connect().await);
    }

    node.running.close_all();
    assert_eq!(browser.frame().await.0, 0x88);
    assert_eq!(node.connect().await.ask_health().await, 503);
    let begin = Instant::now();
    drop(browser);
    timeout(PATIENCE, node.running.ended()).await.unwrap();

    // Those who were silent could have been for 10 s.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}
