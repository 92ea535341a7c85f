//! A value of the file or the environment into the type that the program uses.
//!
//! One function for each [`Kind`]; each answers a wrong value with what was
//! found and what to do. Knows nothing of where a value came from (`load`). Start reading at
//! [`port`].

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::go_duration;
use super::keys::{Key, Kind};
use super::raw::{Scalar, Value};
use super::redis_url::{BadUrl, RedisUrl};
use super::{LogFormat, LogLevel, OnGap};
use crate::secret::Secret;

/// A value was refused.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was expected and what was found.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

/// A TCP port. A number in quotes is a text and refused, as in the Go worker.
pub fn port(key: &Key, value: &Value) -> Result<u16, Refusal> {
    let Scalar { text, quoted } = scalar(key, value)?;
    if *quoted {
        return Err(unexpected(key, value, "remove the quotes"));
    }
    let text = text.trim();
    // A leading zero is octal to some readers of YAML and nothing to others.
    let ambiguous = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| !ambiguous).ok_or_else(|| {
        let fix = if text.starts_with("tcp://") {
            "Kubernetes sets such variables for a service of this name: set enableServiceLinks to false"
        } else {
            "write the number alone"
        };
        unexpected(key, value, fix)
    })
}

/// The address of a listener; empty is every address, IPv4 and IPv6.
pub fn address(key: &Key, value: &Value) -> Result<Option<IpAddr>, Refusal> {
    let text = scalar(key, value)?.text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match bare {
        "" => Ok(None),
        "localhost" => Ok(Some(IpAddr::V4(Ipv4Addr::LOCALHOST))),
        _ => bare.parse().map(Some).map_err(|_| {
            unexpected(key, value, "write the address of this machine to listen on, without a port")
        }),
    }
}

/// The shared secret. White space belongs to it.
pub fn secret(key: &Key, value: &Value) -> Result<Secret, Refusal> {
    let text = &scalar(key, value)?.text;
    Secret::new(text.as_str()).map_err(|error| {
        let found = match text.len() {
            0 => "none is set".to_owned(),
            length => format!("it has {length}"),
        };
        Refusal {
            what: format!("{error}: {found}"),
            fix: "make one with `openssl rand -hex 32`, or let `wavelog_worker init` write a new file; PHP needs the same".to_owned(),
        }
    })
}

/// The address of a Redis; `None` is a single node. Nothing of a wrong one is shown.
pub fn redis_url(key: &Key, value: &Value) -> Result<Option<RedisUrl>, Refusal> {
    let text = scalar(key, value)?.text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    RedisUrl::parse(text).map(Some).map_err(|BadUrl { what, fix }| Refusal {
        what: format!("the address {what}"),
        fix: fix.to_owned(),
    })
}

/// A text of any kind, as it is; `None` if it is empty.
pub fn password(key: &Key, value: &Value) -> Result<Option<String>, Refusal> {
    let text = &scalar(key, value)?.text;
    Ok(Some(text.clone()).filter(|text| !text.is_empty()))
}

