//! `serve`: runs the worker until it is told to end.

use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::FAILED;
use crate::app::{App, InForce};
use crate::config::{Config, Env, Loaded, LogConfig, LogFormat, LogLevel, examine, keys};
use crate::demo::{self, DemoPorts};
use crate::listener::{make_room_for_files, raise_file_limit};
use crate::status::VERSION;
use crate::telemetry::{self, Logging};

/// Open files below which a busy site runs into the limit.
const FEW_FILES: u64 = 4096;

/// Time that tasks have to end after everything of note has been waited for.
const LEFTOVERS: Duration = Duration::from_millis(100);

/// What ends a worker. Not the end of its terminal, which `nohup` is there to outlive.
pub(super) const TOLD_TO_END: [SignalKind; 2] = [SignalKind::terminate(), SignalKind::interrupt()];

/// What ends a demo or a bench, so that it leaves nothing behind.
pub(super) const TERMINAL_GONE: [SignalKind; 3] =
    [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];

/// Loads the configuration at `path` and serves until SIGTERM or SIGINT; if `end_with_stdin`, also
/// until nobody holds the other end of the pipe that is standard input. Returns the exit code.
///
/// # Errors
///
/// One line that says what is wrong and what to do. If the log is JSON, it is a line of that
/// instead, and the exit code says that it failed.
pub(super) fn serve(path: Option<&Path>, env: Env<'_>, end_with_stdin: bool) -> Result<u8, String> {
    let loaded = match Config::load(path, env) {
        Ok(loaded) => loaded,
        Err(refused) => {
            let format = log_format(path, env);
            let logging = (format == LogFormat::Json)
                .then(|| telemetry::start(LogConfig { level: LogLevel::Error, format }));
            return fail(refused.to_string(), logging);
        }
    };
    let is_json = loaded.config.log.format == LogFormat::Json;
    let files = raise_file_limit();
    make_room_for_files(files); // Before there are threads.
    let logging = telemetry::start(loaded.config.log);
    say_hello(&loaded, files);
    let runtime = runtime(loaded.config.threads)?;
    let result = runtime.block_on(async {
        let in_force = InForce::new(&loaded.settings, &loaded.warnings, &loaded.risks);
        let app = App::bind(loaded.config).map_err(|error| error.to_string())?.showing(in_force);
        let end = end_signal(&TOLD_TO_END)?;
        logging.report_losses(app.metrics(), end.clone());
        if end_with_stdin {
            tokio::spawn(cancel_with_stdin(end.clone()));
        }
        app.run(end).await.map_err(|error| error.to_string())
    });
    runtime.shutdown_timeout(LEFTOVERS);
    match result {
        Ok(()) => Ok(0),
        Err(message) => fail(message, is_json.then_some(logging)),
    }
}

/// Says `message` in `logging` if that is given, and lets it be written.
fn fail(message: String, logging: Option<Logging>) -> Result<u8, String> {
    let Some(logging) = logging else {
        return Err(message);
    };
    error!(why = message, "the worker cannot run");
    drop(logging);
    Ok(FAILED)
}

/// The format of the log that a configuration asks for, though the rest of it cannot be used.
fn log_format(path: Option<&Path>, env: Env<'_>) -> LogFormat {
    let report = examine(path, env);
    let asked = report.settings.iter().find(|setting| setting.key.name == keys::LOG_FORMAT.name);
    match asked {
        Some(setting) if setting.shown == "json" => LogFormat::Json,
        _ => LogFormat::Text,
    }
}

/// Runs the demo until SIGTERM or SIGINT, or until its terminal is closed.
pub(super) fn demo(ports: DemoPorts) -> Result<(), String> {
    raise_file_limit();
    let runtime = runtime(None)?;
    let mut out = io::stdout();
    let result =
        runtime.block_on(async { demo::run(ports, end_signal(&TERMINAL_GONE)?, &mut out).await });
    runtime.shutdown_timeout(LEFTOVERS);
    result
}

/// The runtime that everything runs on, with so many threads, or one for each core.
pub(super) fn runtime(threads: Option<NonZeroUsize>) -> Result<Runtime, String> {
    let mut builder = Builder::new_multi_thread();
    builder.thread_name("worker"); // What `top -H` shows, beside `sockets` and the log's thread.
    if let Some(threads) = threads {
        builder.worker_threads(threads.get());
    }
    builder
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start threads: {error}; the system is short of them"))
}

/// Cancelled by any of `signals`. Needs a runtime.
pub(super) fn end_signal(signals: &[SignalKind]) -> Result<CancellationToken, String> {
    let end = CancellationToken::new();
    for kind in signals {
        let refused = |error| format!("cannot listen for signals: {error}");
        let mut told = signal(*kind).map_err(refused)?;
        let end = end.clone();
        tokio::spawn(async move {
            if told.recv().await.is_some() {
                end.cancel();
            }
        });
    }
    Ok(end)
}

/// Cancels `end` when standard input ends, if that is a pipe. Costs no thread.
async fn cancel_with_stdin(end: CancellationToken) {
    if let Ok(mut stdin) = pipe::OpenOptions::new().open_receiver("/dev/stdin") {
        let _ = tokio::io::copy(&mut stdin, &mut tokio::io::sink()).await;
        end.cancel();
    }
}

fn say_hello(loaded: &Loaded, files: Option<u64>) {
    let mode = if loaded.config.cluster.is_some() { "cluster" } else { "single node" };
    info!(version = VERSION, mode, open_files = files, "wavelog_worker starting");
    for problem in &loaded.warnings {
        warn!("{problem}");
    }
    for risk in &loaded.risks {
        warn!("{risk}");
    }
    if files.is_some_and(|files| files < FEW_FILES) {
        warn!("few files may be open at once, and each socket is one; raise the limit (ulimit -n)");
    }
}
