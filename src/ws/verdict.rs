//! What becomes of an HTTP request of the public port, once its head is read.
//!
//! Pure: what is known of the topic is an argument. `handshake` acts on it.

use super::request::{Head, Refusal, Target};
use super::script;
use crate::registry::Lookup;

/// What becomes of a request that is not refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It becomes a WebSocket.
    Upgrade { topic: String, accept: String },
    /// Redis has to be asked about this topic first.
    Ask(String),
    /// It is answered with the client's script.
    Script(script::Asked),
    /// It is told that the node serves.
    Healthy,
}

/// What becomes of a request; `lookup` says what is known of its topic.
pub(super) fn decide(head: &Head, lookup: impl FnOnce(&str) -> Lookup) -> Result<Verdict, Refusal> {
    let (topic, upgrade) = match &head.target {
        Target::WebSocket { topic, upgrade } => (topic, upgrade),
        Target::Script(asked) => return asked.map(Verdict::Script),
        Target::Health(asked) => return asked.map(|()| Verdict::Healthy),
        Target::Other => return Err(Refusal::NotFound),
    };
    let topic = topic.as_ref().ok_or(Refusal::MissingTopic)?;
    let topic = std::str::from_utf8(topic).map_err(|_| Refusal::UnknownTopic)?;
    match lookup(topic) {
        Lookup::Known(_) => {
            Ok(Verdict::Upgrade { topic: topic.to_owned(), accept: upgrade.clone()? })
        }
        Lookup::Unknown => Err(Refusal::UnknownTopic),
        Lookup::Ask => Ok(Verdict::Ask(topic.to_owned())),
        Lookup::Away => Err(Refusal::Away),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::request;
    use super::super::tests::upgrade;
    use super::*;
    use crate::registry::TopicMeta;

    const OPEN: Lookup = Lookup::Known(TopicMeta { require_token: false });

    /// A request that asks for no upgrade.
    fn without_upgrade(topic: &str) -> String {
        format!("GET /ws?topic={topic} HTTP/1.1\r\nHost: x\r\n\r\n")
    }

    fn read(text: &str) -> Head {
        request::read(text.as_bytes(), Ipv4Addr::LOCALHOST.into(), &[]).unwrap().unwrap()
    }

    #[test]
    fn what_is_known_of_the_topic_is_looked_at_before_the_upgrade() {
        let (plain, upgrade) = (read(&without_upgrade("a")), read(&upgrade("a")));
        let ask = Ok(Verdict::Ask("a".to_owned()));

        for head in [&plain, &upgrade] {
            assert_eq!(decide(head, |_| Lookup::Unknown), Err(Refusal::UnknownTopic));
            assert_eq!(decide(head, |_| Lookup::Away), Err(Refusal::Away));
            assert_eq!(decide(head, |_| Lookup::Ask), ask);
        }
        assert_eq!(decide(&plain, |_| OPEN), Err(Refusal::NoUpgrade));
        assert!(matches!(decide(&upgrade, |_| OPEN), Ok(Verdict::Upgrade { .. })));
        assert_eq!(decide(&read(&without_upgrade("")), |_| OPEN), Err(Refusal::MissingTopic));
    }
}
