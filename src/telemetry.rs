//! Logging: text for people, JSON lines for programs, on standard error.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{LogConfig, LogFormat, LogLevel};

/// Starts logging for the whole process; a second call changes nothing.
pub fn start(config: LogConfig) {
    let level = match config.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // Other crates speak of their own inner life; that is for a developer, not for an operator.
    let filter = EnvFilter::new(format!("warn,wavelog_worker={level}"));
    let lines = fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    // An error means that logging has been started already.
    let _ = match config.format {
        LogFormat::Text => lines.with_ansi(wants_colour()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}

fn wants_colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
