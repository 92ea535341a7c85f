//! Answers of the internal API, to the byte as PHP knows them.
//!
//! The only place where what went wrong becomes an HTTP status.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};

use crate::body::Unread;
use crate::broker::PublishError;
use crate::protocol::request::BodyError;

/// An answer.
pub(super) type Answer = Response<Full<Bytes>>;

/// Why a request was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ApiError {
    #[error("404 page not found")]
    NotFound,
    #[error("method not allowed")]
    Method,
    #[error("forbidden")]
    Forbidden,
    #[error("redis not connected")]
    NotReady,
    #[error(transparent)]
    Unread(#[from] Unread),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl ApiError {
    /// The answer, as Go's `http.Error` writes it.
    pub(super) fn answer(self) -> Answer {
        let (status, text) = match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "404 page not found\n"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden\n"),
            Self::NotReady => (StatusCode::SERVICE_UNAVAILABLE, "redis not connected\n"),
            Self::Unread(Unread::Timeout) => (StatusCode::REQUEST_TIMEOUT, "request timeout\n"),
            Self::Unread(Unread::TooLarge | Unread::Truncated)
            | Self::Body(BodyError::Malformed) => (StatusCode::BAD_REQUEST, "bad request\n"),
            Self::Body(BodyError::MissingTopic) => (StatusCode::BAD_REQUEST, "missing topic\n"),
            Self::Body(BodyError::MissingPayload) => (StatusCode::BAD_REQUEST, "missing payload\n"),
            Self::Publish(PublishError::UnknownTopic) => {
                (StatusCode::NOT_FOUND, "topic not registered\n")
            }
            Self::Publish(PublishError::Busy) => (StatusCode::SERVICE_UNAVAILABLE, "busy\n"),
        };
        let mut answer =
            with_type(status, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()));
        answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if matches!(self, Self::Unread(_)) {
            // What is left of the body would be taken for the next request.
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

/// Carried out: 200 without a body.
pub(super) fn done() -> Answer {
    Response::new(Full::new(Bytes::new()))
}

/// 200 with a JSON document and a newline.
pub(super) fn json(mut document: String) -> Answer {
    document.push('\n');
    with_type(StatusCode::OK, "application/json", document.into())
}

/// 200 `ok`, as `/readyz` says it: without a newline.
pub(super) fn ready() -> Answer {
    with_type(StatusCode::OK, "text/plain; charset=utf-8", Bytes::from_static(b"ok"))
}

fn with_type(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
