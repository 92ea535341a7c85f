//! `publish`: sends one event the way PHP does.

use std::io::{self, IsTerminal, Read};
use std::path::Path;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::value::RawValue;

use super::{settings, waiting};
use crate::client::WorkerError;
use crate::client::address::{self, Address};
use crate::config::Env;

/// Bytes that the worker takes in one request.
const MAX_BODY_BYTES: usize = 1 << 20;

#[derive(Debug, Args)]
pub(super) struct PublishArgs {
    /// Topic to publish to.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    topic: String,
    /// JSON to send; from standard input if it is left away or `-`.
    #[arg(allow_negative_numbers = true)]
    payload: Option<String>,
    /// Register the topic first, for browsers with a token.
    #[arg(long)]
    register: bool,
    /// With --register: let browsers in without a token.
    #[arg(long, requires = "register")]
    open: bool,
    /// Internal address of the worker, instead of the configured one.
    #[arg(long, value_name = "URL", value_parser = address::internal)]
    internal: Option<Address>,
}

/// Why nothing was published. Each says what to do.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    /// Standard input cannot be read.
    #[error("standard input cannot be read: {0}")]
    Input(io::Error),
    /// There is no payload.
    #[error(
        "the payload is empty: give it behind the topic, such as '{{\"n\":1}}', or on standard input"
    )]
    Empty,
    /// Over the bound of the worker.
    #[error("the payload is too large: a request of topic and payload has at most 1 MiB")]
    TooLarge,
    /// Not text at all.
    #[error("the payload is not UTF-8 text: convert it first, for instance with `iconv -t utf-8`")]
    NotUtf8,
    /// Not JSON. The parser's words have a place but nothing of the payload.
    #[error(
        "the payload is not JSON ({0}): a text needs quotes inside those of the shell, such as '\"text\"', and an object looks like '{{\"n\":1}}'"
    )]
    NotJson(serde_json::Error),
    /// The worker did not take it.
    #[error(transparent)]
    Worker(#[from] WorkerError),
}

/// Publishes and says so.
pub(super) fn publish(args: PublishArgs, path: Option<&Path>, env: Env<'_>) -> Result<(), String> {
    let settings = settings::load(path, env)?;
    let topic = args.topic.clone();
    let sent = super::block_on(run(args, settings))?;
    let address = sent.map_err(|error| error.to_string())?;
    super::print(&format!("published to {topic:?} on {address}\n")).map(drop)
}

async fn run(args: PublishArgs, settings: settings::Settings) -> Result<Address, PublishError> {
    let worker = settings.worker(args.internal)?;
    let payload = match args.payload.filter(|payload| payload != "-") {
        Some(payload) => payload.into_bytes(),
        None => read_input().map_err(PublishError::Input)?,
    };
    let payload = check(payload, &args.topic)?;
    if args.register {
        waiting::shown(worker.address(), worker.register(&args.topic, !args.open)).await?;
    }
    waiting::shown(worker.address(), worker.publish(&args.topic, &payload)).await?;
    Ok(worker.address().clone())
}

fn read_input() -> io::Result<Vec<u8>> {
    let input = io::stdin().lock();
    if input.is_terminal() {
        super::note("reading the payload from standard input; end it with Ctrl-D");
    }
    let mut bytes = Vec::new();
    input.take(MAX_BODY_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// `payload` as it is to be sent, if it is JSON that fits into a request for `topic`.
fn check(payload: Vec<u8>, topic: &str) -> Result<Box<RawValue>, PublishError> {
    const AROUND_BYTES: usize = r#"{"topic":"","payload":}"#.len();

    if payload.trim_ascii().is_empty() {
        return Err(PublishError::Empty);
    }
    if AROUND_BYTES + topic.len() + payload.len() > MAX_BODY_BYTES {
        return Err(PublishError::TooLarge);
    }
    let text = String::from_utf8(payload).map_err(|_| PublishError::NotUtf8)?;
    serde_json::from_str(&text).map_err(PublishError::NotJson)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(payload: &str) -> Result<String, String> {
        let checked = check(payload.into(), "t");
        checked.map(|raw| raw.get().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn json_is_sent_as_it_was_written() {
        for payload in ["1", "-5", "null", "\"a\"", r#"{"a": 1.50e+2, "a":"\u003c\ud800"}"#] {
            assert_eq!(checked(payload).as_deref(), Ok(payload));
        }
        assert_eq!(checked(" [1,\n2]\n").as_deref(), Ok("[1,\n2]"));
    }

    #[test]
    fn what_is_not_json_is_refused_with_the_way_to_quote_it() {
        for payload in ["hello", "{n:1}", "{\"a\":1", "1 2", "'a'"] {
            let error = checked(payload).unwrap_err();

            assert!(error.starts_with("the payload is not JSON ("), "{error}");
            assert!(error.contains("'\"text\"'"), "{error}");
            assert!(!error.contains('\n'));
        }
    }

    #[test]
    fn nothing_too_much_and_bytes_are_refused() {
        assert!(matches!(check(b" \n".to_vec(), "t"), Err(PublishError::Empty)));
        assert!(matches!(check(b"\"\xff\"".to_vec(), "t"), Err(PublishError::NotUtf8)));
        assert!(matches!(check(vec![b'1'; MAX_BODY_BYTES], "t"), Err(PublishError::TooLarge)));
    }
}
