//! `doctor`: tests the whole path from PHP to the browser, and prints what to change.
//!
//! Here are its arguments and how it looks; what is tested is in `doctor`. Start reading at
//! [`doctor()`].

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use hyper::Uri;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::paint::{BAD, FAINT, GOOD, ODD, paint};
use super::{print, print_painted, printable};
use crate::client::address::{self, Address, WsUrl};
use crate::config::{self, DEFAULT_FILE, Env, keys};
use crate::doctor::finding::{Finding, Report, State, Step};
use crate::doctor::proxy::Proxy;
use crate::doctor::route::public_url;
use crate::doctor::{self, Plan, Watcher};

/// A token, where none is to be made.
const TOKEN_VARIABLE: &str = "WORKER_TOKEN";

/// Bytes of a `worker.php` or a token that are read.
const MOST_BYTES: u64 = 1 << 20;

/// Width of the first two columns.
const MARK_WIDTH: usize = 4;
const TITLE_WIDTH: usize = 16;

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Where browsers connect: wss://log.example.org/ws, or the site's https:// address.
    #[arg(long, value_name = "URL", value_parser = public_url)]
    url: Option<WsUrl>,
    /// The application's config/worker.php, to compare.
    #[arg(long, value_name = "FILE")]
    php: Option<PathBuf>,
    /// Internal address of the worker, instead of the configured one.
    #[arg(long, value_name = "URL", value_parser = address::internal)]
    internal: Option<Address>,
    /// Leave out what takes longer than some seconds: holding a silent socket.
    #[arg(long)]
    quick: bool,
    /// Print one JSON document instead.
    #[arg(long)]
    json: bool,
    /// The site whose pages connect, if it is not the host of --url, such as `https://www.example.org`.
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    origin: Option<String>,
    /// Show the token in this file instead of one made with the secret; WORKER_TOKEN does the same.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Which proxy stands in front, if it hides that.
    #[arg(long, value_name = "NAME", value_enum)]
    proxy: Option<ProxyName>,
}

/// A proxy whose lines we know.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ProxyName {
    Nginx,
    Apache,
    Haproxy,
    Caddy,
}

/// Everything that was found, for programs.
#[derive(Serialize)]
struct Document<'a> {
    /// Whether all is well, warnings allowed.
    ok: bool,
    verdict: String,
    steps: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    title: &'static str,
    #[serde(flatten)]
    finding: &'a Finding,
}

/// Tests, prints, and returns the exit code: 1 if something does not work.
pub(super) fn doctor(args: DoctorArgs, path: Option<&Path>, env: Env<'_>) -> Result<u8, String> {
    let json = args.json;
    let plan = plan(args, path, env)?;
    let show = Show::new(json);
    let report = super::block_on(doctor::examine(plan, &show))?;
    show.clear();
    if json {
        let steps = report.findings.iter();
        let steps = steps.map(|finding| Entry { title: finding.step.title(), finding }).collect();
        let document = Document { ok: !report.has_failed(), verdict: report.verdict(), steps };
        let text = serde_json::to_string_pretty(&document)
            .map_err(|error| format!("the report cannot be written: {error}"))?;
        print(&(text + "\n"))?;
    } else {
        print_painted(&format!("\n{}\n", verdict(&report)))?;
    }
    Ok(u8::from(report.has_failed()))
}

fn plan(args: DoctorArgs, path: Option<&Path>, env: Env<'_>) -> Result<Plan, String> {
    let DoctorArgs { url, php, internal, quick, origin, token_file, proxy, .. } = args;
    let token = match token_file {
        Some(file) => {
            let text = read(&file).map_err(|why| {
                format!("{}: the token cannot be read: {why}; correct --token-file", file.display())
            })?;
            Some(text.trim().to_owned())
        }
        None => env(TOKEN_VARIABLE).and_then(|token| token.into_string().ok()),
    };
    let php = php.map(|file| {
        let text = read(&file);
        (file, text)
    });
    Ok(Plan {
        config: configuration(path, env),
        internal,
        secret: None,
        php,
        url,
        origin,
        token: token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()),
        proxy: proxy.map(|name| match name {
            ProxyName::Nginx => Proxy::Nginx,
            ProxyName::Apache => Proxy::Apache,
            ProxyName::Haproxy => Proxy::Haproxy,
            ProxyName::Caddy => Proxy::Caddy,
        }),
        quick,
    })
}

/// The worker's configuration and its file, if there is anything at hand that may be one.
fn configuration(path: Option<&Path>, env: Env<'_>) -> Option<(config::Report, Option<PathBuf>)> {
    let file = path.unwrap_or(Path::new(DEFAULT_FILE));
    let has_file = file.exists();
    let has_secret = env(keys::WORKER_SECRET.env).is_some_and(|secret| !secret.is_empty());
    if path.is_none() && !has_file && !has_secret {
        return None;
    }
    Some((config::examine(path, env), has_file.then(|| file.to_owned())))
}

