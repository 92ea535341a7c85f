//! The internal port: PHP registers topics and publishes events.
//!
//! hyper reads HTTP; `handler` answers. Every wait has a deadline (`deadline`). Errors become
//! HTTP status codes in `answer` and nowhere else.

mod answer;
mod deadline;
mod handler;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tracing::debug;

use self::deadline::WatchedStream;
use crate::broker::Broker;
use crate::config::HttpConfig;
use crate::listener::Accepting;
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;

/// What every request of this port needs.
pub struct ApiContext {
    /// The verbs.
    pub broker: Arc<Broker>,
    /// Deadlines.
    pub http: HttpConfig,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// The end.
    pub shutdown: Shutdown,
}

/// Accepts connections until the node stops.
pub async fn serve(mut listener: Accepting, context: Arc<ApiContext>) {
    loop {
        let (stream, peer) = tokio::select! {
            () = context.shutdown.stopping.cancelled() => return,
            accepted = listener.accept() => accepted, // Cancel-safe: nothing accepted is lost.
        };
        context.shutdown.requests.spawn(serve_connection(stream, peer, Arc::clone(&context)));
    }
}

async fn serve_connection(stream: TcpStream, peer: SocketAddr, context: Arc<ApiContext>) {
    let (stream, progress) = WatchedStream::new(stream, context.http.request_timeout);
    let service = service_fn(|request| {
        let context = Arc::clone(&context);
        let request_under_way = progress.request_began();
        async move {
            let response = handler::handle(request, peer, &context).await;
            drop(request_under_way);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .title_case_headers(true)
        .half_close(true) // A client may end its side when it has asked.
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = context.shutdown.stopping.cancelled() => {
            connection.as_mut().graceful_shutdown(); // The request under way is still answered.
            connection.await
        }
    };
    if progress.timed_out() {
        context.metrics.http_timeouts.inc();
    }
    if let Err(error) = result {
        debug!(%error, "internal connection ended");
    }
}
