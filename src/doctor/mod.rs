//! Tests the whole path as PHP and a browser would, step by step, and says what to change.
//!
//! A step does one thing that the real ones do, and ends with a [`Finding`]. What an answer means
//! is decided by pure functions (`upgrade`, `proxy`, `push`); the steps themselves are [`local`]
//! (this machine), [`node`] (the internal port), `redis`, [`php`], and [`public`] (from the name
//! to an idle socket). Topics are the doctor's own and unregistered at the end, every wait has an
//! end, and no finding has a secret or a token in it. It knows nothing of arguments and terminals.
//! Start reading at [`examine`].

mod certificate;
pub mod finding;
mod http;
pub mod idle;
mod lately;
pub mod local;
mod neighbours;
pub mod node;
pub mod php;
pub mod proxy;
pub mod public;
pub mod push;
mod redis;
pub mod route;
mod socket;
pub mod upgrade;

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use self::finding::{Finding, Report, State, Step};
use self::local::Local;
use self::node::{Called, NoCall, Node};
use self::php::Php;
use self::proxy::Proxy;
use self::public::Public;
use self::route::Route;
use crate::client::address::{Address, WsUrl};
use crate::config;
use crate::secret::Secret;
use crate::token::{Claims, Grant, mint};

/// Life of the tokens that it makes for itself.
const TOKEN_SECS: i64 = 300;

/// What is to be tested.
#[derive(Debug)]
pub struct Plan {
    /// The worker's configuration, if one is at hand, and the file it came from, if there is one.
    pub config: Option<(config::Report, Option<PathBuf>)>,
    /// The internal port, if it is not where the configuration says.
    pub internal: Option<Address>,
    /// A secret, if there is no configuration to have it from.
    pub secret: Option<Secret>,
    /// The application's `worker.php`: its path and its text, or why that cannot be read.
    pub php: Option<(PathBuf, Result<String, String>)>,
    /// Where browsers connect.
    pub url: Option<WsUrl>,
    /// The site whose pages connect, if it is not the host of that.
    pub origin: Option<String>,
    /// A token to show instead of one of its own.
    pub token: Option<String>,
    /// Which proxy it is, if it hides that.
    pub proxy: Option<Proxy>,
    /// Leave out what takes longer than a few seconds.
    pub quick: bool,
}

/// Looks on.
pub trait Watcher {
    /// A step begins.
    fn begins(&self, step: Step);
    /// A step that takes long is so far.
    fn progress(&self, step: Step, done: Duration, of_all: Duration);
    /// A step has ended.
    fn found(&self, finding: &Finding);
}

/// Keeps what is found, and tells the watcher.
pub struct Findings<'a> {
    watcher: &'a dyn Watcher,
    report: Report,
}

impl Findings<'_> {
    /// Says that a step begins.
    pub fn begin(&self, step: Step) {
        self.watcher.begins(step);
    }

    /// Says how far it is.
    pub fn progress(&self, step: Step, done: Duration, of_all: Duration) {
        self.watcher.progress(step, done, of_all);
    }

    /// Takes a finding; whether the step did not fail.
    pub fn take(&mut self, finding: Finding) -> bool {
        let well = finding.state != State::Failed;
        self.watcher.found(&finding);
        self.report.findings.push(finding);
        well
    }

    /// Leaves steps out for the same reason.
    pub fn leave_out(&mut self, steps: &[Step], why: &str) {
        for &step in steps {
            self.take(Finding::left_out(step, why));
        }
    }
}

/// What the steps learn from each other.
#[derive(Debug)]
pub struct Facts {
    /// The doctor's own topic.
    pub topic: String,
    /// The internal port and the secret, once it was found that they work.
    pub node: Option<Node>,
    /// The worker's own WebSocket port, if it is known.
    pub direct: Option<Route>,
    /// Whether a push came over that.
    pub direct_works: bool,
    /// Time between two pings.
    pub ping_interval: Duration,
    /// Silence after which the worker gives a browser up.
    pub idle_timeout: Duration,
    /// Seconds that the worker's clock is ahead of this machine's.
    pub worker_ahead_secs: Option<i64>,
}