fn read(file: &Path) -> Result<String, String> {
    let reading = fs::File::open(file).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    });
    reading.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "it may not be read".to_owned(),
        _ => error.to_string(),
    })
}

/// Reads an origin, as browsers send it.
fn origin(text: &str) -> Result<String, String> {
    const EXAMPLE: &str = "write it as https://www.example.org, without a path";

    let uri: Uri = text.parse().map_err(|_| EXAMPLE.to_owned())?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
    match (uri.scheme_str(), authority, uri.path()) {
        (Some(scheme @ ("http" | "https")), Some(authority), "/") => {
            Ok(format!("{scheme}://{authority}"))
        }
        _ => Err(EXAMPLE.to_owned()),
    }
}

/// Prints each step as it ends, and on a terminal which one is under way.
struct Show {
    json: bool,
    bar: Option<ProgressBar>,
}

impl Show {
    fn new(json: bool) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            // A template that is wrong is one of ours, and the usual bar does as well.
            if let Ok(style) = ProgressStyle::with_template("      {prefix:16} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { json, bar }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// A step: one line, and for what is not well what was expected and what to change.
    fn lines(&self, finding: &Finding) -> String {
        let Finding { step, state, found, expected, change } = finding;
        let indent = " ".repeat(MARK_WIDTH + 2);
        let mut text =
            format!("{}  {:TITLE_WIDTH$}  {}\n", mark(*state), step.title(), printable(found));
        let mut row = |name: &str, words: &str| {
            text += &format!("{indent}{name:TITLE_WIDTH$}  {}\n", printable(words));
        };
        if let Some(expected) = expected {
            row("  expected", expected);
        }
        for (number, line) in change.iter().enumerate() {
            row(if number == 0 { "  change" } else { "" }, line);
        }
        text
    }
}

/// What stands before a step.
fn mark(state: State) -> String {
    let (mark, style) = match state {
        State::Ok => ("ok", GOOD),
        State::LeftOut => ("-", FAINT),
        State::Warning => ("warn", ODD),
        State::Failed => ("FAIL", BAD),
    };
    paint(style, &format!("{mark:MARK_WIDTH$}"))
}

/// The last line.
fn verdict(report: &Report) -> String {
    let style = match (report.has_failed(), report.count(State::Warning)) {
        (true, _) => BAD,
        (false, 0) => GOOD,
        (false, _) => ODD,
    };
    paint(style, &report.verdict())
}

impl Watcher for Show {
    fn begins(&self, step: Step) {
        if let Some(bar) = &self.bar {
            bar.set_prefix(step.title());
            bar.set_message("...");
        }
    }

    fn progress(&self, step: Step, done: Duration, of_all: Duration) {
        const WIDTH: u64 = 30;

        let Some(bar) = &self.bar else {
            if done.is_zero() && !self.json {
                super::note(&format!(
                    "{}: takes up to {} s; --quick leaves it out",
                    step.title(),
                    of_all.as_secs()
                ));
            }
            return;
        };
        let (done, all) = (done.as_secs(), of_all.as_secs().max(1));
        let full = usize::try_from((done * WIDTH / all).min(WIDTH)).unwrap_or_default();
        let empty = usize::try_from(WIDTH).unwrap_or_default() - full;
        bar.set_prefix(step.title());
        bar.set_message(format!(
            "[{}{}] {done} of at most {all} s",
            "=".repeat(full),
            " ".repeat(empty)
        ));
    }

    fn found(&self, finding: &Finding) {
        if self.json {
            return;
        }
        let text = self.lines(finding);
        // Nobody may be left to read it; what is to be returned is the same.
        match &self.bar {
            Some(bar) => bar.suspend(|| drop(print_painted(&text))),
            None => drop(print_painted(&text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::*;

    fn show() -> Show {
        Show { json: false, bar: None }
    }

    #[test]
    fn a_fault_has_what_was_expected_and_what_to_change_below_it() {
        let finding = Finding::failed(Step::Upgrade, "400 \"Bad\u{1b} Request\"")
            .expected("101")
            .change("nginx:")
            .change("    proxy_http_version 1.1;");

        assert_eq!(
            strip_str(&show().lines(&finding)).to_string(),
            "FAIL  upgrade           400 \"Bad\\u{1b} Request\"\n\
             \x20       expected        101\n\
             \x20       change          nginx:\n\
             \x20                           proxy_http_version 1.1;\n"
        );
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        assert_eq!(origin("https://a.example:8443").unwrap(), "https://a.example:8443");
        assert_eq!(origin("https://a.example/").unwrap(), "https://a.example");
        assert!(origin("a.example").is_err());
        assert!(origin("https://a.example/log").is_err());
        assert!(origin("wss://a.example").is_err());
    }
}
