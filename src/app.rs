//! Puts the parts together, runs them, and ends them in order.
//!
//! The only place that sees the whole [`Config`]. Start reading at [`App::bind`] and
//! [`App::run`].

mod member;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use sd_notify::NotifyState;
use tokio::runtime::Handle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::member::{Joining, Member};
use crate::admin::Admin;
pub use crate::admin::live::InForce;
use crate::admin::live::{Live, LiveContext};
use crate::api::{self, ApiContext, Beside};
use crate::broker::Broker;
use crate::clock::Clock;
use crate::cluster::{Gap, Gaps};
use crate::config::{Config, ListenConfig};
use crate::hub::Hub;
use crate::link::{LinkContext, Troubled};
use crate::listener::Listener;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::shutdown::Shutdown;
use crate::ws::{EventLoop, Pages, Resync, Running, WsContext};

/// Time for the whole end. The process has to be gone within 2 s, and takes some to go.
const END: Duration = Duration::from_millis(1500);

/// Time for each step of the end: requests under way are answered; what was accepted is delivered;
/// browsers are told, and take it.
const LAST_STEP: Duration = Duration::from_millis(500);

/// Why the worker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be bound.
    #[error("{key} {port}: {problem}; {fix}")]
    Bind {
        /// The key of the configuration that names the port.
        key: &'static str,
        /// The port.
        port: u16,
        /// What the system says.
        problem: String,
        /// What to do.
        fix: &'static str,
    },
    /// The system refuses something else.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

/// Why a worker ended although nobody told it to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The thread for browsers cannot be started.
    #[error("cannot start threads: {0}; the system is short of them")]
    Thread(io::Error),
    /// The system has no random numbers.
    #[error("cannot join the cluster: {0}; the system has no random numbers")]
    Random(getrandom::Error),
    /// The thread for browsers has ended.
    #[error("browsers cannot be served any more; the log says why: start the worker again")]
    SocketsEnded,
}

/// A worker whose ports are bound.
pub struct App {
    ws: EventLoop,
    internal: Listener,
    ws_addr: SocketAddr,
    internal_addr: SocketAddr,
    config: Config,
    pages: Option<Pages>,
    in_force: InForce,
    metrics: Arc<Metrics>,
}

impl App {
    /// Binds both ports. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`] says which port, why, and what to do.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        let ListenConfig { ws_bind, ws_port, internal_bind, internal_port } = config.listen;
        let ws = Listener::bind(ws_bind, ws_port)
            .map_err(|error| StartError::bind("ws_port", ws_port, &error))?;
        let internal = Listener::bind(internal_bind, internal_port)
            .map_err(|error| StartError::bind("internal_port", internal_port, &error))?;
        let (ws_addr, internal_addr) = (ws.local_addr()?, internal.local_addr()?);
        let ws = EventLoop::new(ws)?;
        let (in_force, metrics) = (InForce::new(&[], &[], &[]), Arc::default());
        Ok(Self { ws, internal, ws_addr, internal_addr, config, pages: None, in_force, metrics })
    }

    /// Shows `in_force` in the live view as what is configured.
    #[must_use]
    pub fn showing(mut self, in_force: InForce) -> Self {
        self.in_force = in_force;
        self
    }

    /// What it counts, also before it runs.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Serves `pages` on the WebSocket port, beside `/ws`.
    #[must_use]
    pub fn with_pages(mut self, pages: Pages) -> Self {
        self.pages = Some(pages);
        self
    }

    /// Where browsers connect.
    pub fn ws_addr(&self) -> SocketAddr {
        self.ws_addr
    }

    /// Where PHP posts.
    pub fn internal_addr(&self) -> SocketAddr {
        self.internal_addr
    }

    /// Serves until `end` is cancelled, then ends in order: nobody new let in, requests under way
    /// answered, what was accepted delivered, every browser told with 1001. Takes less than
    /// 2 s for that, whatever clients do.
    ///
    /// # Errors
    ///
    /// [`RunError`] if it ended, or never began, for another reason.
    pub async fn run(self, end: CancellationToken) -> Result<(), RunError> {
        let Self { ws, internal, ws_addr, internal_addr, config, pages, in_force, metrics } = self;
        let shutdown = Shutdown::default();
        let clock = Clock::start();
        let hub = Hub::new(config.hub, Arc::clone(&metrics));
        let (registry, joined) = match config.cluster {
            Some(cluster) => {
                let joining =
                    Joining { topics: config.registry, hub: &hub, metrics: &metrics, clock };
                let (registry, member, gaps) = joining.join(cluster)?;
                (registry, Some((member, gaps)))
            }
            None => (Registry::new(config.registry), None),
        };
        let (member, gaps) = joined.unzip();
        let broker = Arc::new(Broker::new(
            registry,
            Arc::clone(&hub),
            config.secret,
            clock,
            Arc::clone(&metrics),
            member.as_ref().map(Member::membership),
        ));
        let links = Arc::new(LinkContext {
            backlog_bytes: config.session.backlog_bytes.get(),
            write_timeout: config.session.write_timeout,
            clock,
            metrics: Arc::clone(&metrics),
            troubled: Troubled::new(ws.waker()),
        });

        if let Some(member) = &member {
            member.ready().await;
        }
        let stopping = shutdown.stopping.clone();
        let live = Arc::new(Live::new(LiveContext {
            broker: Arc::clone(&broker),
            metrics: Arc::clone(&metrics),
            http: config.http.clone(),
            shutdown: shutdown.clone(),
            clock,
            port: internal_addr.port(),
            in_force,
        }));
        tokio::spawn(every_second(Arc::clone(&broker), Arc::clone(&live), stopping.clone()));
        let admin = Arc::new(Admin {
            broker: Arc::clone(&broker),
            metrics: Arc::clone(&metrics),
            http: config.http.clone(),
            shutdown: shutdown.clone(),
            live,
        });
        let beside: Beside =
            Arc::new(move |request, peer| Box::pin(Arc::clone(&admin).answer(request, peer)));
        let api = ApiContext {
            broker: Arc::clone(&broker),
            http: config.http.clone(),
            metrics: Arc::clone(&metrics),
            shutdown: shutdown.clone(),
            beside: Some(beside),
        };
        api::start(internal, &Arc::new(api), api_threads()).map_err(RunError::Thread)?;
        let ws = ws.run(WsContext {
            broker,
            session: config.session,
            http: config.http,
            links,
            metrics,
            requests: shutdown.requests.clone(),
            stopping: stopping.clone(),
            max_connections: max_connections(),
            pages,
        });
        let ws = ws.map_err(RunError::Thread)?;
        info!(ws = %ws_addr, internal = %internal_addr, "listening");
        tell_systemd(NotifyState::Ready);

        let ended_by_itself = tokio::select! {
            () = end.cancelled() => false,
            () = ws.ended() => true, // Cancel-safe. It says why, or panicked.
            () = pass_on(gaps, &ws) => true, // Never.
        };
        info!("shutting down");
        tell_systemd(NotifyState::Stopping);
        let by = Instant::now() + END;
        let step = || by.min(Instant::now() + LAST_STEP);
        stopping.cancel();
        shutdown.requests.close();
        let _ = timeout_at(step(), shutdown.requests.wait()).await;
        let leave = async {
            if let Some(member) = member {
                member.leave(step()).await;
            }
        };
        let _ = tokio::join!(timeout_at(step(), hub.drained()), leave);
        ws.close_all();
        let told = timeout_at(step(), ws.ended()).await.is_ok();
        info!(all_told = told, "ended");
        if ended_by_itself { Err(RunError::SocketsEnded) } else { Ok(()) }
    }
}

