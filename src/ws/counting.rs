//! Which counter a refusal moves.
//!
//! Reasons are known here and names of metrics in `metrics`; this is where the two meet.

use super::request::Refusal;
use crate::broker::AuthError;
use crate::metrics::Metrics;
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
