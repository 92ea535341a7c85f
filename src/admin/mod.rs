//! Beside the internal API, on the same port: what an operator looks at.
//!
//! `api` hands over every request whose path it does not know, and serves what comes back. What is
//! seen here comes from the broker and from what is counted; something is changed only through the
//! broker's verbs. The page for people, with what it asks for, is [`live`]. Start reading at
//! [`Admin::answer`].

pub mod live;

mod description;
mod metrics;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Request, Response, StatusCode};

use self::live::Live;
use crate::broker::Broker;
use crate::config::HttpConfig;
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;

/// An answer.
type Answer = Response<Full<Bytes>>;

/// Everything that is looked at.
pub struct Admin {
    /// The verbs.
    pub broker: Arc<Broker>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Deadlines and proxies.
    pub http: HttpConfig,
    /// The end.
    pub shutdown: Shutdown,
    /// The page for people.
    pub live: Arc<Live>,
}

impl Admin {
    /// Answers `request` of `peer`.
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr) -> Answer {
        if live::is_live(request.uri().path()) {
            return self.live.answer(request, peer).await;
        }
        match request.uri().path() {
            // By any method, as `/readyz`: whoever gets this far knows that the process lives.
            "/livez" => text(StatusCode::OK, "ok"),
            "/openapi.json" => description::answer(request.method()),
            "/metrics" => metrics::answer(&self, &request, peer).await,
            _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }
}

/// A plain text.
fn text(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
