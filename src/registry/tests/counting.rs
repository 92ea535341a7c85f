//! How many topics there are in the whole cluster.

use super::*;

#[tokio::test]
async fn topics_of_all_nodes_are_counted_and_named_once() {
    let server = Server::start(&[]);
    let (a, b) = (Node::at(&server, SWIFT).await, Node::at(&server, SWIFT).await);
    server.cli(&["SET", "wavelog:topical", "no topic"]);
    server.cli(&["SET", "other:topic:x", "somebody else's"]);
    a.register("of a", OPEN).await;
    b.register("of b", OPEN).await;
    b.register("of both", OPEN).await;
    a.register("of both", OPEN).await;
    go_registers(&server, "of go", "{}");

    for node in [&a, &b] {
        until("all are counted", || node.len() == 4).await;
        let mut names = node.registry.names(node.clock.now_ms());
        names.sort();
        assert_eq!(names, ["of a", "of b", "of both", "of go"]);
    }
    a.find("of go").await;
    assert_eq!(a.len(), 4, "what becomes known is not counted twice");
    go_unregisters(&server, "of go");
    until("it is not counted any more", || b.len() == 3).await;
}

#[tokio::test]
async fn what_our_nodes_do_is_counted_before_the_next_walk() {
    let server = Server::start(&[]);
    let (a, b) = (Node::at(&server, PATIENT).await, Node::at(&server, PATIENT).await);

    a.register("t", OPEN).await;
    assert_eq!(a.len(), 1);
    until("b heard of it", || b.len() == 1).await;
    b.register("t", OPEN).await;
    assert_eq!(b.len(), 1);
    a.unregister("t").await;
    until("b heard of it", || b.len() == 0).await;
}

#[tokio::test]
async fn a_large_keyspace_is_walked_in_the_background() {
    let server = Server::start(&[]);
    let fill = "for i = 1, 60000 do redis.call('SET', 'other:' .. i, i) end
        for i = 1, 2000 do redis.call('SET', 'wavelog:topic:' .. i, '{}') end";
    server.cli(&["EVAL", fill, "0"]);
    let node = Node::at(&server, SWIFT).await;
    assert_eq!(node.len(), 0, "before the first walk: what is known here");

    until("all are counted", || node.len() == 2000).await;
}

#[tokio::test]
async fn while_redis_is_away_the_topics_of_this_node_count() {
    let mut server = Server::start(&[]);
    go_registers(&server, "of go", "{}");
    let node = Node::at(&server, SWIFT).await;
    node.register("here", OPEN).await;
    until("both are counted", || node.len() == 2).await;

    server.kill();
    node.is_alone().await;

    assert_eq!(node.len(), 1);
    assert_eq!(node.registry.names(node.clock.now_ms()), ["here"]);
}
