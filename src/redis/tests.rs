//! With real servers: `redis-server`, alone, with a replica and sentinels, and as a cluster.

mod kinds;
mod log;
mod proxy;
pub(crate) mod server;
mod slow;

use std::sync::Arc;
use std::time::Duration;

use ::redis::{cmd, pipe};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use self::server::{Server, until};
use super::*;

/// A worker's way to Redis, and what it heard on the channel `news`.
struct Way {
    redis: Arc<Redis>,
    heard: Arc<Mutex<Vec<String>>>,
    metrics: Arc<Metrics>,
    end: CancellationToken,
}

impl Way {
    fn to(config: RedisConfig) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let metrics = Arc::new(Metrics::default());
        let end = CancellationToken::new();
        let news = Arc::clone(&heard);
        let hear: Hear =
            Box::new(move |message| news.lock().push(String::from_utf8_lossy(message).into()));
        let channels = vec![("news".to_owned(), hear)];
        let redis = Redis::start(config, channels, Arc::clone(&metrics), end.clone());
        Self { redis, heard, metrics, end }
    }

    /// As [`Way::to`], once it is up.
    async fn up(config: RedisConfig) -> Self {
        let way = Self::to(config);
        way.is(LinkState::Up).await;
        way
    }

    async fn is(&self, state: LinkState) {
        let other = match state {
            LinkState::Up => LinkState::Away,
            LinkState::Away => LinkState::Up,
        };
        let changed = within(self.redis.changed(other)).await;
        assert_eq!(changed, state);
    }

    /// Both generations.
    async fn generations(&self) -> (u64, u64) {
        let commands = within(self.redis.newer_commands(0)).await.generation();
        (commands, within(self.redis.listening(0)).await.generation)
    }

    fn commands(&self) -> Commands {
        self.redis.commands().unwrap()
    }

    async fn publish(&self, message: &str) {
        let told: u64 =
            self.commands().query(cmd("PUBLISH").arg("news").arg(message)).await.unwrap();
        assert_eq!(told, 1);
    }

    /// Waits until what went wrong is `reason`.
    async fn fails_with(&self, reason: &str) {
        until(reason, || {
            self.redis.describe().last_error.is_some_and(|error| error.contains(reason))
        })
        .await;
        self.is(LinkState::Away).await;
        assert!(self.redis.commands().is_none());
    }
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), what).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_carried_out_and_messages_heard_in_order() {
    let server = Server::start(&[]);
    let way = Way::up(server.config()).await;

    for n in 0..200 {
        way.publish(&n.to_string()).await;
    }
    assert!(way.redis.heard_all(way.redis.listening(0).await).await);
    let expected: Vec<_> = (0..200).map(|n| n.to_string()).collect();
    assert_eq!(*way.heard.lock(), expected);

    let (first, second): (String, i64) =
        within(way.commands().pipeline(pipe().cmd("SET").arg("a").arg(1).cmd("INCR").arg("a")))
            .await
            .unwrap();
    assert_eq!((first.as_str(), second), ("OK", 2));
    assert_eq!(way.generations().await, (1, 1));
    assert!(!way.redis.heard_all(Listening { generation: 2 }).await);
}

#[tokio::test]
async fn a_refused_command_leaves_the_connection_as_it_is() {
    let server = Server::start(&[]);
    let way = Way::up(server.config()).await;
    let commands = way.commands();

    let unknown = commands.query::<String>(&cmd("NOSUCH")).await.unwrap_err();
    let script = commands.query::<String>(cmd("EVALSHA").arg("0".repeat(40)).arg(0)).await;
    let _: () = commands.query(cmd("SET").arg("a").arg("text")).await.unwrap();
    let no_number = commands.query::<u64>(cmd("GET").arg("a")).await.unwrap_err();
    let in_pipeline =
        commands.pipeline::<()>(pipe().cmd("PING").cmd("INCR").arg("a")).await.unwrap_err();

    let code = |error| match error {
        RedisError::Refused { code, .. } => code,
        other => panic!("{other}"),
    };
    assert_eq!(code(unknown), "ERR");
    assert_eq!(code(script.unwrap_err()), "NOSCRIPT");
    assert_eq!(code(no_number), "UNEXPECTED");
    assert_eq!(code(in_pipeline), "ERR");
    assert_eq!(commands.query::<String>(&cmd("PING")).await.unwrap(), "PONG");
    assert_eq!(way.generations().await, (1, 1));
}

