//! The kinds of problems: a name for programs, a title and advice for people.
//!
//! Advice says what to do, with the very key of the configuration or the very command, and says
//! when nothing need be done. Start reading at [`Kind`].

/// A kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A browser was closed with 4008.
    SlowClose,
    /// The first frame was no auth frame.
    NoAuthFrame,
    /// The auth frame had no token.
    NoToken,
    /// A token was no token.
    TokenMalformed,
    /// A token was signed with another secret.
    TokenSignature,
    /// A token's time was over.
    TokenExpired,
    /// A token named nothing that it opens.
    TokenOpensNothing,
    /// A token was for another topic.
    TokenOtherTopic,
    /// The topic went while a browser was authenticating.
    TopicGone,
    /// PHP published to a topic that is not registered.
    PublishUnregistered,
    /// A browser asked for a topic that is not registered.
    BrowserUnregistered,
    /// A publish was refused because the topic's outbox was full.
    OutboxFull,
    /// Somebody called the internal port without the right secret.
    WrongSecret,
    /// Redis was away.
    RedisAway,
    /// Redis answers, and refuses what the worker needs.
    RedisRefuses,
    /// Browsers may have missed what another node published.
    Gap,
    /// Events for other nodes were dropped.
    EventsDropped,
    /// Nearly all files were open.
    FilesFull,
    /// A browser did not authenticate in time.
    AuthTimeout,
    /// A request did not come in time, or its answer was not taken.
    HttpTimeout,
    /// A browser vanished.
    DeadPeer,
    /// Lines of the log were dropped.
    LogLinesDropped,
    /// The thread that serves browsers was late.
    LoopLate,
}

impl Kind {
    /// All of them, in their order.
    pub const ALL: [Self; 23] = [
        Self::SlowClose,
        Self::NoAuthFrame,
        Self::NoToken,
        Self::TokenMalformed,
        Self::TokenSignature,
        Self::TokenExpired,
        Self::TokenOpensNothing,
        Self::TokenOtherTopic,
        Self::TopicGone,
        Self::PublishUnregistered,
        Self::BrowserUnregistered,
        Self::OutboxFull,
        Self::WrongSecret,
        Self::RedisAway,
        Self::RedisRefuses,
        Self::Gap,
        Self::EventsDropped,
        Self::FilesFull,
        Self::AuthTimeout,
        Self::HttpTimeout,
        Self::DeadPeer,
        Self::LogLinesDropped,
        Self::LoopLate,
    ];

