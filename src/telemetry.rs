//! Logging: text for people, JSON lines for programs, on standard error.
//!
//! Lines are written by a thread of their own, for strangers have a say in how many there are, and
//! whoever reads them may stall: then lines are dropped and counted, and nobody waits.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{LogConfig, LogFormat, LogLevel};
use crate::metrics::Metrics;
use crate::problems::Kind;

/// Lines that may wait to be written.
const WAITING_LINES: usize = 4096;

/// How often it is looked whether lines were dropped.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Logging while it lives; dropping it writes what waits.
#[derive(Debug)]
#[must_use]
pub struct Logging {
    lost: ErrorCounter,
    _writer: WorkerGuard,
}

impl Logging {
    /// Says in the log, and among the problems of `metrics`, when lines of the log were dropped,
    /// until `end`. Needs a runtime.
    pub fn report_losses(&self, metrics: Arc<Metrics>, end: CancellationToken) {
        let lost = self.lost.clone();
        tokio::spawn(async move {
            let mut said = 0;
            while end.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
                let lines = lost.dropped_lines();
                if lines > said {
                    let dropped = (lines - said) as u64;
                    let detail = || format!("{dropped} lines");
                    metrics.problems.note_times(Kind::LogLinesDropped, dropped, detail);
                    warn!(
                        lines = lines - said,
                        "log lines were dropped; the log is read too slowly"
                    );
                    said = lines;
                }
            }
        });
    }
}

/// Starts logging for the whole process; of several calls only the first counts.
pub fn start(config: LogConfig) -> Logging {
    let level = match config.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // Other crates speak of their own inner life; that is for a developer, not for an operator.
    let filter = EnvFilter::new(format!("warn,wavelog_worker={level}"));
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES)
        .finish(io::stderr());
    let lost = writer.error_counter();
    let lines = fmt().with_env_filter(filter).with_writer(writer).with_target(false);
    // An error means that logging has been started already.
    let _ = match config.format {
        LogFormat::Text => lines.with_ansi(wants_colour()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Logging { lost, _writer: guard }
}

fn wants_colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
