//! However what nodes do falls together, in the end all say the same.

use super::*;

/// A row of numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

/// What Redis says of a topic.
fn in_redis(server: &Server, topic: &str) -> Lookup {
    match value(server, topic).as_str() {
        "" => Lookup::Unknown,
        value => Lookup::Known(TopicMeta { require_token: value.contains("true") }),
    }
}

#[tokio::test]
async fn after_a_wild_mix_of_calls_and_broken_connections_all_nodes_agree() {
    let server = Server::start(&[]);
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Node::at(&server, SWIFT).await);
    }
    let mut dice = Dice(4711);

    for step in 0..2_000 {
        let node = &nodes[dice.below(3) as usize];
        let topic = format!("t{}", dice.below(10));
        let now_ms = node.clock.now_ms();
        match dice.below(10) {
            0..=4 => {
                let meta = TopicMeta { require_token: dice.below(2) == 0 };
                node.registry.register(&topic, meta, now_ms);
            }
            5..=7 => node.registry.unregister(&topic, now_ms),
            8 => {
                node.find(&topic).await;
            }
            _ => tokio::task::yield_now().await,
        }
        match step % 400 {
            100 => go_unregisters(&server, &topic),
            200 => go_registers(&server, &topic, "{}"),
            300 => {
                server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
            }
            _ => {}
        }
    }
    for node in &nodes {
        node.is_served().await;
        node.has_written().await;
    }

    for n in 0..10 {
        let topic = format!("t{n}");
        let begun = Instant::now();
        loop {
            let truth = in_redis(&server, &topic);
            let mut said = Vec::new();
            for node in &nodes {
                said.push(node.find(&topic).await);
            }
            if said.iter().all(|said| *said == truth) {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{topic}: {truth:?} in Redis, nodes say {said:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn of_two_calls_at_two_nodes_the_later_counts_though_nothing_is_between_them() {
    let server = Server::start(&[]);
    let (a, b) = (Node::at(&server, PATIENT).await, Node::at(&server, PATIENT).await);

    for n in 0..300 {
        let topic = format!("t{n}");
        let first_is_a = n % 2 == 0;
        let (first, last) = if first_is_a { (&a, &b) } else { (&b, &a) };
        let registers_last = n % 3 == 0;
        if registers_last {
            first.registry.unregister(&topic, first.clock.now_ms());
        } else {
            first.registry.register(&topic, CLOSED, first.clock.now_ms());
        }
        // No call over a network is sooner after another; less is within the error of reading.
        let begun_us = first.clock.now_us();
        while first.clock.now_us() < begun_us + 50 {}
        let expected = if registers_last {
            last.registry.register(&topic, CLOSED, last.clock.now_ms());
            Lookup::Known(CLOSED)
        } else {
            last.registry.unregister(&topic, last.clock.now_ms());
            Lookup::Unknown
        };

        for node in [&a, &b, &a, &b] {
            node.has_written().await;
            node.finds(&topic, expected).await;
        }
        assert_eq!(in_redis(&server, &topic), expected, "{topic}");
    }
}

#[tokio::test]
async fn the_last_call_counts_whatever_node_it_came_to() {
    let server = Server::start(&[]);
    let nodes = [Node::at(&server, PATIENT).await, Node::at(&server, PATIENT).await];
    let mut dice = Dice(42);

    for n in 0..50 {
        let topic = format!("t{n}");
        let mut last = Lookup::Unknown;
        for _ in 0..4 {
            let node = &nodes[dice.below(2) as usize];
            if dice.below(2) == 0 {
                let meta = TopicMeta { require_token: dice.below(2) == 0 };
                node.registry.register(&topic, meta, node.clock.now_ms());
                last = Lookup::Known(meta);
            } else {
                node.registry.unregister(&topic, node.clock.now_ms());
                last = Lookup::Unknown;
            }
            // Longer than what nodes take for the time can be apart.
            sleep(Duration::from_millis(10)).await;
        }
        for node in &nodes {
            node.has_written().await;
            node.finds(&topic, last).await;
        }
        assert_eq!(in_redis(&server, &topic), last);
    }
}
