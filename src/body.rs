//! The body of a request to the internal port: read with a bound and a deadline.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::header::EXPECT;
use tokio::time::timeout;

use crate::metrics::Metrics;

/// Bytes that a body may have.
pub const MAX_BYTES: usize = 1024 * 1024;

/// Bytes of a refused body that are still read, so that the client gets to read the answer.
const MAX_UNWANTED_BYTES: usize = 4 * 1024 * 1024;

/// Time for that.
const UNWANTED_PATIENCE: Duration = Duration::from_secs(1);

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// It is larger than it may be.
    #[error("the body is too large")]
    TooLarge,
    /// The connection ended within it, or it is no HTTP.
    #[error("the body did not come whole")]
    Truncated,
    /// The deadline came before its end.
    #[error("the body did not come in time")]
    Timeout,
}

/// Reads the whole body, which usually has come in one piece and is not copied then.
///
/// # Errors
///
/// [`Unread`], if it has more than `most` bytes or takes longer than `patience`, which is
/// counted.
pub async fn read(
    request: &mut Request<Incoming>,
    most: usize,
    patience: Duration,
    metrics: &Metrics,
) -> Result<Bytes, Unread> {
    let body = request.body_mut();
    if body.size_hint().lower() > most as u64 {
        return Err(Unread::TooLarge);
    }
    match timeout(patience, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooLarge),
        Ok(Err(_)) => Err(Unread::Truncated),
        Err(_) => {
            metrics.http_timeouts.inc();
            Err(Unread::Timeout)
        }
    }
}

/// Reads what a client sends although it was refused, for a second at most: closing over something
/// unread would reset the connection, and the answer could be lost.
pub async fn take_unwanted(request: &mut Request<Incoming>) {
    // Who waits for our 100 has not sent a body, and is not to be asked for it.
    if request.headers().contains_key(EXPECT) {
        return;
    }
    let body = request.body_mut();
    let take = async {
        let mut taken = 0;
        while let Some(Ok(frame)) = body.frame().await {
            taken += frame.data_ref().map_or(0, Bytes::len);
            if taken > MAX_UNWANTED_BYTES {
                return;
            }
        }
    };
    let _ = timeout(UNWANTED_PATIENCE, take).await;
}