#[tokio::test]
async fn a_server_that_dies_is_noticed_at_once_and_found_again() {
    let mut server = Server::start(&[]);
    let way = Way::up(server.config()).await;
    let waiting = way.commands();
    let waiting = tokio::spawn(async move {
        waiting.query::<()>(cmd("BLPOP").arg("nothing").arg(0)).await.unwrap_err()
    });
    until("it waits", || server.cli(&["client", "list"]).contains("cmd=blpop")).await;

    server.kill();

    assert!(matches!(within(waiting).await.unwrap(), RedisError::Lost(_)));
    until("it is noticed", || way.redis.commands().is_none()).await;
    way.is(LinkState::Away).await;
    until("it counts", || way.metrics.redis_away.get() == 1).await;
    let report = way.redis.describe();
    assert_eq!(report.last_error.as_deref(), Some("connection refused"));
    assert_eq!(report.redis, format!("redis://127.0.0.1:{}/0", server.port));
    assert!(report.away_ms.is_some_and(|ms| ms >= 500), "{report:?}");

    server.restart(&[]);

    assert_eq!(within(way.redis.newer_commands(1)).await.generation(), 2);
    assert_eq!(within(way.redis.listening(1)).await.generation, 2);
    way.is(LinkState::Up).await;
    way.publish("again").await;
    assert!(way.redis.heard_all(Listening { generation: 2 }).await);
    assert_eq!(*way.heard.lock(), ["again"]);
    assert_eq!(way.metrics.redis_reconnects.get(), 2);
    assert_eq!(way.redis.describe().away_ms, None);
}

#[tokio::test]
async fn a_connection_that_is_cut_is_mended_before_anybody_notices() {
    let server = Server::start(&[]);
    let way = Way::up(server.config()).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await; // It lasted: it is tried at once.
    let began = Instant::now();

    server.cli(&["client", "kill", "type", "normal"]);
    server.cli(&["client", "kill", "type", "pubsub"]);

    within(way.redis.newer_commands(1)).await;
    within(way.redis.listening(1)).await;
    assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
    assert_eq!(way.redis.state(), LinkState::Up);
    assert_eq!(way.metrics.redis_away.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_never_last_are_not_tried_in_a_frenzy() {
    let server = Server::start(&[]);
    let way = Way::up(server.config()).await;
    let before = way.metrics.redis_reconnects.get();
    let until = Instant::now() + Duration::from_secs(3);

    while Instant::now() < until {
        server.cli(&["client", "kill", "type", "normal"]);
        server.cli(&["client", "kill", "type", "pubsub"]);
    }

    let reconnects = way.metrics.redis_reconnects.get() - before;
    assert!(reconnects < 40, "{reconnects}");
}

#[tokio::test]
async fn a_changed_password_is_explained_and_the_right_one_lets_in() {
    let mut server = Server::start(&["--requirepass", "one"]);
    let login = |password: Option<&str>| RedisConfig {
        password: password.map(str::to_owned),
        ..server.config()
    };
    let way = Way::up(login(Some("one"))).await;
    let none = Way::to(login(None));
    none.fails_with("asks for a password, and none is configured (NOAUTH)").await;

    server.restart(&["--requirepass", "two"]);
    way.fails_with("refuses the user name or the password (WRONGPASS)").await;

    server.restart(&["--requirepass", "one"]);
    way.is(LinkState::Up).await;
}

#[tokio::test]
async fn everything_ends_with_the_token() {
    let server = Server::start(&[]);
    let way = Way::up(server.config()).await;
    let commands = way.commands();

    way.end.cancel();

    way.is(LinkState::Away).await;
    until("nobody is connected", || {
        let clients = server.cli(&["client", "list"]);
        clients.lines().filter(|line| !line.contains("cmd=client")).count() == 0
    })
    .await;
    assert!(matches!(commands.query::<()>(&cmd("PING")).await, Err(RedisError::Lost(_))));
    assert!(way.redis.commands().is_none());
    let tasks = tokio::runtime::Handle::current().metrics();
    until("all tasks ended", || tasks.num_alive_tasks() == 0).await;
}

#[tokio::test]
async fn everything_ends_with_the_last_handle() {
    let server = Server::start(&[]);
    let Way { redis, .. } = Way::up(server.config()).await;

    drop(redis);

    let tasks = tokio::runtime::Handle::current().metrics();
    until("all tasks ended", || tasks.num_alive_tasks() == 0).await;
}
