//! One HTTP request to a worker's internal port, with deadlines.
//!
//! Knows nothing of what is asked (`worker`). Start reading at [`call`].

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::address::{Address, ConnectError};
use crate::secret::Secret;

/// Time for the whole of it.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes that are read of an answer: the lists of a million topics fit.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody is there.
    #[error("{0}: {advice}", advice = .0.advice("--internal http://host:port"))]
    Connect(#[from] ConnectError),
    /// The secret is no value of a header.
    #[error(
        "worker_secret has characters that HTTP cannot carry; make another with `openssl rand -hex 32`"
    )]
    Secret,
    /// No whole answer in time.
    #[error("{0} took the request and did not answer within {secs} s: see its log", secs = CALL_TIMEOUT.as_secs())]
    Silent(Address),
    /// An end instead of an answer, or something that is not HTTP.
    #[error(
        "{0} gave no HTTP answer: is it the internal port of a worker? Otherwise say where that is with --internal http://host:port"
    )]
    NotHttp(Address),
}

/// Sends `request`, whose URI is a path, to `address` and reads the answer.
pub async fn call(
    address: &Address,
    secret: &Secret,
    mut request: Request<Full<Bytes>>,
) -> Result<Answer, CallError> {
    let header = HeaderValue::from_bytes(secret.expose().as_bytes());
    let mut secret = header.map_err(|_| CallError::Secret)?;
    secret.set_sensitive(true);
    request.headers_mut().insert("x-worker-secret", secret);
    let answered = timeout(CALL_TIMEOUT, exchange(address, request)).await;
    answered.unwrap_or_else(|_| Err(CallError::Silent(address.clone())))
}

/// Sends `request`, whose URI is a path, to `address` as it is and reads the answer.
pub(super) async fn exchange(
    address: &Address,
    mut request: Request<Full<Bytes>>,
) -> Result<Answer, CallError> {
    let host = HeaderValue::try_from(address.to_string());
    let headers = request.headers_mut();
    headers.insert(HOST, host.map_err(|_| CallError::NotHttp(address.clone()))?);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));

    let stream = address.open().await?;
    let not_http = |_| CallError::NotHttp(address.clone());
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(not_http)?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(not_http)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
    let body = body.map_err(|_| CallError::NotHttp(address.clone()))?.to_bytes();
    driver.abort(); // All is said.
    Ok(Answer { status, body })
}
