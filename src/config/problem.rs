//! What is wrong with a configuration, where, and what to do about it.
//!
//! A problem is made for a person: it is shown as one line, and never shows a secret. Start
//! reading at [`Problem`].

use std::fmt;
use std::path::PathBuf;

/// Where a value comes from, and so where a problem is to be mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the configuration file, counted from 1; no line if it concerns the whole file.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line, counted from 1.
        line: Option<u32>,
    },
    /// An environment variable.
    Environment(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::Environment(variable) => f.write_str(variable),
        }
    }
}

/// Whether the worker starts in spite of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It does not start.
    Error,
    /// It starts, and says so.
    Warning,
}

/// One thing that is wrong with a configuration.
///
/// Its `Display` is one line: `config.yaml:3: ws_port: expected …, found …; do …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether the worker starts in spite of it.
    pub severity: Severity,
    /// Where it is to be mended.
    pub origin: Origin,
    /// The key it concerns, if it concerns one.
    pub key: Option<String>,
    /// What was expected and what was found, or another sentence without a full stop.
    pub what: String,
    /// What to do about it, as an imperative.
    pub fix: String,
    /// The known key that an unknown one resembles most.
    pub nearest: Option<&'static str>,
}

impl Problem {
    /// A problem with which the worker does not start.
    pub fn error(origin: Origin, key: Option<&str>, what: String, fix: String) -> Self {
        let key = key.map(str::to_owned);
        Self { severity: Severity::Error, origin, key, what, fix, nearest: None }
    }

    /// A problem with which the worker starts all the same.
    pub fn warning(origin: Origin, key: Option<&str>, what: String, fix: String) -> Self {
        Self { severity: Severity::Warning, ..Self::error(origin, key, what, fix) }
    }

    /// Whether the worker does not start with it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin != Origin::Default {
            write!(f, "{}: ", self.origin)?;
        }
        match &self.key {
            // The fixed texts of the Go worker name the key themselves.
            Some(key) if !self.what.contains(key.as_str()) => write!(f, "{key}: ")?,
            _ => {}
        }
        write!(f, "{}; {}", self.what, self.fix)
    }
}

/// The configuration cannot be used.
///
/// Its `Display` is one line, for the standard error of a worker that does not start: the first
/// error, and how many problems more there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// Everything that is wrong, warnings too; at least one is an error.
    pub problems: Vec<Problem>,
}

impl std::error::Error for LoadError {}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(first) = self.problems.iter().find(|problem| problem.is_error()) {
            write!(f, "{first}")?;
        }
        match self.problems.len() {
            0 | 1 => Ok(()),
            count => write!(f, " (and {} more: run `wavelog_worker check`)", count - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_line(line: u32) -> Origin {
        Origin::File { path: PathBuf::from("config.yaml"), line: Some(line) }
    }

    #[test]
    fn a_problem_is_one_line_that_says_where_what_and_how_to_mend_it() {
        let problem = Problem::error(
            in_line(3),
            Some("ws_port"),
            "expected a port, found \"80.5\"".to_owned(),
            "write a whole number".to_owned(),
        );

        assert_eq!(
            problem.to_string(),
            "config.yaml:3: ws_port: expected a port, found \"80.5\"; write a whole number"
        );
    }

    #[test]
    fn a_key_is_not_named_twice() {
        let problem = Problem::error(
            Origin::Environment("WORKER_TOPIC_TTL"),
            Some("topic_ttl"),
            "topic_ttl must be positive".to_owned(),
            "write 24h".to_owned(),
        );

        assert_eq!(problem.to_string(), "WORKER_TOPIC_TTL: topic_ttl must be positive; write 24h");
    }

    #[test]
    fn a_load_error_shows_the_first_error_and_counts_the_rest() {
        let warning = Problem::warning(in_line(1), None, "odd".to_owned(), "look".to_owned());
        let error = Problem::error(in_line(2), None, "bad".to_owned(), "mend".to_owned());

        let alone = LoadError { problems: vec![error.clone()] };
        let several = LoadError { problems: vec![warning, error] };

        assert_eq!(alone.to_string(), "config.yaml:2: bad; mend");
        assert_eq!(
            several.to_string(),
            "config.yaml:2: bad; mend (and 1 more: run `wavelog_worker check`)"
        );
    }
}
