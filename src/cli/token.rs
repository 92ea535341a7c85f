//! `token`: makes tokens as PHP does, and explains them.

use std::io::{self, BufRead, IsTerminal, Read};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::explain::Explanation;
use super::settings;
use crate::clock::unix_now;
use crate::config::{Env, go_duration};
use crate::token::{self, Claims, Grant};

/// Bytes that are read of a token; real ones have some hundred.
const MAX_TOKEN_BYTES: u64 = 64 * 1024;

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// Make a token for this topic.
    #[arg(
        long,
        value_name = "TOPIC",
        value_parser = NonEmptyStringValueParser::new(),
        required_unless_present_any = ["session", "decode"],
        conflicts_with = "session"
    )]
    topic: Option<String>,
    /// Make a token of the older form, for the topic session.N.
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64)
    )]
    session: Option<u64>,
    /// User that it is for, in PHP's own numbering; 0 is nobody in particular.
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    user_id: i64,
    /// Time until it expires, such as 90s, 1h30m or 24h.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = ttl)]
    ttl: Duration,
    /// Explain the token on standard input instead; exit code 0 if it would be accepted now.
    #[arg(long, conflicts_with_all = ["topic", "session", "user_id", "ttl"])]
    decode: bool,
    /// With --decode: explain it as JSON.
    #[arg(long, requires = "decode")]
    json: bool,
}

/// Makes or explains a token; the exit code.
pub(super) fn token(args: TokenArgs, path: Option<&Path>, env: Env<'_>) -> Result<u8, String> {
    if args.decode {
        return decode(args.json, path, env);
    }
    let secret = settings::load(path, env)?.secret?;
    let grant = match (args.topic, args.session) {
        (Some(topic), _) => Grant::Topic(topic),
        (None, Some(session)) => Grant::Session(session),
        (None, None) => return Err("name what it shall open with --topic or --session".to_owned()),
    };
    let claims = Claims { user_id: args.user_id, grant, expires: expires_in(args.ttl) };
    super::print(&format!("{}\n", token::mint(&claims, &secret)))?;
    Ok(0)
}

/// Unix time `ttl` from now; a part of a second counts whole.
pub(super) fn expires_in(ttl: Duration) -> i64 {
    let secs = ttl.as_secs().saturating_add(u64::from(ttl.subsec_nanos() > 0));
    unix_now().saturating_add_unsigned(secs)
}

fn ttl(text: &str) -> Result<Duration, String> {
    match go_duration::parse(text) {
        Ok(Duration::ZERO) => Err("expected a time above zero, such as 24h".to_owned()),
        Ok(ttl) => Ok(ttl),
        Err(error) => Err(format!("it is {error}; write a time such as 90s, 1h30m or 24h")),
    }
}

fn decode(as_json: bool, path: Option<&Path>, env: Env<'_>) -> Result<u8, String> {
    let token = read_token().map_err(|error| format!("standard input cannot be read: {error}"))?;
    let secret = settings::load(path, env).and_then(|settings| settings.secret);
    let explanation = Explanation::of(&token, &secret, unix_now());
    super::print(&if as_json { explanation.to_json() } else { explanation.to_text() })?;
    Ok(if explanation.is_accepted() { 0 } else { super::FAILED })
}

/// The first line of standard input that is not empty.
fn read_token() -> io::Result<String> {
    let input = io::stdin().lock();
    if input.is_terminal() {
        super::note("paste the token and press Enter");
    }
    let mut line = Vec::new();
    let mut input = input.take(MAX_TOKEN_BYTES);
    while line.trim_ascii().is_empty() {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&line).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_is_above_zero_and_rounded_up() {
        assert_eq!(ttl("1h30m"), Ok(Duration::from_secs(5400)));
        for text in ["0", "-1h", "24", "x"] {
            assert!(ttl(text).is_err(), "{text}");
        }

        let before = unix_now();
        let expires = expires_in(Duration::from_millis(1500));
        assert!((before + 2..=unix_now() + 2).contains(&expires));
        assert_eq!(expires_in(Duration::MAX), i64::MAX);
    }
}
