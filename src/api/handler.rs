//! Answers one request of the internal API.
//!
//! The order of the checks is part of the contract: path, method, secret, body, topic
//! (docs/protocol.md, "Internal API").

use std::net::SocketAddr;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Method, Request};
use tracing::info;

use super::ApiContext;
use super::answer::{self, Answer, ApiError};
use crate::body::{self, Unread};
use crate::broker::{PublishError, StatusDetail};
use crate::metrics::Metrics;
use crate::problems::{Kind, quoted};
use crate::protocol::query;
use crate::protocol::request::{Publish, Register, parse_unregister};
use crate::registry::TopicMeta;

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Register,
    Unregister,
    Publish,
    Status,
    Nodes,
    Ready,
}

/// Every path that is PHP's, and what it wants.
const PATHS: [(&str, Verb); 7] = [
    ("/internal/publish", Verb::Publish),
    ("/internal/push", Verb::Publish),
    ("/internal/register", Verb::Register),
    ("/internal/unregister", Verb::Unregister),
    ("/internal/status", Verb::Status),
    ("/internal/nodes", Verb::Nodes),
    ("/readyz", Verb::Ready),
];

impl Verb {
    /// What a request to `path` wants; `None` if that is not PHP's.
    fn of(path: &str) -> Option<Self> {
        PATHS.iter().find(|(known, _)| *known == path).map(|(_, verb)| *verb)
    }

    /// The one method that it takes; `None` is any.
    fn method(self) -> Option<Method> {
        match self {
            Self::Ready => None,
            Self::Status | Self::Nodes => Some(Method::GET),
            Self::Register | Self::Unregister | Self::Publish => Some(Method::POST),
        }
    }
}

/// Answers `request`.
pub(super) async fn handle(
    mut request: Request<Incoming>,
    peer: SocketAddr,
    context: &ApiContext,
) -> Answer {
    let Some(verb) = Verb::of(request.uri().path()) else {
        let mut answer = match &context.beside {
            Some(beside) => beside(request, peer).await,
            None => ApiError::NotFound.answer(),
        };
        // So that a request that a proxy sends to the wrong port shows where it came to.
        answer.headers_mut().insert("x-worker-port", HeaderValue::from_static("internal"));
        return answer;
    };
    match carry_out(verb, &mut request, context).await {
        Ok(answer) => answer,
        Err(error) => {
            if verb == Verb::Publish {
                count_refused_publish(error, &context.metrics);
            }
            if error == ApiError::Forbidden {
                let client = peer.ip().to_canonical();
                info!(%client, "call without the right secret refused");
                let detail = || format!("client {client}, {}", request.uri().path());
                context.metrics.problems.note(Kind::WrongSecret, detail);
            }
            body::take_unwanted(&mut request).await;
            error.answer()
        }
    }
}

async fn carry_out(
    verb: Verb,
    request: &mut Request<Incoming>,
    context: &ApiContext,
) -> Result<Answer, ApiError> {
    if verb == Verb::Ready {
        // For anybody.
        return if context.broker.is_ready() {
            Ok(answer::ready())
        } else {
            Err(ApiError::NotReady)
        };
    }
    if verb.method().is_some_and(|method| request.method() != method) {
        return Err(ApiError::Method);
    }
    let secret = request.headers().get("x-worker-secret");
    if !secret.is_some_and(|secret| context.broker.is_secret(secret.as_bytes().trim_ascii())) {
        context.metrics.forbidden.inc();
        return Err(ApiError::Forbidden);
    }
    let broker = &context.broker;
    match verb {
        Verb::Register => {
            let body = read_body(request, context).await?;
            let Register { topic, require_token } = Register::parse(&body)?;
            broker.register(&topic, TopicMeta { require_token });
            Ok(answer::done())
        }
        Verb::Unregister => {
            let body = read_body(request, context).await?;
            broker.unregister(&parse_unregister(&body)?);
            Ok(answer::done())
        }
        Verb::Publish => {
            let body = read_body(request, context).await?;
            let Publish { topic, payload } = Publish::parse(&body)?;
            let published = broker.publish(&topic, payload).await;
            if published == Err(PublishError::UnknownTopic) {
                let detail = || format!("topic {}", quoted(&topic));
                context.metrics.problems.note(Kind::PublishUnregistered, detail);
            }
            published?;
            Ok(answer::done())
        }
        Verb::Status => {
            let query = request.uri().query().unwrap_or_default();
            let asked = |name, value: &[u8]| query::first(query, name).is_some_and(|v| v == value);
            let detail = StatusDetail {
                topics: asked("topics", b"1"),
                counters: asked("v", b"2"),
                uptime_seconds: asked("v", b"2"),
            };
            broker.count_nodes().await;
            Ok(answer::json(broker.status(detail)))
        }
        Verb::Nodes => Ok(answer::json(broker.nodes().await)),
        Verb::Ready => Ok(answer::ready()),
    }
}

/// The body, in the time that a request may take.
async fn read_body(
    request: &mut Request<Incoming>,
    context: &ApiContext,
) -> Result<Bytes, ApiError> {
    let patience = context.http.request_timeout;
    Ok(body::read(request, body::MAX_BYTES, patience, &context.metrics).await?)
}

/// Counts a publish that was not carried out.
fn count_refused_publish(error: ApiError, metrics: &Metrics) {
    let refused = &metrics.publishes_refused;
    let counter = match error {
        ApiError::Publish(PublishError::UnknownTopic) => &refused.unknown_topic,
        // The broker has counted it.
        ApiError::Publish(PublishError::Busy) => return,
        ApiError::Forbidden => &refused.forbidden,
        ApiError::Unread(Unread::Timeout | Unread::Truncated) => &refused.timeout,
        ApiError::NotFound
        | ApiError::Method
        | ApiError::NotReady
        | ApiError::Unread(Unread::TooLarge)
        | ApiError::Body(_) => &refused.bad_request,
    };
    counter.inc();
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_description_has_every_path_with_its_method_and_no_others() {
        let description: Value =
            serde_json::from_str(include_str!("../admin/openapi.json")).unwrap();
        let described: BTreeSet<(&str, String)> = description["paths"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(path, _)| path.starts_with("/internal/") || *path == "/readyz")
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                methods.map(move |method| (path.as_str(), method.to_ascii_uppercase()))
            })
            .collect();

        let method = |verb: Verb| verb.method().unwrap_or(Method::GET).to_string();
        let known = PATHS.iter().map(|(path, verb)| (*path, method(*verb))).collect();
        assert_eq!(described, known);
    }
}
