//! `listen`: prints what is pushed to a topic, and comes back after every end.
//!
//! Start reading at [`Listener::follow`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::feed::{Feed, FeedError};
use super::settings::{self, Settings};
use super::{serve, token};
use crate::client::address::{self, Address, WsUrl};
use crate::client::{Worker, WorkerError};
use crate::config::Env;
use crate::secret::Secret;
use crate::token::{Claims, Grant, mint};

/// Longest pause before the first attempt to come back; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Longest pause of all.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Life of the tokens it makes for itself; each connection has a new one.
const OWN_TOKEN_TTL: Duration = Duration::from_secs(24 * 3600);

/// A token for those who do not have the secret.
const TOKEN_VARIABLE: &str = "WORKER_TOKEN";

#[derive(Debug, Args)]
pub(super) struct ListenArgs {
    /// Topic to listen to.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    topic: String,
    /// Where browsers connect, instead of the configured address.
    #[arg(long, value_name = "URL", value_parser = address::ws)]
    url: Option<WsUrl>,
    /// Show no token: the topic is open.
    #[arg(long, conflicts_with = "token_file")]
    open: bool,
    /// Show the token in this file instead of one made with the secret; it is read anew for each
    /// connection. WORKER_TOKEN in the environment does the same.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Register the topic before each connection; with --open, for browsers without a token.
    #[arg(long)]
    register: bool,
    /// Internal address of the worker for --register, instead of the configured one.
    #[arg(long, value_name = "URL", value_parser = address::internal, requires = "register")]
    internal: Option<Address>,
    /// Keep trying while the topic is not registered.
    #[arg(long)]
    wait: bool,
    /// End after this many pushes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// Listens until it was told to end, got as many pushes as it should, or cannot go on.
pub(super) fn listen(args: ListenArgs, path: Option<&Path>, env: Env<'_>) -> Result<(), String> {
    let settings = settings::load(path, env)?;
    let listener = Listener::new(args, settings, env).map_err(|error| error.to_string())?;
    super::block_on(async {
        let end = serve::end_signal(&serve::TOLD_TO_END)?;
        listener.follow(&end).await.map_err(|error| error.to_string())
    })?
}

/// Why it cannot go on. Each says what to do.
#[derive(Debug, thiserror::Error)]
enum ListenError {
    /// There is nothing to make a token with.
    #[error(
        "no secret to make a token with: {0}; or use --open, --token-file FILE or {TOKEN_VARIABLE}"
    )]
    NoToken(String),
    /// `ws_port` is 0.
    #[error("ws_port is 0, so the worker has any free one: say which with --url ws://host:port/ws")]
    NoPort,
    /// `--token-file` is of no use.
    #[error("{}: the token cannot be read: {source}; correct --token-file", file.display())]
    TokenFile { file: PathBuf, source: io::Error },
    /// 404.
    #[error(
        "{url}: topic {topic:?} is not registered: add --register, or --wait to keep trying until PHP registers it{}",
        if url.has_usual_path() { "" } else { "; or is the path wrong? A worker's own is /ws" }
    )]
    UnknownTopic { url: WsUrl, topic: String },
    /// The worker does not let it in.
    #[error("{url}: the worker refuses the token: {fix}")]
    Unauthorized { url: WsUrl, fix: &'static str },
    /// The worker does not want it back.
    #[error("{url}: {error}; see docs/protocol.md, \"Close codes\"")]
    Final { url: WsUrl, error: FeedError },
    /// The topic cannot be registered.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// Standard output cannot be written.
    #[error("{0}")]
    Output(String),
}

/// Why it is to come back.
type Passing = String;

/// What it shows the worker.
#[derive(Debug)]
enum Pass {
    Open,
    File(PathBuf),
    Given(String),
    Secret(Secret),
}

/// Everything that is needed for one connection after another.
struct Listener {
    topic: String,
    url: WsUrl,
    pass: Pass,
    /// Registers the topic before each connection, and whether it is to require a token.
    registrar: Option<(Worker, bool)>,
    wait: bool,
    count: Option<u64>,
}

impl Listener {
    fn new(args: ListenArgs, settings: Settings, env: Env<'_>) -> Result<Self, ListenError> {
        let of_config = Address::of_listener(settings.listen.ws_bind, settings.listen.ws_port);
        let url = match args.url {
            Some(url) => url,
            None if of_config.has_port() => WsUrl::on(of_config),
            None => return Err(ListenError::NoPort),
        };
        let given = env(TOKEN_VARIABLE).and_then(|token| token.into_string().ok());
        let given = given.filter(|token| !token.trim().is_empty());
        let pass = match (args.open, args.token_file, given) {
            (true, ..) => Pass::Open,
            (false, Some(file), _) => Pass::File(file),
            (false, None, Some(token)) => Pass::Given(token.trim().to_owned()),
            (false, None, None) => {
                Pass::Secret(settings.secret.clone().map_err(ListenError::NoToken)?)
            }
        };
        let registrar = match args.register {
            true => Some((settings.worker(args.internal)?, !args.open)),
            false => None,
        };
        Ok(Self { topic: args.topic, url, pass, registrar, wait: args.wait, count: args.count })
    }