/// A short name; `None` if it is empty.
pub fn name(key: &Key, value: &Value) -> Result<Option<String>, Refusal> {
    const MOST_CHARS: usize = 100;
    let text = scalar(key, value)?.text.trim();
    if text.chars().count() > MOST_CHARS
        || text.contains(|c: char| c.is_whitespace() || c.is_control())
    {
        return Err(unexpected(key, value, "write a short name in one word"));
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// The path of a file that can be read and has a certificate in it; `None` if it is empty.
pub fn certificates(key: &Key, value: &Value) -> Result<Option<PathBuf>, Refusal> {
    let text = scalar(key, value)?.text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let refused = |found: &str, fix: &str| Refusal {
        what: format!("expected {}, found {} {found}", key.kind, quoted(text)),
        fix: fix.to_owned(),
    };
    let pem = std::fs::read(text).map_err(|error| {
        refused(&format!("which cannot be read: {error}"), "check the path and its permissions")
    })?;
    if memchr::memmem::find(&pem, b"-----BEGIN CERTIFICATE-----").is_none() {
        return Err(refused("without one", "name the file of the authority that signed for Redis"));
    }
    Ok(Some(PathBuf::from(text)))
}

/// Yes or no.
pub fn boolean(key: &Key, value: &Value) -> Result<bool, Refusal> {
    match scalar(key, value)?.text.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(unexpected(key, value, "write one of these words")),
    }
}

/// What is done about a gap.
pub fn on_gap(key: &Key, value: &Value) -> Result<OnGap, Refusal> {
    match scalar(key, value)?.text.trim().to_ascii_lowercase().as_str() {
        "resync" => Ok(OnGap::Resync),
        "ignore" => Ok(OnGap::Ignore),
        _ => Err(unexpected(key, value, "write one of these words")),
    }
}

/// A duration above zero, in Go's syntax.
pub fn duration(key: &Key, value: &Value) -> Result<Duration, Refusal> {
    use go_duration::GoDurationError;

    let text = &scalar(key, value)?.text; // Go refuses white space around it.
    let not_positive = || Refusal {
        what: format!("{} must be positive, found {}", key.name, found(key, value)),
        fix: format!("write a time above zero, or remove the key for {}", key.default),
    };
    match go_duration::parse(text) {
        Ok(Duration::ZERO) | Err(GoDurationError::Negative) => Err(not_positive()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(Refusal {
            what: format!(
                "invalid {}: expected {}, found {}, which is {error}",
                key.name,
                key.kind,
                found(key, value)
            ),
            fix: format!("write a number with its unit, such as {}", key.default),
        }),
    }
}

/// A number of bytes, alone or with `KiB` or `MiB`, within the bounds of the key.
pub fn bytes(key: &Key, value: &Value) -> Result<NonZeroUsize, Refusal> {
    let text = scalar(key, value)?.text.trim();
    let unit_start = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit_start);
    let unit_bytes: usize = match unit.trim_start() {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => 0,
    };
    let size = digits.parse().ok().and_then(|number: usize| number.checked_mul(unit_bytes));
    let in_bounds = |size: &usize| match key.kind {
        Kind::Bytes { least, most } => (least..=most).contains(size),
        _ => true,
    };
    size.filter(in_bounds).and_then(NonZeroUsize::new).ok_or_else(|| {
        unexpected(key, value, "write whole bytes, or a whole number with KiB or MiB")
    })
}

/// A number of threads; `None` is one for each core.
pub fn threads(key: &Key, value: &Value) -> Result<Option<NonZeroUsize>, Refusal> {
    let text = scalar(key, value)?.text.trim();
    if text.eq_ignore_ascii_case("auto") {
        return Ok(None);
    }
    let in_bounds = |threads: &NonZeroUsize| match key.kind {
        Kind::Threads { most } => threads.get() <= most,
        _ => true,
    };
    text.parse().ok().filter(in_bounds).map(Some).ok_or_else(|| {
        unexpected(key, value, "write auto to use every core, or how many threads to run")
    })
}

/// Addresses and networks: a list, or a text with commas. `[]` and `none` are nobody.
pub fn networks(key: &Key, value: &Value) -> Result<Vec<IpNet>, Refusal> {
    let texts: Vec<&str> = match value {
        Value::List(items) => items.iter().map(|item| item.text.as_str()).collect(),
        _ => match scalar(key, value)?.text.trim() {
            "none" => Vec::new(),
            text => text.split(',').collect(),
        },
    };
    texts
        .into_iter()
        .map(|text| {
            let text = text.trim();
            let network = text.parse::<IpNet>().map(|network| network.trunc());
            network.or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| Refusal {
                what: format!("expected {}, found {} in it", key.kind, quoted(text)),
                fix: "write addresses, not names; [] (or none) trusts nobody".to_owned(),
            })
        })
        .collect()
}

/// A level of logging.
pub fn log_level(key: &Key, value: &Value) -> Result<LogLevel, Refusal> {
    match scalar(key, value)?.text.trim().to_ascii_lowercase().as_str() {
        "error" => Ok(LogLevel::Error),
        "warn" => Ok(LogLevel::Warn),
        "info" => Ok(LogLevel::Info),
        "debug" => Ok(LogLevel::Debug),
        "trace" => Ok(LogLevel::Trace),
        _ => Err(unexpected(key, value, "write one of these words")),
    }
}

/// A format of logging.
pub fn log_format(key: &Key, value: &Value) -> Result<LogFormat, Refusal> {
    match scalar(key, value)?.text.trim().to_ascii_lowercase().as_str() {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(unexpected(key, value, "write one of these words")),
    }
}

/// The text of `value`, if it is one; an empty one for nothing.
fn scalar<'a>(key: &Key, value: &'a Value) -> Result<&'a Scalar, Refusal> {
    static EMPTY: Scalar = Scalar { text: String::new(), quoted: false };
    match value {
        Value::Null => Ok(&EMPTY),
        Value::Scalar(scalar) => Ok(scalar),
        Value::List(_) | Value::Nested => {
            Err(unexpected(key, value, "write one value behind the key"))
        }
    }
}

fn unexpected(key: &Key, value: &Value, fix: &str) -> Refusal {
    Refusal {
        what: format!("expected {}, found {}", key.kind, found(key, value)),
        fix: fix.to_owned(),
    }
}

/// What `value` is, for a message; nothing of it if the key is secret.
fn found(key: &Key, value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::List(_) => "a list".to_owned(),
        Value::Nested => "nested values".to_owned(),
        Value::Scalar(_) if key.kind.is_secret() => "something else".to_owned(),
        Value::Scalar(Scalar { text, quoted: true }) => format!("the text {}", quoted(text)),
        Value::Scalar(Scalar { text, quoted: false }) => quoted(text),
    }
}

