//! The live view: a page that shows whether all is well, and what is wrong if it is not.
//!
//! The page ([`assets`]) asks for JSON: `state` has the figures, `tail` follows one topic,
//! `publish` sends a test event, `config` says what is in force. A person signs in with the
//! worker's secret ([`attempts`], [`sessions`]); nothing but the page itself is told to anybody
//! else, and nothing is changed by a request that another site had a part in ([`guard`]). Start
//! reading at [`Live::answer`].

mod answer;
mod assets;
mod attempts;
mod guard;
mod history;
mod sessions;
mod settings;
mod state;
mod verbs;

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{HeaderValue, SET_COOKIE};
use hyper::{Method, Request};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tracing::info;
use zeroize::Zeroizing;

use self::answer::Refusal;
use self::assets::Assets;
use self::attempts::{Attempts, Tried};
use self::guard::Guard;
use self::sessions::Sessions;
pub use self::settings::InForce;
use self::state::Watched;
use super::Answer;
use crate::body;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::config::HttpConfig;
use crate::metrics::Metrics;
use crate::problems::Kind;
use crate::shutdown::Shutdown;

/// Bytes that a sign-in may have.
const SIGN_IN_BYTES: usize = 4096;

/// What [`Live`] needs.
pub struct LiveContext {
    /// The verbs.
    pub broker: Arc<Broker>,
    /// Counts, and what went wrong.
    pub metrics: Arc<Metrics>,
    /// Deadlines and proxies.
    pub http: HttpConfig,
    /// The end.
    pub shutdown: Shutdown,
    /// The node's time.
    pub clock: Clock,
    /// The internal port, which is part of the cookie's name: cookies know no ports.
    pub port: u16,
    /// What is configured.
    pub in_force: InForce,
}

/// The live view of one node.
pub struct Live {
    context: LiveContext,
    cookie: String,
    assets: Assets,
    sessions: Mutex<Sessions>,
    attempts: Mutex<Attempts>,
    watched: Mutex<Watched>,
    /// Where long lists of topics are made.
    runtime: Handle,
    /// One list of topics is made at a time.
    listing: Arc<Semaphore>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    SignIn,
    SignOut,
    State,
    Tail,
    Publish,
    Config,
}

/// Who signs in.
#[derive(Deserialize)]
struct SignIn {
    secret: String,
}

/// Whether `path` is one of the live view's.
pub(super) fn is_live(path: &str) -> bool {
    path == "/" || path.starts_with("/live/")
}

impl Verb {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/live/sign-in" => Self::SignIn,
            "/live/sign-out" => Self::SignOut,
            "/live/state" => Self::State,
            "/live/tail" => Self::Tail,
            "/live/publish" => Self::Publish,
            "/live/config" => Self::Config,
            _ => return None,
        })
    }

    /// Whether it changes something.
    fn is_post(self) -> bool {
        matches!(self, Self::SignIn | Self::SignOut | Self::Publish)
    }
}

impl Live {
    /// A live view that nobody is signed in to. Needs a runtime.
    pub fn new(context: LiveContext) -> Self {
        Self {
            cookie: format!("wavelog_worker_{}", context.port),
            assets: Assets::new(),
            sessions: Mutex::default(),
            attempts: Mutex::default(),
            watched: Mutex::default(),
            runtime: Handle::current(),
            listing: Arc::new(Semaphore::new(1)),
            context,
        }
    }

    /// Answers `request` of `peer`, whose path [`is_live`].
    pub(super) async fn answer(&self, mut request: Request<Incoming>, peer: SocketAddr) -> Answer {
        match self.carry_out(&mut request, peer).await {
            Ok(answer) => answer,
            Err(refusal) => {
                body::take_unwanted(&mut request).await;
                refusal.answer()
            }
        }
    }

