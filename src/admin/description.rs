//! `/openapi.json`: the description of the internal API (OpenAPI 3.1), which is part of the
//! program.
//!
//! It is written by hand in `openapi.json` beside this file, and held to the code by
//! `tests/it/openapi.rs`, `api::handler` and `make test-api`.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};

use super::{Answer, text};

/// The description.
const DESCRIPTION: &str = include_str!("openapi.json");

/// Gives the description to whoever asks for it by GET or HEAD; it holds nothing that is secret.
pub(super) fn answer(method: &Method) -> Answer {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    let mut answer = Response::new(Full::new(Bytes::from_static(DESCRIPTION.as_bytes())));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // After an upgrade it is another.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}
