//! `check`: says everything that is wrong with a configuration, and what is in force.
//!
//! It starts nothing and changes nothing. Start reading at [`check`].

use std::io::{self, Write};
use std::path::Path;

use super::paint::{BAD, GOOD, ODD, paint};
use crate::config::{Env, Origin, Problem, Report, Severity, examine};

/// Writes the report on the configuration of `path` and `env` to `out`; returns the exit code:
/// 0 if the worker would start with it, else 1.
///
/// First the problems, one a line as `error: file:line: key: …`, then the risks, then every key
/// with its value and who set it. The secret is never shown.
///
/// # Errors
///
/// That `out` could not be written.
pub fn check(path: Option<&Path>, env: Env<'_>, out: &mut dyn Write) -> io::Result<u8> {
    let report = examine(path, env);
    for problem in &report.problems {
        writeln!(out, "{} {problem}", severity(problem))?;
    }
    for risk in &report.risks {
        writeln!(out, "{} {risk}", paint(ODD, "risk:"))?;
    }
    if !report.problems.is_empty() || !report.risks.is_empty() {
        writeln!(out)?;
    }
    settings(&report, out)?;
    writeln!(out, "\n{}", summary(&report))?;
    Ok(u8::from(report.config.is_none()))
}

fn severity(problem: &Problem) -> String {
    match problem.severity {
        Severity::Error => paint(BAD, "error:"),
        Severity::Warning => paint(ODD, "warning:"),
    }
}

/// A table of every key, what is in force for it, and who set it.
fn settings(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let name_width =
        report.settings.iter().map(|setting| setting.key.name.len()).max().unwrap_or(0);
    for setting in &report.settings {
        let name = setting.key.name;
        let refused = report
            .problems
            .iter()
            .any(|problem| problem.is_error() && problem.key.as_deref() == Some(name));
        let refused = if refused { ", refused" } else { "" };
        let origin = match &setting.origin {
            Origin::File { line: Some(line), .. } => format!("line {line}"),
            origin => origin.to_string(),
        };
        writeln!(out, "{name:name_width$}  {}  ({origin}{refused})", setting.shown)?;
    }
    Ok(())
}

fn summary(report: &Report) -> String {
    let errors = report.problems.iter().filter(|problem| problem.is_error()).count();
    let warnings = report.problems.len() - errors;
    let verdict = match report.config {
        Some(_) => paint(GOOD, "good:"),
        None => paint(BAD, "the worker would not start:"),
    };
    format!(
        "{verdict} {}, {}, {}",
        counted(errors, "error"),
        counted(warnings, "warning"),
        counted(report.risks.len(), "risk")
    )
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;

    use super::*;

    /// The exit code and the output for a file with `text` and the environment `env`.
    fn checked(text: &str, env: &[(&str, &str)]) -> (u8, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        fs::write(&path, text).unwrap();
        let lookup = |name: &str| {
            env.iter().find(|(known, _)| *known == name).map(|(_, text)| OsString::from(text))
        };
        let mut out = Vec::new();
        let code = check(Some(&path), &lookup, &mut out).unwrap();
        let directory = format!("{}/", directory.path().display());
        let output = String::from_utf8(out).unwrap();
        let output = anstream::adapter::strip_str(&output).to_string();
        (code, output.replace(&directory, ""))
    }

    #[test]
    fn a_good_configuration_is_shown_with_who_set_what_and_without_the_secret() {
        let secret = "f3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let (code, output) = checked(
            &format!("worker_secret: {secret}\ninternal_bind: \"\"\n"),
            &[("WORKER_WS_PORT", "8000")],
        );

        assert_eq!(code, 0);
        assert!(!output.contains(secret));
        for line in [
            "risk: internal_bind is every address, not loopback",
            "worker_secret            (set, 64 bytes)  (line 1)\n",
            "ws_port                  8000  (WORKER_WS_PORT)\n",
            "internal_bind            every address  (line 2)\n",
            "topic_ttl                24h  (default)\n",
            "redis_url                (not set)  (default)\n",
            "good: 0 errors, 0 warnings, 2 risks\n",
        ] {
            assert!(output.contains(line), "{line}\n{output}");
        }
    }

    #[test]
    fn every_problem_is_shown_with_its_place() {
        let (code, output) = checked(
            "worker_secret: hunter2\nws_port: \"8000\"\n\nws_prot: 1\ntopic_ttl: 24\n",
            &[("WORKER_LOG_LEVEL", "loud")],
        );

        assert_eq!(code, 1);
        assert!(!output.contains("hunter2"));
        for line in [
            "warning: config.yaml:4: ws_prot: unknown key, ignored; did you mean ws_port?\n",
            "error: config.yaml:1: worker_secret must be at least 32 characters: it has 7; ",
            "error: config.yaml:2: ws_port: expected a whole number from 0 to 65535, found the text \"8000\"; remove the quotes\n",
            "error: config.yaml:5: invalid topic_ttl: ",
            "error: WORKER_LOG_LEVEL: log_level: expected one of error, warn, info, debug, trace, found \"loud\"; ",
            "ws_port                  8000  (line 2, refused)\n",
            "the worker would not start: 4 errors, 1 warning, 0 risks\n",
        ] {
            assert!(output.contains(line), "{line}\n{output}");
        }
    }
}
