//! Answers one request of the internal API.
//!
//! The order of the checks is part of the contract: path, method, secret, body, topic
//! (docs/protocol.md, "Internal API").

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::EXPECT;
use hyper::{Method, Request};
use tokio::time::timeout;
use tracing::info;

use super::ApiContext;
use super::answer::{self, Answer, ApiError};
use crate::broker::{PublishError, StatusDetail};
use crate::metrics::Metrics;
use crate::protocol::query;
use crate::protocol::request::{Publish, Register, parse_unregister};
use crate::registry::TopicMeta;

/// Bytes that a body may have.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Bytes of a refused body that are still read, so that the client gets to read the answer.
const MAX_UNWANTED_BYTES: usize = 4 * 1024 * 1024;

/// Time for that.
const UNWANTED_PATIENCE: Duration = Duration::from_secs(1);

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

impl Verb {
    /// What a request to `path` wants; `None` if that is not PHP's.
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/internal/register" => Self::Register,
            "/internal/unregister" => Self::Unregister,
            "/internal/publish" | "/internal/push" => Self::Publish,
            "/internal/status" => Self::Status,
            "/internal/nodes" => Self::Nodes,
            "/readyz" => Self::Ready,
            _ => return None,
        })
    }
}

/// Answers `request`.
pub(super) async fn handle(
    mut request: Request<Incoming>,
    peer: SocketAddr,
    context: &ApiContext,
) -> Answer {
    let Some(verb) = Verb::of(request.uri().path()) else {
        return match &context.beside {
            Some(beside) => beside(request, peer).await,
            None => ApiError::NotFound.answer(),
        };
    };
    match carry_out(verb, &mut request, context).await {
        Ok(answer) => answer,
        Err(error) => {
            if verb == Verb::Publish {
                count_refused_publish(error, &context.metrics);
            }
            if error == ApiError::Forbidden {
                info!(client = %peer.ip().to_canonical(), "call without the right secret refused");
            }
            // Who waits for our 100 has not sent a body, and is not to be asked for it.
            if !request.headers().contains_key(EXPECT) {
                let _ = timeout(UNWANTED_PATIENCE, take_unwanted(request.body_mut())).await;
            }
            error.answer()
        }
    }
}

async fn carry_out(
    verb: Verb,
    request: &mut Request<Incoming>,
    context: &ApiContext,
) -> Result<Answer, ApiError> {
    let method = match verb {
        // For anybody, by any method.
        Verb::Ready if context.broker.is_ready() => return Ok(answer::ready()),
        Verb::Ready => return Err(ApiError::NotReady),
        Verb::Status | Verb::Nodes => Method::GET,
        Verb::Register | Verb::Unregister | Verb::Publish => Method::POST,
    };
    if request.method() != method {
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
            broker.publish(&topic, payload).await?;
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

/// Counts a publish that was not carried out.
fn count_refused_publish(error: ApiError, metrics: &Metrics) {
    let refused = &metrics.publishes_refused;
    let counter = match error {
        ApiError::Publish(PublishError::UnknownTopic) => &refused.unknown_topic,
        // The broker has counted it.
        ApiError::Publish(PublishError::Busy) => return,
        ApiError::Forbidden => &refused.forbidden,
        ApiError::Timeout | ApiError::Truncated => &refused.timeout,
        ApiError::NotFound
        | ApiError::Method
        | ApiError::NotReady
        | ApiError::TooLarge
        | ApiError::Body(_) => &refused.bad_request,
    };
    counter.inc();
}

/// Reads the whole body, which usually has come in one piece and is not copied then.
async fn read_body(
    request: &mut Request<Incoming>,
    context: &ApiContext,
) -> Result<Bytes, ApiError> {
    let body = request.body_mut();
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(ApiError::TooLarge);
    }
    let whole = Limited::new(body, MAX_BODY_BYTES).collect();
    match timeout(context.http.request_timeout, whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::TooLarge),
        Ok(Err(_)) => Err(ApiError::Truncated),
        Err(_) => {
            context.metrics.http_timeouts.inc();
            Err(ApiError::Timeout)
        }
    }
}

/// Reads what a client sends although it was refused: closing over something unread would reset
/// the connection, and the answer could be lost.
async fn take_unwanted(body: &mut Incoming) {
    let mut taken = 0;
    while let Some(Ok(frame)) = body.frame().await {
        taken += frame.data_ref().map_or(0, Bytes::len);
        if taken > MAX_UNWANTED_BYTES {
            return;
        }
    }
}
