//! Answers of the live view: JSON and files, with the headers that keep a page apart from all
//! others.
//!
//! The only place of the live view where what went wrong becomes an HTTP status.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    HeaderValue, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::super::Answer;
use crate::body::Unread;

/// Nothing but what the worker itself serves, and nobody may put the page into a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// Why a request was not carried out; it is told so in one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("there is nothing here")]
    NotFound,
    #[error("method not allowed")]
    Method(&'static str),
    #[error("sign in")]
    SignIn,
    #[error("that is not the worker's secret; it is worker_secret of its configuration")]
    WrongSecret,
    #[error("too many wrong secrets; try again in {0} s")]
    TooMany(u64),
    #[error("{0}")]
    Foreign(&'static str),
    #[error("{0}")]
    Malformed(&'static str),
    #[error(transparent)]
    Unread(#[from] Unread),
    #[error("the system has no random numbers")]
    NoRandom,
    #[error("topic not registered; PHP registers it when a page loads, or register it here")]
    UnknownTopic,
    #[error("busy: the topic has too much waiting; its browsers take less than is published")]
    Busy,
    #[error("too many topics are followed at once; close another")]
    TooManyTails,
    #[error("the worker is ending")]
    Ending,
}

/// What a refused request is told.
#[derive(Serialize)]
struct Told {
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_seconds: Option<u64>,
}

impl Refusal {
    /// The answer.
    pub(super) fn answer(self) -> Answer {
        let status = match self {
            Self::NotFound | Self::UnknownTopic => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::SignIn => StatusCode::UNAUTHORIZED,
            Self::WrongSecret | Self::Foreign(_) => StatusCode::FORBIDDEN,
            Self::TooMany(_) | Self::TooManyTails => StatusCode::TOO_MANY_REQUESTS,
            Self::Malformed(_) | Self::Unread(Unread::Truncated) => StatusCode::BAD_REQUEST,
            Self::Unread(Unread::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unread(Unread::Timeout) => StatusCode::REQUEST_TIMEOUT,
            Self::NoRandom | Self::Busy | Self::Ending => StatusCode::SERVICE_UNAVAILABLE,
        };
        let retry_seconds = match self {
            Self::TooMany(seconds) => Some(seconds),
            _ => None,
        };
        let mut answer = json(&Told { error: self.to_string(), retry_seconds });
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        if let Some(seconds) = retry_seconds {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Self::Method(allowed) = self {
            headers.insert(ALLOW, HeaderValue::from_static(allowed));
        }
        if matches!(self, Self::Unread(_)) {
            // What is left of the body would be taken for the next request.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

/// 200 with `document`.
pub(super) fn json(document: &impl Serialize) -> Answer {
    // Plain values: nothing here can fail to serialize.
    json_text(serde_json::to_vec(document).unwrap_or_default().into())
}

/// 200 with a document that is JSON already.
pub(super) fn json_text(text: Bytes) -> Answer {
    with_type("application/json", text)
}

/// 204: done, and there is nothing to say.
pub(super) fn done() -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()));
    *answer.status_mut() = StatusCode::NO_CONTENT;
    with_headers(answer)
}

/// 200 with `body`.
pub(super) fn with_type(content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    with_headers(answer)
}

/// The headers that every answer has.
fn with_headers(mut answer: Answer) -> Answer {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (CACHE_CONTROL, "no-store"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}
