//! What can go wrong on the way to Redis, in words that name no password.
//!
//! The crate's errors are translated here and nowhere else. Start reading at [`RedisError`].

use ::redis::{ErrorKind, ServerErrorKind};

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedisError {
    /// The connection is lost, or was given up; whether the command was carried out is unknown.
    #[error("connection lost: {0}")]
    Lost(String),
    /// Redis answered that it cannot do this now: it is loading, or a read-only replica. The
    /// connection is given up; the command was not carried out.
    #[error("{0}")]
    NotServing(String),
    /// Redis answered with another error; the command was not carried out.
    #[error("{code}: {detail}")]
    Refused {
        /// The first word of the answer, such as `NOPERM` or `NOSCRIPT`.
        code: String,
        /// The rest.
        detail: String,
    },
}

impl RedisError {
    /// Whether a script keeps Redis from answering for a while.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::NotServing(why) if why.ends_with("(BUSY)"))
    }

    /// What happened, in a few words for the log.
    pub(super) fn into_reason(self) -> String {
        match self {
            Self::Lost(why) | Self::NotServing(why) => why,
            refused @ Self::Refused { .. } => refused.to_string(),
        }
    }
}

/// What a connection that closed without a word is called.
pub(super) const CLOSED: &str = "connection closed";

/// The code of what is not an answer of Redis but one that could not be read as what was expected.
const UNEXPECTED: &str = "UNEXPECTED";

/// What an error of the crate means to whoever asked.
pub(super) fn judge(error: &::redis::RedisError) -> RedisError {
    if let Some(answers) = error.clone().into_server_errors() {
        // Of the answers to a pipeline, one that ends the connection counts before others.
        let judged =
            answers.iter().map(|(_, answer)| judge_answer(answer.code(), answer.details()));
        let mut first = None;
        for verdict in judged {
            if matches!(verdict, RedisError::NotServing(_)) {
                return verdict;
            }
            first.get_or_insert(verdict);
        }
        if let Some(first) = first {
            return first;
        }
    }
    match error.kind() {
        // What the crate makes itself, but of an answer.
        ErrorKind::Server(kind) => judge_answer(server_code(kind), error.detail()),
        ErrorKind::UnexpectedReturnType
        | ErrorKind::Client
        | ErrorKind::Extension
        | ErrorKind::InvalidClientConfig => RedisError::Refused {
            code: UNEXPECTED.to_owned(),
            detail: one_line(&error.to_string()),
        },
        _ => RedisError::Lost(lost(error)),
    }
}

/// What an answer means that is not what was expected.
pub(super) fn unexpected(error: &::redis::ParsingError) -> RedisError {
    RedisError::Refused { code: UNEXPECTED.to_owned(), detail: one_line(&error.to_string()) }
}

/// What an error that Redis answered means.
fn judge_answer(code: &str, detail: Option<&str>) -> RedisError {
    match why_not_serving(code) {
        Some(why) => RedisError::NotServing(format!("{why} ({code})")),
        None => RedisError::Refused {
            code: code.to_owned(),
            detail: one_line(detail.unwrap_or_default()),
        },
    }
}

/// What `code` says of the server, if it says that it is of no use to us now.
fn why_not_serving(code: &str) -> Option<&'static str> {
    Some(match code {
        "LOADING" => "is loading its data",
        "READONLY" => "is a read-only replica",
        "MASTERDOWN" => "is a replica without its master",
        "CLUSTERDOWN" => "its cluster is down",
        "TRYAGAIN" => "its cluster is moving keys",
        "MOVED" | "ASK" => "is a node of a Redis Cluster; redis_url has to say redis+cluster://",
        "BUSY" => "is busy with a script",
        "NOAUTH" => "no longer knows who we are",
        "DENIED" => "is in protected mode and lets only its own machine in",
        _ => return None,
    })
}

fn server_code(kind: ServerErrorKind) -> &'static str {
    match kind {
        ServerErrorKind::BusyLoading => "LOADING",
        ServerErrorKind::ReadOnly => "READONLY",
        ServerErrorKind::MasterDown => "MASTERDOWN",
        ServerErrorKind::ClusterDown => "CLUSTERDOWN",
        ServerErrorKind::TryAgain => "TRYAGAIN",
        ServerErrorKind::Moved => "MOVED",
        ServerErrorKind::Ask => "ASK",
        ServerErrorKind::ExecAbort => "EXECABORT",
        ServerErrorKind::NoScript => "NOSCRIPT",
        ServerErrorKind::CrossSlot => "CROSSSLOT",
        ServerErrorKind::NoPerm => "NOPERM",
        _ => "ERR",
    }
}

