//! What is kept of a refusal: which counter it moves, which problem it is, and whose.
//!
//! Reasons are known in `ws`, the names of metrics in `metrics` and the problems in `problems`;
//! this is where they meet.

use super::request::{Head, Refusal, Target};
use crate::broker::AuthError;
use crate::client_addr::ClientAddr;
use crate::metrics::Metrics;
use crate::problems::{Kind, quoted};
use crate::token::TokenError;

/// Counts a request that does not become a WebSocket, if that is what it wanted to be.
pub(super) fn count_refusal(refusal: Refusal, metrics: &Metrics) {
    let handshakes = &metrics.handshakes;
    let counter = match refusal {
        Refusal::UnknownTopic => &handshakes.unknown_topic,
        Refusal::Away => &handshakes.redis_away,
        Refusal::Malformed
        | Refusal::TooLarge
        | Refusal::MissingTopic
        | Refusal::NoUpgrade
        | Refusal::NotGet => &handshakes.bad_request,
        Refusal::NotFound | Refusal::WrongMethod | Refusal::Draining => return,
    };
    counter.inc();
}

/// Counts a browser that is not let in.
pub(super) fn count_auth_failure(reason: AuthError, metrics: &Metrics) {
    metrics.auth_failures.inc();
    let by = &metrics.auth_failures_by;
    let counter = match reason {
        AuthError::NoAuthFrame => &by.no_auth_frame,
        AuthError::NoToken => &by.no_token,
        AuthError::Token(TokenError::Malformed) => &by.malformed,
        AuthError::Token(TokenError::BadSignature) => &by.bad_signature,
        AuthError::Token(TokenError::Expired { .. }) => &by.expired,
        AuthError::Token(TokenError::NoGrant) => &by.no_grant,
        AuthError::Token(TokenError::OtherTopic) => &by.other_topic,
        AuthError::TopicGone => &by.topic_gone,
    };
    counter.inc();
}

/// What kind of problem a refused login is.
pub(super) fn kind_of(reason: &AuthError) -> Kind {
    match reason {
        AuthError::NoAuthFrame => Kind::NoAuthFrame,
        AuthError::NoToken => Kind::NoToken,
        AuthError::TopicGone => Kind::TopicGone,
        AuthError::Token(TokenError::Malformed) => Kind::TokenMalformed,
        AuthError::Token(TokenError::BadSignature) => Kind::TokenSignature,
        AuthError::Token(TokenError::Expired { .. }) => Kind::TokenExpired,
        AuthError::Token(TokenError::NoGrant) => Kind::TokenOpensNothing,
        AuthError::Token(TokenError::OtherTopic) => Kind::TokenOtherTopic,
    }
}

/// The topic and the client of a handshake, for people.
pub(super) fn whose(topic: &str, client: ClientAddr) -> String {
    format!("topic {}, client {client}", quoted(topic))
}

/// The same of a request for a topic that is not registered.
pub(super) fn unknown_topic(head: &Head) -> String {
    let topic = match &head.target {
        Target::WebSocket { topic: Some(topic), .. } => String::from_utf8_lossy(topic),
        _ => "".into(),
    };
    whose(&topic, head.client)
}