/// `text` in quotes, on one line and not longer than a line takes.
pub fn quoted(text: &str) -> String {
    const MOST_CHARS: usize = 60;
    match text.char_indices().nth(MOST_CHARS) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::*;
    use super::*;

    fn in_quotes(text: &str) -> Value {
        Value::Scalar(Scalar { text: text.to_owned(), quoted: true })
    }

    fn list(texts: &[&str]) -> Value {
        let item = |text: &&str| Scalar { text: (*text).to_owned(), quoted: false };
        Value::List(texts.iter().map(item).collect())
    }

    #[test]
    fn ports_are_whole_numbers_without_quotes() {
        assert_eq!(port(&WS_PORT, &Value::plain("0")), Ok(0));
        assert_eq!(port(&WS_PORT, &Value::plain("65535")), Ok(65_535));
        assert_eq!(port(&WS_PORT, &Value::plain("80\r")), Ok(80), "a list of variables with CRLF");
        for text in ["80.5", "65536", "-1", "0800", "0x50", "http", "8e3"] {
            assert!(port(&WS_PORT, &Value::plain(text)).is_err(), "{text}");
        }

        assert_eq!(
            port(&WS_PORT, &in_quotes("8000")).unwrap_err(),
            Refusal {
                what: "expected a whole number from 0 to 65535, found the text \"8000\"".to_owned(),
                fix: "remove the quotes".to_owned(),
            }
        );
        assert!(port(&WS_PORT, &list(&["1"])).unwrap_err().what.ends_with("found a list"));
    }

    #[test]
    fn a_port_that_kubernetes_set_is_explained() {
        let refusal = port(&WS_PORT, &Value::plain("tcp://10.0.0.1:9000")).unwrap_err();

        assert!(refusal.fix.contains("enableServiceLinks"));
    }

    #[test]
    fn addresses_are_ip_addresses_localhost_or_all() {
        let ip = |text: &str| Some(text.parse().unwrap());
        for (text, expected) in [
            ("", None),
            ("127.0.0.1", ip("127.0.0.1")),
            ("localhost", ip("127.0.0.1")),
            ("0.0.0.0", ip("0.0.0.0")),
            ("::", ip("::")),
            ("[::1]", ip("::1")),
            (" ::1 ", ip("::1")),
        ] {
            assert_eq!(address(&WS_BIND, &in_quotes(text)), Ok(expected), "{text}");
        }
        for text in ["127.0.0.1:9000", "example.org", "*", "10.0.0.0/8", "1.2.3"] {
            assert!(address(&WS_BIND, &Value::plain(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_refused_secret_is_counted_but_not_shown() {
        assert!(secret(&WORKER_SECRET, &Value::plain("01234567890123456789012345678901")).is_ok());

        let short = secret(&WORKER_SECRET, &Value::plain("hunter2")).unwrap_err();
        let missing = secret(&WORKER_SECRET, &Value::Null).unwrap_err();
        let nested = secret(&WORKER_SECRET, &list(&["hunter2"])).unwrap_err();

        assert_eq!(short.what, "worker_secret must be at least 32 characters: it has 7");
        assert_eq!(missing.what, "worker_secret must be at least 32 characters: none is set");
        for refusal in [short, nested] {
            assert!(!format!("{refusal:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_bad_redis_url_is_refused_without_showing_its_password() {
        assert!(matches!(redis_url(&REDIS_URL, &in_quotes("")), Ok(None)));
        assert!(matches!(redis_url(&REDIS_URL, &Value::plain("redis://h")), Ok(Some(_))));

        let Err(refusal) = redis_url(&REDIS_URL, &Value::plain("redis://u:hunter2@h:x/0")) else {
            panic!("taken");
        };

        assert!(refusal.what.starts_with("the address has a port"));
        assert!(!format!("{refusal:?}").contains("hunter2"));
    }

    #[test]
    fn names_are_one_word_and_words_are_these() {
        assert_eq!(name(&NODE_NAME, &Value::plain("")), Ok(None));
        assert_eq!(name(&NODE_NAME, &Value::plain(" web-1 ")), Ok(Some("web-1".to_owned())));
        for text in ["a b", "a\tb", &"x".repeat(101)] {
            assert!(name(&NODE_NAME, &Value::plain(text)).is_err(), "{text}");
        }
        assert_eq!(boolean(&REDIS_TLS_VERIFY, &Value::plain("False")), Ok(false));
        assert_eq!(
            boolean(&REDIS_TLS_VERIFY, &Value::plain("no")).unwrap_err().what,
            "expected true or false, found \"no\""
        );
        assert_eq!(on_gap(&ON_GAP, &Value::plain("ignore")), Ok(OnGap::Ignore));
        assert!(on_gap(&ON_GAP, &Value::plain("close")).is_err());
    }

    #[test]
    fn a_file_of_certificates_has_to_be_there_and_to_hold_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let what = |text: &str| {
            certificates(&REDIS_CA_FILE, &Value::plain(text)).map_err(|refusal| refusal.what)
        };

        assert!(what("/nonexistent.pem").unwrap_err().contains("cannot be read"));
        assert!(what(path).unwrap_err().ends_with("without one"));
        std::fs::write(path, "-----BEGIN CERTIFICATE-----\n").unwrap();
        assert_eq!(what(path), Ok(Some(file.path().to_owned())));
        assert_eq!(what(""), Ok(None));
    }

    #[test]
    fn durations_use_the_fixed_texts_of_the_go_worker() {
        assert_eq!(duration(&TOPIC_TTL, &Value::plain("1h30m")), Ok(Duration::from_secs(5_400)));

        let what = |text| duration(&TOPIC_TTL, &Value::plain(text)).unwrap_err().what;

        assert_eq!(what("0"), "topic_ttl must be positive, found \"0\"");
        assert_eq!(what("-1h"), "topic_ttl must be positive, found \"-1h\"");
        assert_eq!(
            what("24"),
            "invalid topic_ttl: expected a duration such as 10s, 1h30m or 500ms, found \"24\", which is a number without a unit"
        );
    }

    #[test]
    fn sizes_take_kib_and_mib_and_keep_to_their_bounds() {
        let size = |text| bytes(&BACKLOG_BYTES, &Value::plain(text)).map(NonZeroUsize::get);
        for (text, expected) in [
            ("4096", 4_096),
            ("4KiB", 4_096),
            ("4 KiB", 4_096),
            ("1MiB", 1 << 20),
            ("1024MiB", 1 << 30),
        ] {
            assert_eq!(size(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "0",
            "4095",
            "3KiB",
            "1025MiB",
            "1MB",
            "1kib",
            "1M",
            "1.5MiB",
            "-1",
            "KiB",
            "99999999999999999999",
            "99999999999999999MiB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn networks_are_a_list_or_a_text_with_commas() {
        let nets = |value: &Value| {
            networks(&TRUSTED_PROXIES, value)
                .map(|nets| nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };

        assert_eq!(
            nets(&list(&["192.0.2.7", "10.1.2.3/8", "::1"])).unwrap(),
            "192.0.2.7/32 10.0.0.0/8 ::1/128"
        );
        assert_eq!(nets(&Value::plain("192.0.2.7, fc00::/7")).unwrap(), "192.0.2.7/32 fc00::/7");
        assert_eq!(nets(&list(&[])).unwrap(), "");
        assert_eq!(nets(&Value::plain("none")).unwrap(), "");
        for value in [
            Value::plain("proxy.example.org"),
            Value::plain("10.0.0.0/33"),
            Value::plain("10.0.0.1,"),
            list(&["x"]),
            Value::Nested,
        ] {
            assert!(nets(&value).is_err());
        }
        assert!(
            nets(&list(&["10.0.0.1", "proxy"]))
                .unwrap_err()
                .what
                .ends_with("found \"proxy\" in it")
        );
    }

    #[test]
    fn threads_are_auto_or_a_number_within_bounds() {
        let of = |text| threads(&THREADS, &Value::plain(text));

        assert_eq!(of("auto"), Ok(None));
        assert_eq!(of("1"), Ok(NonZeroUsize::new(1)));
        assert_eq!(of("512"), Ok(NonZeroUsize::new(512)));
        for text in ["0", "-1", "513", "two", "1.5", "all", "99999999999999999999999"] {
            let refusal = of(text).unwrap_err();
            assert_eq!(
                refusal.what,
                format!("expected auto, or a whole number from 1 to 512, found {text:?}")
            );
        }
    }

    #[test]
    fn levels_and_formats_are_words() {
        assert_eq!(log_level(&LOG_LEVEL, &Value::plain("debug")), Ok(LogLevel::Debug));
        assert_eq!(log_level(&LOG_LEVEL, &Value::plain("WARN")), Ok(LogLevel::Warn));
        assert!(log_level(&LOG_LEVEL, &Value::plain("loud")).is_err());
        assert_eq!(log_format(&LOG_FORMAT, &Value::plain("json")), Ok(LogFormat::Json));
        assert!(log_format(&LOG_FORMAT, &Value::plain("xml")).is_err());
    }

    #[test]
    fn a_quoted_value_is_one_short_line() {
        assert_eq!(quoted("a\nb"), "\"a\\nb\"");
        assert_eq!(quoted(&"ä".repeat(100)).chars().count(), 63);
    }
}
