//! A client of the internal API, as PHP is one: for the demo and for the shell.
//!
//! One connection a call, with PHP's deadline for connecting. Knows nothing of this process's own
//! broker, so what it does goes the way that PHP's calls go.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::secret::Secret;

/// Time to connect, as PHP gives it.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// Time for the whole call.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody listens there, or the machine cannot be reached.
    #[error("cannot connect to {address}: {problem}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// What the system says.
        problem: String,
    },
    /// It took longer than five seconds.
    #[error("no answer in time")]
    Timeout,
    /// What answered does not speak HTTP, or the connection broke.
    #[error("connection broke: {0}")]
    Broken(#[from] hyper::Error),
    /// The request cannot be written: the secret has bytes that a header cannot carry.
    #[error("request cannot be written: {0}")]
    Request(#[from] hyper::http::Error),
}

/// Calls `path` with `secret` and returns the status and the body.
///
/// # Errors
///
/// [`CallError`] if there was no answer; an answer of any status is one.
pub async fn call(
    address: SocketAddr,
    secret: &Secret,
    method: Method,
    path: &str,
    body: String,
) -> Result<(StatusCode, Bytes), CallError> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, address.to_string())
        .header("X-Worker-Secret", secret.expose())
        .body(Full::new(Bytes::from(body)))?;
    let refused = |problem| CallError::Connect { address, problem };
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|_| refused("timed out".into()))?
        .map_err(|error| refused(error.to_string()))?;
    let exchange = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let answer = async move {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            Ok((status, answer.into_body().collect().await?.to_bytes()))
        };
        // The connection ends by itself when the sender is gone.
        let (_, answer) = tokio::join!(connection, answer);
        answer
    };
    timeout(CALL_TIMEOUT, exchange).await.map_err(|_| CallError::Timeout)?
}
