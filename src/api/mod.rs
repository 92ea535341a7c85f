//! The internal port: PHP registers topics and publishes events.
//!
//! `quick` serves the usual calls by itself, hyper reads all other HTTP and `handler` answers.
//! Every wait has a deadline (`deadline`). Errors become HTTP status codes in `answer` and nowhere
//! else. The port has threads of its own, each with a runtime that shares nothing, so that a
//! publish wakes nobody but the thread that serves it, and waits for no drain of a long list. Paths
//! that are not PHP's go to whoever is [`Beside`].
//! Start reading at [`start`].

mod answer;
mod deadline;
mod handler;
mod quick;

use std::convert::Infallible;
use std::io::{self, Cursor};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::debug;

use self::deadline::WatchedStream;
use crate::broker::Broker;
use crate::config::HttpConfig;
use crate::listener::{Accepting, Listener};
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
    /// Who answers what is not PHP's; if nobody does, it is 404.
    pub beside: Option<Beside>,
}

/// An answer that somebody beside the API gives.
pub type BesideAnswer = Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send>>;

/// Answers requests whose path is not one of the API, with who asks.
pub type Beside = Arc<dyn Fn(Request<Incoming>, SocketAddr) -> BesideAnswer + Send + Sync>;

/// A connection that one thread accepted for another, and what the end waits for it by.
type Handed = (std::net::TcpStream, SocketAddr, TaskTrackerToken);

/// Connections that may be on their way to a thread.
const HANDED: usize = 1024;

/// Serves what comes to `listener` on `threads` threads, at least one, until the node stops.
///
/// # Errors
///
/// Those of the system: no more files or threads.
pub fn start(listener: Listener, context: &Arc<ApiContext>, threads: usize) -> io::Result<()> {
    let mut others = Vec::new();
    for _ in 1..threads {
        let (sender, receiver) = mpsc::channel(HANDED);
        spawn(runtime()?, context, |context| take_over(receiver, context))?;
        others.push(sender);
    }
    let runtime = runtime()?;
    let listener = {
        let _inside = runtime.enter();
        listener.accepting()?
    };
    spawn(runtime, context, |context| accept(listener, others, context))
}

/// A runtime for one thread.
fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Runs the future that `make` makes on a thread of its own, and then whatever it has spawned until
/// that is over.
fn spawn<F: Future<Output = ()>>(
    runtime: Runtime,
    context: &Arc<ApiContext>,
    make: impl FnOnce(Arc<ApiContext>) -> F + Send + 'static,
) -> io::Result<()> {
    let context = Arc::clone(context);
    // The end waits for this, so that nothing is accepted behind its back.
    let at_work = context.shutdown.requests.token();
    thread::Builder::new().name("api".to_owned()).spawn(move || {
        let requests = context.shutdown.requests.clone();
        runtime.block_on(async {
            make(context).await;
            drop(at_work);
            requests.wait().await;
        });
    })?;
    Ok(())
}

/// Accepts connections and shares them out, this thread having its share, until the node stops.
async fn accept(
    mut listener: Accepting,
    others: Vec<mpsc::Sender<Handed>>,
    context: Arc<ApiContext>,
) {
    for turn in (0..=others.len()).cycle() {
        let (stream, peer) = tokio::select! {
            () = context.shutdown.stopping.cancelled() => return,
            accepted = listener.accept() => accepted, // Cancel-safe: nothing accepted is lost.
        };
        let Some(other) = others.get(turn) else {
            context.shutdown.requests.spawn(serve_connection(stream, peer, Arc::clone(&context)));
            continue;
        };
        if let Ok(stream) = stream.into_std() {
            // Waits only if the other is hopelessly behind; it ends no sooner than we do.
            let _ = other.send((stream, peer, context.shutdown.requests.token())).await;
        }
    }
}

/// Serves what is handed to this thread, until no more will be.
async fn take_over(mut handed: mpsc::Receiver<Handed>, context: Arc<ApiContext>) {
    while let Some((stream, peer, _token)) = handed.recv().await {
        if let Ok(stream) = TcpStream::from_std(stream) {
            context.shutdown.requests.spawn(serve_connection(stream, peer, Arc::clone(&context)));
        }
    }
}

async fn serve_connection(mut stream: TcpStream, peer: SocketAddr, context: Arc<ApiContext>) {
    let Some(begun) = quick::serve(&mut stream, &context).await else {
        return;
    };
    // Boxed: most connections never need it.
    Box::pin(serve_anything(stream, begun, peer, context)).await;
}

/// Serves whatever comes on a connection from which `begun` has been read.
async fn serve_anything(
    stream: TcpStream,
    begun: Bytes,
    peer: SocketAddr,
    context: Arc<ApiContext>,
) {
    let (reader, writer) = stream.into_split();
    let stream = tokio::io::join(Cursor::new(begun).chain(reader), writer);
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
        biased; // A request that has been read is under way, also if the end comes just now.
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;
    use crate::clock::Clock;
    use crate::config::{HubConfig, RegistryConfig};
    use crate::hub::Hub;
    use crate::registry::Registry;
    use crate::secret::Secret;

    fn context() -> Arc<ApiContext> {
        let metrics = Arc::<Metrics>::default();
        let hub = HubConfig { outbox_bytes: NonZeroUsize::MAX };
        let registry = RegistryConfig { topic_ttl: Duration::from_secs(60) };
        let broker = Broker::new(
            Registry::new(registry),
            Hub::new(hub, Arc::clone(&metrics)),
            Secret::new("-".repeat(32)).unwrap(),
            Clock::start(),
            Arc::clone(&metrics),
            None,
        );
        let http = HttpConfig {
            request_timeout: Duration::from_secs(10),
            trusted_proxies: vec![],
            metrics_allow: vec![],
        };
        let (broker, shutdown) = (Arc::new(broker), Shutdown::default());
        Arc::new(ApiContext { broker, http, metrics, shutdown, beside: None })
    }

    #[tokio::test]
    async fn a_request_that_was_read_before_the_end_is_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let context = context();
        context.shutdown.stopping.cancel();

        for _ in 0..32 {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, peer) = listener.accept().await.unwrap();
            let begun = Bytes::from_static(b"GET /readyz HTTP/1.1\r\n\r\n");
            serve_anything(stream, begun, peer, Arc::clone(&context)).await;

            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer:?}");
        }
    }
}
