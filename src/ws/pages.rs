//! Pages beside `/ws`: whatever is not an upgrade goes to hyper, one request a connection.

use std::io::Cursor;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The answer to a request for a page.
pub type Page = Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send>>;

/// Answers requests for pages.
pub type Pages = Arc<dyn Fn(Request<Incoming>) -> Page + Send + Sync>;

/// Serves the one request that begins with the bytes in `begun`, then ends the connection, so
/// that the next request on it cannot be an upgrade that hyper would have to hand back.
pub(super) async fn serve(
    stream: std::net::TcpStream,
    begun: Vec<u8>,
    pages: &Pages,
    timeout: Duration,
) {
    let Ok(stream) = TcpStream::from_std(stream) else {
        return; // The system has no room for one more.
    };
    let (reader, writer) = stream.into_split();
    let io = TokioIo::new(tokio::io::join(Cursor::new(begun).chain(reader), writer));
    let service = service_fn(|request| {
        let page = pages(request);
        async move { Ok::<_, std::convert::Infallible>(page.await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeout)
        .keep_alive(false)
        .title_case_headers(true)
        .serve_connection(io, service);
    // A browser that leaves, or takes longer than any page should, concerns nobody.
    let _ = tokio::time::timeout(timeout * 3, connection).await;
}