    /// The name, for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::SlowClose => "slow_close",
            Self::NoAuthFrame => "no_auth_frame",
            Self::NoToken => "no_token",
            Self::TokenMalformed => "token_malformed",
            Self::TokenSignature => "token_signature",
            Self::TokenExpired => "token_expired",
            Self::TokenOpensNothing => "token_opens_nothing",
            Self::TokenOtherTopic => "token_other_topic",
            Self::TopicGone => "topic_gone",
            Self::PublishUnregistered => "publish_unregistered",
            Self::BrowserUnregistered => "browser_unregistered",
            Self::OutboxFull => "outbox_full",
            Self::WrongSecret => "wrong_secret",
            Self::RedisAway => "redis_away",
            Self::RedisRefuses => "redis_refuses",
            Self::Gap => "gap",
            Self::EventsDropped => "events_dropped",
            Self::FilesFull => "files_full",
            Self::AuthTimeout => "auth_timeout",
            Self::HttpTimeout => "http_timeout",
            Self::DeadPeer => "dead_peer",
            Self::LogLinesDropped => "log_lines_dropped",
            Self::LoopLate => "loop_late",
        }
    }

    /// What happened, in a sentence.
    pub fn title(self) -> &'static str {
        match self {
            Self::SlowClose => "A browser took too little and was closed (4008)",
            Self::NoAuthFrame => "A browser did not begin with an auth frame (1008)",
            Self::NoToken => "A browser sent no token, and the topic needs one (1008)",
            Self::TokenMalformed => "A token could not be read (1008)",
            Self::TokenSignature => "A token was signed with another secret (1008)",
            Self::TokenExpired => "A token had expired (1008)",
            Self::TokenOpensNothing => "A token names no topic (1008)",
            Self::TokenOtherTopic => "A token was for another topic (1008)",
            Self::TopicGone => "A topic was unregistered while a browser signed in (1008)",
            Self::PublishUnregistered => "PHP published to a topic that is not registered (404)",
            Self::BrowserUnregistered => "A browser asked for a topic that is not registered (404)",
            Self::OutboxFull => "A publish was refused, its topic has too much waiting (503)",
            Self::WrongSecret => "Somebody called the internal port with a wrong secret (403)",
            Self::RedisAway => "Redis was away",
            Self::RedisRefuses => "Redis refuses what the worker needs",
            Self::Gap => "Browsers may have missed events of other nodes (4009)",
            Self::EventsDropped => "Events for other nodes were dropped",
            Self::FilesFull => "Browsers were turned away, nearly all files are open (503)",
            Self::AuthTimeout => "A browser did not sign in in time (4408)",
            Self::HttpTimeout => "A request was not finished in time",
            Self::DeadPeer => "A browser vanished without a word",
            Self::LogLinesDropped => "Lines of the log were dropped",
            Self::LoopLate => "The thread that serves browsers was late",
        }
    }

    /// What to do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::SlowClose => {
                "One now and then is a bad network, and the page comes back by itself. Many: \
                 publish less or smaller, or raise backlog_bytes."
            }
            Self::NoAuthFrame => {
                "The page must send {\"type\":\"auth\",\"token\":\"…\"} first. Use the client that \
                 the worker serves as /client.js; if it is in use, something that is no page of \
                 yours connects."
            }
            Self::NoToken => {
                "Put a token into the page: in PHP $worker->token(TOPIC, USER_ID, SECONDS). If \
                 everybody may read the topic, register it with \"require_token\": false."
            }
            Self::TokenMalformed => {
                "Put the token into the page as PHP made it, unescaped and uncut. To see what one \
                 says: wavelog_worker token --decode."
            }
            Self::TokenSignature => {
                "PHP signs with another secret: make the secret in PHP's configuration the same as \
                 worker_secret (or WORKER_SECRET), and reload the page. One from a stranger's \
                 address is somebody who tries, and is harmless."
            }
            Self::TokenExpired => {
                "One now and then is a page that was open for long; getToken lets it fetch a fresh \
                 one. Many at once: the clocks of PHP and worker differ (run timedatectl on both), \
                 or PHP mints tokens for too few seconds."
            }
            Self::TokenOpensNothing => {
                "The token needs a topic: in PHP $worker->token(TOPIC, USER_ID, SECONDS)."
            }
            Self::TokenOtherTopic => {
                "The page connects with the token of another topic: mint it for the very topic that \
                 it subscribes to, letter by letter."
            }
            Self::TopicGone => {
                "PHP unregistered the topic, or topic_ttl was over, at that very moment. Many: \
                 raise topic_ttl, or let PHP register the topic when the page loads."
            }
            Self::PublishUnregistered => {
                "PHP has to register a topic before it publishes: $worker->register(TOPIC), when \
                 the page loads. Compare the name below with what PHP registers. After a restart of \
                 a single node each topic may be here once; the PHP library then registers and \
                 publishes again."
            }
            Self::BrowserUnregistered => {
                "Compare the name below with what PHP registers; PHP has to register it when the \
                 page loads, before the page connects. After a restart of a single node, pages \
                 that were open ask until PHP registers again. If topic_ttl is shorter than pages \
                 stay open, raise it."
            }
            Self::OutboxFull => {
                "More is published to the topic than its browsers take: publish less or smaller, \
                 or raise outbox_bytes. If the processor is at its limit, see wavelog_worker bench."
            }
            Self::WrongSecret => {
                "If the address is PHP's: make the secret in PHP's configuration the same as \
                 worker_secret. If it is a stranger's: keep the internal port behind a firewall, \
                 or set internal_bind to 127.0.0.1."
            }
            Self::RedisAway => {
                "See whether Redis runs and what its log says: redis-cli -u URL ping. The reason is \
                 below. Meanwhile this node serves its own browsers, and sends to other nodes \
                 later."
            }
            Self::RedisRefuses => {
                "What it says is below. NOPERM: allow the user of redis_url what docs/clustering.md \
                 lists. OOM or MISCONF: give Redis more memory or disk. READONLY: redis_url names a \
                 replica; name the master."
            }
            Self::Gap => {
                "Their pages fetched anew, so nothing is lost. The reason is below: usually Redis \
                 was away, or a node was cut off or overloaded."
            }
            Self::EventsDropped => {
                "Redis was away for longer, or more was published meanwhile, than is kept: mend \
                 Redis, or raise redis_buffer_age and redis_buffer_bytes."
            }
            Self::FilesFull => {
                "Raise the limit of open files and restart: LimitNOFILE=65536 in the systemd unit, \
                 --ulimit nofile=65536 for a container."
            }
            Self::AuthTimeout => {
                "Now and then it is a device that fell asleep. Many from one address: something \
                 connects that is no page. Many from everywhere: pages take longer than \
                 auth_timeout to fetch their token."
            }
            Self::HttpTimeout => {
                "Nearly always scanners, or a proxy that connects in advance; nothing need be done. \
                 If PHP reports timeouts as well, look at the network between PHP and the worker."
            }
            Self::DeadPeer => {
                "Usual on mobile networks: nothing need be done. If nearly all browsers end like \
                 this, a proxy swallows pings, or cuts off what is idle: its read timeout has to be \
                 longer than ping_interval."
            }
            Self::LogLinesDropped => {
                "Whatever reads the worker's standard error is too slow, or hangs; the worker does \
                 not wait for it. Set log_level to info or warn."
            }
            Self::LoopLate => {
                "The machine had no time for the worker: see with top what takes it, give the \
                 worker more of the processor, or spread browsers over several nodes."
            }
        }
    }
}