    async fn carry_out(
        &self,
        request: &mut Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Answer, Refusal> {
        let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
        let Some(verb) = Verb::of(request.uri().path()) else {
            let file = self.assets.answer(request.uri().path(), request.headers());
            let file = file.ok_or(Refusal::NotFound)?;
            return if is_get { Ok(file) } else { Err(Refusal::Method("GET, HEAD")) };
        };
        if verb.is_post() {
            if *request.method() != Method::POST {
                return Err(Refusal::Method("POST"));
            }
            let guard = self.guard(request, peer);
            if let Some(why) = guard.refuses() {
                return Err(Refusal::Foreign(why));
            }
        } else if !is_get {
            return Err(Refusal::Method("GET, HEAD"));
        }
        match verb {
            Verb::SignIn => return self.sign_in(request, peer).await,
            Verb::SignOut => return Ok(self.sign_out(request, peer)), // Also if it has ended.
            _ => {}
        }
        self.let_in(request, peer, verb)?;
        let query = request.uri().query().unwrap_or_default();
        match verb {
            Verb::State => self.state(query).await,
            Verb::Tail => self.tail(query).await,
            Verb::Publish => self.publish(request).await,
            Verb::Config => Ok(answer::json_text(self.context.in_force.json())),
            Verb::SignIn | Verb::SignOut => Err(Refusal::SignIn), // They were answered above.
        }
    }

    fn guard<'a>(&self, request: &'a Request<Incoming>, peer: SocketAddr) -> Guard<'a> {
        Guard::of(request.headers(), peer, &self.context.http)
    }

    /// Lets somebody in who has a session, or the secret itself if he only looks.
    fn let_in(
        &self,
        request: &Request<Incoming>,
        peer: SocketAddr,
        verb: Verb,
    ) -> Result<(), Refusal> {
        let guard = self.guard(request, peer);
        let now_ms = self.context.clock.now_ms();
        let mut tokens = guard.cookies(&self.cookie);
        if tokens.any(|token| self.sessions.lock().is_good(token, now_ms)) {
            return Ok(());
        }
        match guard.secret() {
            Some(secret) if !verb.is_post() => self.try_secret(secret, &guard),
            _ => Err(Refusal::SignIn),
        }
    }

    async fn sign_in(
        &self,
        request: &mut Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Answer, Refusal> {
        let timeout = self.context.http.request_timeout;
        let body = body::read(request, SIGN_IN_BYTES, timeout, &self.context.metrics).await?;
        let sign_in = serde_json::from_slice::<SignIn>(&body);
        let SignIn { secret } =
            sign_in.map_err(|_| Refusal::Malformed("send {\"secret\": \"…\"}"))?;
        let secret = Zeroizing::new(secret);
        let guard = self.guard(request, peer);
        self.try_secret(secret.trim().as_bytes(), &guard)?;
        info!(client = %guard.client, "signed in to the live view");
        let mut sessions = self.sessions.lock();
        guard.cookies(&self.cookie).for_each(|before| sessions.end(before));
        let began = sessions.begin(self.context.clock.now_ms());
        drop(sessions);
        let token = began.map_err(|_| Refusal::NoRandom)?;
        Ok(self.with_cookie(answer::done(), &token, "", &guard))
    }

    fn sign_out(&self, request: &Request<Incoming>, peer: SocketAddr) -> Answer {
        let guard = self.guard(request, peer);
        guard.cookies(&self.cookie).for_each(|token| self.sessions.lock().end(token));
        self.with_cookie(answer::done(), "", "; Max-Age=0", &guard)
    }

    fn try_secret(&self, secret: &[u8], guard: &Guard<'_>) -> Result<(), Refusal> {
        let is_right = || self.context.broker.is_secret(secret);
        let now_ms = self.context.clock.now_ms();
        let tried = self.attempts.lock().try_secret(guard.client.ip(), now_ms, is_right);
        match tried {
            Tried::Right => Ok(()),
            Tried::TooMany(seconds) => Err(Refusal::TooMany(seconds)),
            Tried::Wrong => {
                let metrics = &self.context.metrics;
                metrics.forbidden.inc();
                let detail = || format!("client {}, live view", guard.client);
                metrics.problems.note(Kind::WrongSecret, detail);
                info!(client = %guard.client, "call without the right secret refused");
                Err(Refusal::WrongSecret)
            }
        }
    }

    fn with_cookie(
        &self,
        mut answer: Answer,
        token: &str,
        more: &str,
        guard: &Guard<'_>,
    ) -> Answer {
        let secure = if guard.is_https() { "; Secure" } else { "" };
        let cookie =
            format!("{}={token}; HttpOnly; SameSite=Strict; Path=/{secure}{more}", self.cookie);
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            answer.headers_mut().insert(SET_COOKIE, cookie); // Letters and digits alone.
        }
        answer
    }
}