impl StartError {
    fn bind(key: &'static str, port: u16, error: &io::Error) -> Self {
        let (problem, fix) = match error.kind() {
            io::ErrorKind::AddrInUse => (
                "address already in use".to_owned(),
                "stop the program that has it (perhaps another worker), or choose another port",
            ),
            io::ErrorKind::PermissionDenied => (
                "permission denied".to_owned(),
                "choose a port above 1023, or give the worker the right to bind it",
            ),
            io::ErrorKind::AddrNotAvailable => (
                "this machine does not have that address".to_owned(),
                "correct the address to bind, or leave it empty for all of them",
            ),
            _ => (error.to_string(), "correct the address and port to bind"),
        };
        Self::Bind { key, port, problem, fix }
    }
}

/// Tells systemd how far the worker is, if that started it as `Type=notify`: so `systemctl start`
/// returns when browsers can connect, or with the error.
fn tell_systemd(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "systemd cannot be told how far the worker is");
    }
}

/// Threads of the internal port: one for every two of the runtime. One serves more publishes than
/// two cores can deliver.
fn api_threads() -> usize {
    (Handle::current().metrics().num_workers() / 2).max(1)
}

/// Connections that browsers may have: what the limit of open files leaves beside those that are
/// open already, when a twentieth of it, 16 at least and 256 at most, is kept for the internal port.
fn max_connections() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let open = std::fs::read_dir("/dev/fd").map_or(32, Iterator::count);
    limit.saturating_sub(open + (limit / 20).clamp(16, 256)).max(1)
}

/// Has browsers told what they may have missed. Never returns.
async fn pass_on(gaps: Option<Arc<Gaps>>, ws: &Running) {
    let Some(gaps) = gaps else {
        return std::future::pending().await;
    };
    loop {
        let topic = match gaps.next().await {
            Gap::All => None,
            Gap::Of(topic) => Some(topic.as_str().to_owned()),
        };
        ws.resync(Resync { topic, spread: gaps.spread() });
    }
}

/// Lets the registry give memory back, and the live view take a sample, every second.
async fn every_second(broker: Arc<Broker>, live: Arc<Live>, end: CancellationToken) {
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            _ = ticks.tick() => {} // Cancel-safe.
        }
        broker.tidy();
        live.tick();
    }
}