impl Facts {
    /// A token for the doctor's own topic.
    pub fn token(&self, secret: &Secret) -> String {
        let expires = Timestamp::now().as_second().saturating_add(TOKEN_SECS);
        mint(&Claims { user_id: 0, grant: Grant::Topic(self.topic.clone()), expires }, secret)
    }
}

/// Carries out `plan`. Takes some seconds, and as long as two pings of the worker unless it is to
/// be quick.
pub async fn examine(plan: Plan, watcher: &dyn Watcher) -> Report {
    let mut findings = Findings { watcher, report: Report::default() };
    let mut facts = Facts {
        topic: format!("doctor.{:016x}", getrandom::u64().unwrap_or_default()),
        node: None,
        direct: None,
        direct_works: false,
        ping_interval: Duration::from_secs(30),
        idle_timeout: Duration::from_secs(60),
        worker_ahead_secs: None,
    };
    let Plan { config, mut internal, mut secret, php, url, origin, token, proxy, quick } = plan;
    let php = php.map(|(path, text)| Php::read(path, text));
    // On PHP's machine, PHP's own file says where the worker is and how to call it.
    if let Some(php) = php.as_ref().filter(|_| config.is_none()) {
        secret = secret.or_else(|| php.secret());
        internal = internal.or_else(|| php.internal());
    }

    let local = Local { config: config.as_ref(), internal: internal.as_ref(), secret };
    local.examine(&mut facts, &mut findings).await;
    let cluster = config.as_ref().and_then(|(report, _)| report.config.as_ref()?.cluster.as_ref());
    redis::examine(cluster, &mut findings).await;
    local.direct(&mut facts, &mut findings).await;
    if let Some(php) = &php {
        php.examine(local.secret(), url.as_ref(), &facts, &mut findings).await;
    }
    let url = url.or_else(|| php.as_ref().and_then(Php::client_url));
    match url {
        Some(url) => {
            let public = Public::new(url, origin, token, proxy, quick);
            public.examine(&facts, &mut findings).await;
        }
        None => {
            let why = "no public address: name it with --url wss://your.site/ws";
            findings.leave_out(&[Step::Upgrade], why);
        }
    }
    if let Some(node) = &facts.node {
        node.unregister(&facts.topic).await;
    }
    findings.report
}

/// The seconds that the clock of whoever answered is ahead of ours, if it says what it shows.
fn ahead_secs(called: &Result<Called, NoCall>) -> Option<i64> {
    let date = http::date(&called.as_ref().ok()?.heard)?;
    Some(date.as_second() - Timestamp::now().as_second())
}

/// What clocks that differ by `ahead_secs` mean; `whose` is the other one.
fn judge_clock(step: Step, ahead_secs: i64, whose: &str) -> Finding {
    /// Answers say whole seconds, and are on the way for some time.
    const NOTHING: u64 = 2;
    /// What still does no harm to tokens that live for hours.
    const LITTLE: u64 = 30;

    let by = ahead_secs.unsigned_abs();
    let way = if ahead_secs > 0 { "ahead of" } else { "behind" };
    let found = format!("{whose} is {by} s {way} this machine's");
    match by {
        _ if by <= NOTHING => Finding::ok(step, format!("{whose} and this machine's agree")),
        _ if by <= LITTLE => Finding::warning(step, found)
            .expected("the same time on both: tokens end by the worker's clock")
            .change("timedatectl set-ntp true, on both machines"),
        _ => Finding::failed(step, found)
            .expected("the same time on both: tokens end by the worker's clock, so they end too early or too late")
            .change("timedatectl set-ntp true, on both machines"),
    }
}