    /// Prints pushes until `end`, `count` or a reason not to come back.
    async fn follow(mut self, end: &CancellationToken) -> Result<(), ListenError> {
        let mut attempt = 0;
        loop {
            let Some(opened) = end.run_until_cancelled(self.open()).await else {
                return Ok(());
            };
            let why = match opened? {
                Ok(feed) => {
                    attempt = 0;
                    super::note(&format!("connected to {}, topic {:?}", self.url, self.topic));
                    match self.print_all(feed, end).await? {
                        Some(why) => why,
                        None => return Ok(()),
                    }
                }
                Err(why) => why,
            };
            let pause = pause(attempt, getrandom::u64().unwrap_or(u64::MAX / 2));
            attempt += 1;
            super::note(&format!("reconnecting in {:.1} s ({why})", pause.as_secs_f64()));
            if end.run_until_cancelled(sleep(pause)).await.is_none() {
                return Ok(());
            }
        }
    }

    /// One attempt to connect.
    async fn open(&self) -> Result<Result<Feed, Passing>, ListenError> {
        if let Some((worker, require_token)) = &self.registrar {
            match worker.register(&self.topic, *require_token).await {
                Ok(()) => {}
                Err(error) if error.may_pass() => return Ok(Err(error.to_string())),
                Err(error) => return Err(error.into()),
            }
        }
        let token = self.token()?;
        match Feed::open(&self.url, &self.topic, &token).await {
            Ok(feed) => Ok(Ok(feed)),
            Err(error) => self.judge(error).map(Err),
        }
    }

    /// Prints what is pushed; `None` when there is no more to do, else why the feed ended.
    async fn print_all(
        &mut self,
        mut feed: Feed,
        end: &CancellationToken,
    ) -> Result<Option<Passing>, ListenError> {
        while self.count != Some(0) {
            let payload = match end.run_until_cancelled(feed.next()).await {
                None => break,
                Some(Ok(payload)) => payload,
                Some(Err(error)) => return self.judge(error).map(Some),
            };
            // Standard output may be blocked for as long as its reader likes, and the signal to
            // end must be heard all the same.
            let printing = tokio::task::spawn_blocking(move || super::print(&(payload + "\n")));
            match end.run_until_cancelled(printing).await {
                Some(Ok(Ok(true))) => {}
                Some(Ok(Ok(false)) | Err(_)) | None => break,
                Some(Ok(Err(error))) => return Err(ListenError::Output(error)),
            }
            self.count = self.count.map(|left| left - 1);
        }
        feed.close().await;
        Ok(None)
    }

    /// Whether to come back after `error`: the words for it, or the reason not to.
    fn judge(&self, error: FeedError) -> Result<Passing, ListenError> {
        /// Withdrawn by PHP.
        const WITHDRAWN: u16 = 4403;

        let url = self.url.clone();
        match error {
            FeedError::UnknownTopic if self.wait => Ok(error.to_string()),
            FeedError::UnknownTopic => {
                Err(ListenError::UnknownTopic { url, topic: self.topic.clone() })
            }
            FeedError::Unauthorized => Err(ListenError::Unauthorized { url, fix: self.pass.fix() }),
            FeedError::Refused(_) | FeedError::Closed { code: WITHDRAWN, .. } => {
                Err(ListenError::Final { url, error })
            }
            FeedError::Connect(_)
            | FeedError::NoUpgrade { .. }
            | FeedError::Closed { .. }
            | FeedError::Broken
            | FeedError::Silent
            | FeedError::Strange(_) => Ok(error.to_string()),
        }
    }

    fn token(&self) -> Result<String, ListenError> {
        Ok(match &self.pass {
            Pass::Open => String::new(),
            Pass::Given(token) => token.clone(),
            Pass::File(file) => {
                let text = fs::read_to_string(file);
                let text =
                    text.map_err(|source| ListenError::TokenFile { file: file.clone(), source })?;
                text.trim().to_owned()
            }
            Pass::Secret(secret) => {
                let grant = Grant::Topic(self.topic.clone());
                let expires = token::expires_in(OWN_TOKEN_TTL);
                // User 0, so that nobody's own sockets are counted together with this one.
                mint(&Claims { user_id: 0, grant, expires }, secret)
            }
        })
    }
}

impl Pass {
    /// What to do when it was refused.
    fn fix(&self) -> &'static str {
        match self {
            Self::Open => {
                "the topic is not open; leave --open away, or show a token with --token-file FILE"
            }
            Self::File(_) | Self::Given(_) => {
                "see why with `wavelog_worker token --decode`, and make another"
            }
            Self::Secret(_) => {
                "it was made with another secret than the worker's, or the clocks differ, or the topic was just unregistered; see `worker_secret` and WORKER_SECRET"
            }
        }
    }
}

/// The pause before the attempt number `attempt`, from 0, to come back: anything from nothing to
/// a bound that doubles, by `random`, so that many who lost the same worker come back spread.
fn pause(attempt: u32, random: u64) -> Duration {
    let factor = 1_u32.checked_shl(attempt).unwrap_or(u32::MAX);
    let longest = FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE);
    #[expect(clippy::cast_precision_loss, reason = "a pause needs no 64 digits")]
    let share = random as f64 / u64::MAX as f64;
    longest.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_lie_between_nothing_and_a_bound_that_doubles_up_to_30_s() {
        let longest = |attempt| pause(attempt, u64::MAX).as_secs();

        assert_eq!([0, 1, 2, 3, 4, 5, 31, 32, 900].map(longest), [1, 2, 4, 8, 16, 30, 30, 30, 30]);
        assert_eq!(pause(0, 0), Duration::ZERO);
        assert_eq!(pause(1, u64::MAX / 2), Duration::from_secs(1));
    }
}