/// Why a connection could not be made, for the log. `secrets` are hidden should they be in it,
/// which they are when a server before 6 repeats the command that it does not know.
pub(super) fn not_connected(error: &::redis::RedisError, secrets: &[&str]) -> String {
    let detail = error.detail().unwrap_or_default();
    let unknown = detail.to_ascii_lowercase().contains("unknown command");
    if error.kind() == ErrorKind::RESP3NotSupported || error.code() == Some("NOPROTO") || unknown {
        return "needs Redis 6 or newer, or Valkey".to_owned();
    }
    match error.code() {
        Some("WRONGPASS") => "refuses the user name or the password (WRONGPASS)".to_owned(),
        Some("NOAUTH") => "asks for a password, and none is configured (NOAUTH)".to_owned(),
        _ => hide(&judge(error).into_reason(), secrets),
    }
}

/// The text with every secret replaced.
fn hide(text: &str, secrets: &[&str]) -> String {
    secrets
        .iter()
        .filter(|secret| !secret.is_empty())
        .fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
}

/// What happened to the connection.
fn lost(error: &::redis::RedisError) -> String {
    if error.is_connection_refusal() {
        "connection refused".to_owned() // Of a socket also that there is none.
    } else if error.is_timeout() {
        super::SILENT.to_owned()
    } else if error.is_connection_dropped() {
        CLOSED.to_owned()
    } else {
        one_line(&error.to_string())
    }
}

/// `text` on one line of bearable length.
fn one_line(text: &str) -> String {
    const MOST_CHARS: usize = 200;
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use std::io;

    use ::redis::{Value, make_extension_error};

    use super::*;

    fn answer(code: &str, detail: &str) -> ::redis::RedisError {
        let bytes = format!("-{code} {detail}\r\n");
        let value = ::redis::parse_redis_value(bytes.as_bytes()).unwrap();
        assert!(matches!(value, Value::ServerError(_)));
        value.extract_error().unwrap_err()
    }

    #[test]
    fn what_redis_cannot_do_now_ends_the_connection_and_what_it_refuses_does_not() {
        for code in ["LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY"] {
            let judged = judge(&answer(code, "whatever it says"));

            assert!(matches!(&judged, RedisError::NotServing(why) if why.contains(code)), "{code}");
        }
        assert_eq!(
            judge(&answer("NOSCRIPT", "No matching script.")),
            RedisError::Refused {
                code: "NOSCRIPT".to_owned(),
                detail: "No matching script.".to_owned()
            }
        );
        assert_eq!(
            judge(&make_extension_error("OOM".to_owned(), None)),
            RedisError::Refused { code: "OOM".to_owned(), detail: String::new() }
        );
    }

    #[test]
    fn a_broken_connection_is_told_in_few_words() {
        let told = |kind: io::ErrorKind| judge(&::redis::RedisError::from(io::Error::from(kind)));

        assert_eq!(told(io::ErrorKind::BrokenPipe), RedisError::Lost(CLOSED.to_owned()));
        assert_eq!(
            told(io::ErrorKind::ConnectionRefused),
            RedisError::Lost("connection refused".to_owned())
        );
    }

    #[test]
    fn an_old_server_that_repeats_the_password_does_not_make_it_known() {
        for quotes in ["`HELLO`", "'HELLO'"] {
            let error = answer(
                "ERR",
                &format!("unknown command {quotes}, with args beginning with: `3`, `hunter2`"),
            );

            assert_eq!(not_connected(&error, &["hunter2"]), "needs Redis 6 or newer, or Valkey");
        }
        let odd = not_connected(&answer("ERR", "what is hunter2?\n"), &["", "hunter2"]);
        assert_eq!(odd, "ERR: what is ***?");
    }

    #[test]
    fn a_refused_login_is_explained() {
        let wrong = not_connected(&answer("WRONGPASS", "invalid username-password pair"), &[]);
        let none = not_connected(&answer("NOAUTH", "HELLO must be called with"), &[]);

        assert_eq!(wrong, "refuses the user name or the password (WRONGPASS)");
        assert_eq!(none, "asks for a password, and none is configured (NOAUTH)");
    }
}
