//! What a person does in the live view: follow a topic, and publish a test event.

use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::super::Answer;
use super::Live;
use super::answer::{self, Refusal};
use crate::body;
use crate::broker::PublishError;
use crate::protocol::query;
use crate::registry::{Lookup, TopicMeta};

/// Time in which a follower is answered, with events or without.
const POLL: Duration = Duration::from_secs(20);

/// A test event.
#[derive(Deserialize)]
struct Publish<'a> {
    topic: String,
    #[serde(borrow)]
    payload: &'a RawValue,
    /// Whether the topic is to be registered first, if it is not.
    #[serde(default)]
    register: bool,
}

/// Who got it.
#[derive(Serialize)]
struct Published {
    delivered_to: usize,
}

impl Live {
    /// The next events of a topic.
    pub(super) async fn tail(&self, query: &str) -> Result<Answer, Refusal> {
        let topic = query::first(query, "topic").and_then(|topic| String::from_utf8(topic).ok());
        let topic = topic.filter(|topic| !topic.is_empty());
        let topic = topic.ok_or(Refusal::Malformed("say which topic: ?topic=NAME"))?;
        let after = number(query, "after").unwrap_or(0);
        let taps = self.context.broker.taps();
        let events = tokio::select! {
            // Cancel-safe: events are kept by the tap.
            events = taps.follow(&topic, after, Instant::now() + POLL) => events,
            () = self.context.shutdown.stopping.cancelled() => return Err(Refusal::Ending),
        };
        Ok(answer::json(&events.map_err(|_| Refusal::TooManyTails)?))
    }

    /// Publishes a test event, to who is subscribed on this node and, in a cluster, on others.
    pub(super) async fn publish(&self, request: &mut Request<Incoming>) -> Result<Answer, Refusal> {
        let timeout = self.context.http.request_timeout;
        let body = body::read(request, body::MAX_BYTES, timeout, &self.context.metrics).await?;
        let Publish { topic, payload, register } = serde_json::from_slice(&body).map_err(|_| {
            Refusal::Malformed(
                "send {\"topic\": \"…\", \"payload\": any JSON, \"register\": false}",
            )
        })?;
        if topic.is_empty() {
            return Err(Refusal::Malformed("the topic is empty"));
        }
        let broker = &self.context.broker;
        // Who is registered already stays so: it may be an open one.
        if register && matches!(broker.find(&topic).await, Lookup::Unknown | Lookup::Away) {
            broker.register(&topic, TopicMeta { require_token: true });
        }
        broker.publish(&topic, payload.get()).await?;
        Ok(answer::json(&Published { delivered_to: broker.subscribers(&topic) }))
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::UnknownTopic => Self::UnknownTopic,
            PublishError::Busy => Self::Busy,
        }
    }
}

/// The number that the parameter `name` has, if it has one.
pub(super) fn number(query: &str, name: &str) -> Option<u64> {
    let value = query::first(query, name)?;
    std::str::from_utf8(&value).ok()?.parse().ok()
}
