//! At the pace of a real node.

use super::*;

#[tokio::test]
async fn an_unregistration_at_a_go_worker_is_seen_within_15_s() {
    let server = Server::start(&[]);
    let node = Node::at(&server, Pace::default()).await;
    node.register("t", OPEN).await;
    go_registers(&server, "learned", "{}");
    node.finds("learned", Lookup::Known(OPEN)).await;
    let begun = Instant::now();

    go_unregisters(&server, "t");
    go_unregisters(&server, "learned");

    while [node.find("t").await, node.find("learned").await] != [Lookup::Unknown; 2] {
        assert!(begun.elapsed() < Duration::from_secs(15));
        sleep(Duration::from_millis(50)).await;
    }
}
