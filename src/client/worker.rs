//! A running worker, as the tools talk to it: the verbs of the internal API.
//!
//! The only place where an HTTP status becomes words for a person. Start reading at [`Worker`].

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, StatusCode};
use serde_json::value::RawValue;

use super::address::Address;
use super::http::{self, Answer, CallError};
use crate::protocol::json;
use crate::secret::Secret;

/// A worker that has the secret, if it is the right one.
#[derive(Debug)]
pub struct Worker {
    address: Address,
    secret: Secret,
}

/// Why a worker did not do what it was asked for. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// There is no secret to show.
    #[error("{0}")]
    NoSecret(String),
    /// The configuration leaves the port to the system.
    #[error(
        "internal_port is 0, so the worker has any free one: say which with --internal http://host:port"
    )]
    NoPort,
    /// It could not be asked.
    #[error(transparent)]
    Call(#[from] CallError),
    /// 403.
    #[error(
        "{0}: the worker refuses this secret: give the worker_secret that it was started with, in the configuration or as WORKER_SECRET"
    )]
    Forbidden(Address),
    /// 404 from a worker.
    #[error("topic {topic:?} is not registered: add --register, or let PHP register it")]
    UnknownTopic {
        /// The topic that was named.
        topic: String,
    },
    /// 404 from something else.
    #[error(
        "{0} does not know this request: it is not the internal port of a worker (perhaps the one for browsers); say where that is with --internal http://host:port"
    )]
    OtherPort(Address),
    /// 404 where the nodes of the cluster are asked for.
    #[error(
        "{0} cannot say which nodes there are: it is an older worker, or not the internal port of one; update it, or say where another is with --internal http://host:port"
    )]
    NoRoster(Address),
    /// 503.
    #[error("the worker is busy: browsers take less than is published to the topic; try again")]
    Busy,
    /// Another status.
    #[error("{address}: the worker answers {status} {text:?}; see its log")]
    Other {
        /// Whom it comes from.
        address: Address,
        /// Its number.
        status: u16,
        /// The first line of its body.
        text: String,
    },
}

impl WorkerError {
    /// Whether it may go away by itself.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NoSecret(_)
            | Self::NoPort
            | Self::Call(CallError::Secret)
            | Self::Forbidden(_)
            | Self::UnknownTopic { .. }
            | Self::OtherPort(_)
            | Self::NoRoster(_) => false,
            Self::Call(_) | Self::Busy => true,
            Self::Other { status, .. } => *status >= 500,
        }
    }
}

impl Worker {
    /// The worker whose internal port is at `address`.
    ///
    /// # Errors
    ///
    /// [`WorkerError::NoPort`] if the address has none.
    pub fn at(address: Address, secret: Secret) -> Result<Self, WorkerError> {
        if address.has_port() { Ok(Self { address, secret }) } else { Err(WorkerError::NoPort) }
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Registers `topic`, or renews it.
    pub async fn register(&self, topic: &str, require_token: bool) -> Result<(), WorkerError> {
        let mut body = String::from("{\"topic\":");
        json::write_string(topic, &mut body);
        body.push_str(&format!(",\"meta\":{{\"require_token\":{require_token}}}}}"));
        self.ask(Method::POST, "/internal/register", body, topic).await.map(drop)
    }

    /// Publishes `payload` to `topic`.
    pub async fn publish(&self, topic: &str, payload: &RawValue) -> Result<(), WorkerError> {
        let mut body = String::from("{\"topic\":");
        json::write_string(topic, &mut body);
        body.push_str(&format!(",\"payload\":{}}}", payload.get()));
        self.ask(Method::POST, "/internal/publish", body, topic).await.map(drop)
    }

    /// The status document as it comes, with the lists of topics if `topics`.
    pub async fn status(&self, topics: bool) -> Result<Bytes, WorkerError> {
        let path = if topics { "/internal/status?v=2&topics=1" } else { "/internal/status?v=2" };
        self.ask(Method::GET, path, String::new(), "").await
    }

    /// All nodes of the cluster, as the document comes.
    pub async fn nodes(&self) -> Result<Bytes, WorkerError> {
        let answer = self.ask(Method::GET, "/internal/nodes", String::new(), "").await;
        answer.map_err(|error| match error {
            WorkerError::OtherPort(address) => WorkerError::NoRoster(address),
            error => error,
        })
    }

    async fn ask(
        &self,
        method: Method,
        path: &'static str,
        body: String,
        topic: &str,
    ) -> Result<Bytes, WorkerError> {
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = hyper::Uri::from_static(path);
        let answer = http::call(&self.address, &self.secret, request).await?;
        self.judge(answer, topic)
    }

    fn judge(&self, Answer { status, body }: Answer, topic: &str) -> Result<Bytes, WorkerError> {
        let address = || self.address.clone();
        let text = String::from_utf8_lossy(&body);
        Err(match status {
            StatusCode::OK => return Ok(body),
            StatusCode::FORBIDDEN => WorkerError::Forbidden(address()),
            StatusCode::NOT_FOUND if text.trim() == "topic not registered" => {
                WorkerError::UnknownTopic { topic: topic.to_owned() }
            }
            StatusCode::NOT_FOUND => WorkerError::OtherPort(address()),
            StatusCode::SERVICE_UNAVAILABLE if text.trim() == "busy" => WorkerError::Busy,
            _ => {
                const MOST_CHARS: usize = 80;
                let line = text.lines().next().unwrap_or_default();
                let text = line.chars().take(MOST_CHARS).collect();
                WorkerError::Other { address: address(), status: status.as_u16(), text }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::address;
    use super::*;

    fn judged(status: u16, body: &'static str) -> WorkerError {
        let secret = Secret::new("-".repeat(32)).unwrap();
        let worker = Worker { address: address::internal("http://h:9001").unwrap(), secret };
        let status = StatusCode::from_u16(status).unwrap();
        worker.judge(Answer { status, body: Bytes::from(body) }, "t").unwrap_err()
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        for (status, body, words) in [
            (403, "forbidden\n", "h:9001: the worker refuses this secret: give the"),
            (404, "topic not registered\n", "topic \"t\" is not registered: add --register"),
            (404, "404 page not found\n", "h:9001 does not know this request: it is not the"),
            (503, "busy\n", "the worker is busy"),
            (503, "\u{1b}[31mno\nmore", "answers 503 \"\\u{1b}[31mno\""),
            (400, "bad request\n", "answers 400 \"bad request\""),
        ] {
            let error = judged(status, body).to_string();

            assert!(error.contains(words), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn what_may_pass_is_known() {
        assert!(judged(503, "busy\n").may_pass());
        assert!(judged(502, "").may_pass());
        assert!(!judged(403, "forbidden\n").may_pass());
        assert!(!judged(400, "bad request\n").may_pass());
    }
}
