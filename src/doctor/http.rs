//! One HTTP request over a connection that is there already, and the whole of what came back.
//!
//! Follows no redirect and believes nothing. Start reading at [`ask`].

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, DATE, HOST, HeaderName, HeaderValue, ORIGIN, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use tokio::time::timeout;

use super::upgrade::Heard;
use crate::client::tls::Stream;
use crate::secret::Secret;

/// Bytes that are kept of a body.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// A connection that has become a WebSocket's.
pub type Raw = TokioIo<Upgraded>;

/// Why nothing came back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unheard {
    /// Nothing in time.
    #[error("no answer within {0:?}")]
    Silent(Duration),
    /// An end, or no HTTP.
    #[error("no HTTP answer ({0})")]
    NotHttp(String),
    /// The secret cannot stand in a header.
    #[error("the secret has characters that HTTP cannot carry")]
    Secret,
}

/// A `GET` of `path` at `host`.
pub fn get(host: &str, path: &str) -> Request<Full<Bytes>> {
    request(Method::GET, host, path, String::new())
}

/// A `POST` to the internal API.
pub fn post(host: &str, path: &str, body: String) -> Request<Full<Bytes>> {
    request(Method::POST, host, path, body)
}

fn request(method: Method, host: &str, path: &str, body: String) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::from(body));
    *request.method_mut() = method;
    // What is no path is asked for as the root, and what comes back shows it.
    *request.uri_mut() = path.parse().unwrap_or_default();
    set(&mut request, HOST, host);
    set(&mut request, CONNECTION, "close");
    request
}

/// Sets a header, if it can be one.
pub fn set(request: &mut Request<Full<Bytes>>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        request.headers_mut().insert(name, value);
    }
}

/// Shows the secret, as PHP does.
///
/// # Errors
///
/// [`Unheard::Secret`].
pub fn show(request: &mut Request<Full<Bytes>>, secret: &Secret) -> Result<(), Unheard> {
    let mut value =
        HeaderValue::from_bytes(secret.expose().as_bytes()).map_err(|_| Unheard::Secret)?;
    value.set_sensitive(true);
    request.headers_mut().insert("x-worker-secret", value);
    Ok(())
}

/// Asks for a WebSocket, as a browser on a page of `origin` does, with `key`.
pub fn upgrade(host: &str, path: &str, key: &str, origin: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = get(host, path);
    set(&mut request, CONNECTION, "Upgrade");
    set(&mut request, UPGRADE, "websocket");
    set(&mut request, HeaderName::from_static("sec-websocket-version"), "13");
    set(&mut request, HeaderName::from_static("sec-websocket-key"), key);
    if let Some(origin) = origin {
        set(&mut request, ORIGIN, origin);
    }
    request
}

/// Sends `request` over `stream` and reads the answer; the connection itself if it was upgraded.
///
/// # Errors
///
/// [`Unheard`]; after `patience` at the latest.
pub async fn ask(
    stream: Stream,
    request: Request<Full<Bytes>>,
    patience: Duration,
) -> Result<(Heard, Option<Raw>), Unheard> {
    timeout(patience, exchange(stream, request)).await.unwrap_or(Err(Unheard::Silent(patience)))
}

async fn exchange(
    stream: Stream,
    request: Request<Full<Bytes>>,
) -> Result<(Heard, Option<Raw>), Unheard> {
    let not_http = |error: hyper::Error| Unheard::NotHttp(words(&error));
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(not_http)?;
    // It ends with the connection, which is ours.
    tokio::spawn(connection.with_upgrades());
    let mut response = sender.send_request(request).await.map_err(not_http)?;
    let status = response.status().as_u16();
    let headers = std::mem::take(response.headers_mut());
    if status == 101 {
        let upgraded = hyper::upgrade::on(response).await.map_err(not_http)?;
        let heard = Heard { status, headers, body: String::new() };
        return Ok((heard, Some(TokioIo::new(upgraded))));
    }
    let mut body = Vec::new();
    // What breaks off in the middle is judged by what came.
    while let Some(Ok(frame)) = response.frame().await {
        if let Some(bytes) = frame.data_ref() {
            body.extend_from_slice(bytes);
        }
        if body.len() > MAX_BODY_BYTES {
            body.truncate(MAX_BODY_BYTES);
            break;
        }
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok((Heard { status, headers, body }, None))
}

/// What the library says of a failure, in few words.
fn words(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        "the connection was closed".to_owned()
    } else if error.is_parse() {
        "something else than HTTP came".to_owned()
    } else {
        error.to_string()
    }
}

/// The clock of whoever answered, if it says what it shows: whole seconds.
pub fn date(heard: &Heard) -> Option<Timestamp> {
    let text = heard.headers.get(DATE)?.to_str().ok()?;
    // The zone is always GMT, which that format knows by its old name.
    let zoned = rfc2822::DateTimeParser::new().parse_zoned(text).ok()?;
    Some(zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read() {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, HeaderValue::from_static("Tue, 14 Nov 2023 22:13:20 GMT"));
        let heard = Heard { status: 200, headers, body: String::new() };

        assert_eq!(date(&heard).unwrap().as_second(), 1_700_000_000);
    }
}
