//! What anybody may ask a running worker: whether it is ready, lives, or takes browsers.
//!
//! For the health checks of containers, which have neither a secret nor patience. Start reading at
//! [`ask`].

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode, Uri};
use tokio::time::timeout;

use super::address::{Address, ConnectError};
use super::http::{self, CallError};

/// Time for the whole question. With the start of a process it stays below 2 s.
const PATIENCE: Duration = Duration::from_millis(1500);

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// `/readyz` of the internal port: it serves, in a cluster with Redis.
    Ready,
    /// `/livez` of the internal port: it answers at all.
    Live,
    /// `/healthz` of the WebSocket port: it takes browsers.
    TakesBrowsers,
}

/// Why the answer is no. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The configuration leaves the port to the system.
    #[error("{0} is 0, so the worker has any free one: give it a port in the configuration")]
    NoPort(&'static str),
    /// Nobody is there.
    #[error("{0}: start the worker, or correct {1} in the configuration that this command reads")]
    Connect(ConnectError, &'static str),
    /// No whole answer in time.
    #[error("{0} does not answer within {secs} s: see its log", secs = PATIENCE.as_secs_f32())]
    Silent(Address),
    /// Something that is not HTTP.
    #[error("{0} gives no HTTP answer: another program has the port of {1}")]
    NotHttp(Address, &'static str),
    /// 503 `redis not connected`.
    #[error(
        "{0} is not ready: redis not connected; it serves its own browsers until Redis is back"
    )]
    WithoutRedis(Address),
    /// 503 `draining`.
    #[error("{0} is ending: new browsers have to go to another node")]
    Draining(Address),
    /// 404: an older worker, or something else.
    #[error(
        "{address} does not know {path}: it is an older worker or another program; update it, or correct {key}"
    )]
    Unknown {
        /// Who was asked.
        address: Address,
        /// For what.
        path: &'static str,
        /// The key that names its port.
        key: &'static str,
    },
    /// Another answer.
    #[error("{address} answers {status} to {path}; see its log")]
    Other {
        /// Who was asked.
        address: Address,
        /// For what.
        path: &'static str,
        /// The answer's number.
        status: u16,
    },
}

impl Question {
    /// The path that answers it.
    fn path(self) -> &'static str {
        match self {
            Self::Ready => "/readyz",
            Self::Live => "/livez",
            Self::TakesBrowsers => "/healthz",
        }
    }

    /// The key that names the port.
    fn key(self) -> &'static str {
        match self {
            Self::Ready | Self::Live => "internal_port",
            Self::TakesBrowsers => "ws_port",
        }
    }
}

/// Asks the worker whose port is at `address`; takes 1.5 s at most.
///
/// # Errors
///
/// [`HealthError`] if the answer is anything but yes.
pub async fn ask(question: Question, address: &Address) -> Result<(), HealthError> {
    let (path, key) = (question.path(), question.key());
    if !address.has_port() {
        return Err(HealthError::NoPort(key));
    }
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.uri_mut() = Uri::from_static(path);
    let address = address.clone();
    let answer = match timeout(PATIENCE, http::exchange(&address, request)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(CallError::Connect(error))) => return Err(HealthError::Connect(error, key)),
        Ok(Err(CallError::NotHttp(_) | CallError::Secret)) => {
            return Err(HealthError::NotHttp(address, key));
        }
        Ok(Err(CallError::Silent(_))) | Err(_) => return Err(HealthError::Silent(address)),
    };
    Err(match (answer.status, answer.body.trim_ascii()) {
        (StatusCode::OK, b"ok") => return Ok(()),
        (StatusCode::SERVICE_UNAVAILABLE, b"redis not connected") => {
            HealthError::WithoutRedis(address)
        }
        (StatusCode::SERVICE_UNAVAILABLE, b"draining") => HealthError::Draining(address),
        (StatusCode::NOT_FOUND, _) => HealthError::Unknown { address, path, key },
        (status, _) => HealthError::Other { address, path, status: status.as_u16() },
    })
}
