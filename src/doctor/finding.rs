//! What a step found: one line, and for what is not well also what was expected and what to change.
//!
//! Pure. No finding holds a secret or a token. Start reading at [`Finding`].

use serde::Serialize;

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// All well.
    Ok,
    /// Not looked at; the finding says why.
    LeftOut,
    /// It works, and something is better changed.
    Warning,
    /// It does not work.
    Failed,
}

/// One thing that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The worker's file and environment.
    Config,
    /// Who may read the file.
    Permissions,
    /// How many files may be open.
    Files,
    /// Who listens on the two ports.
    Ports,
    /// A call as PHP makes it.
    Internal,
    /// `/readyz`.
    Ready,
    /// This machine's clock and the worker's.
    Clock,
    /// Whom the worker refused lately.
    Refused,
    /// Whether Redis answers and is one that can be used.
    Redis,
    /// What the worker may do there.
    RedisRights,
    /// What it does when its memory is full.
    RedisMemory,
    /// Who else writes there.
    RedisOthers,
    /// A push over the worker's own WebSocket port.
    Direct,
    /// What the application's `worker.php` says.
    Php,
    /// The secret in it.
    PhpSecret,
    /// Where it says that the worker is.
    PhpAddress,
    /// Where it sends browsers.
    PhpClientUrl,
    /// Its times.
    PhpTimes,
    /// The public name.
    Dns,
    /// Connections to its addresses.
    Connect,
    /// TLS and the certificate.
    Tls,
    /// From HTTP to a WebSocket.
    Upgrade,
    /// The browser client's script.
    Script,
    /// The page's origin.
    Origin,
    /// The clock of whoever answers there.
    PublicClock,
    /// A token.
    Auth,
    /// From PHP's call to the browser.
    Push,
    /// Whether pushes come one by one.
    Buffering,
    /// Whether strangers reach the internal API.
    Exposure,
    /// A socket on which nothing passes.
    Idle,
}

impl Step {
    /// What it is called in front of its line.
    pub fn title(self) -> &'static str {
        match self {
            Self::Config => "configuration",
            Self::Permissions => "permissions",
            Self::Files => "open files",
            Self::Ports => "ports",
            Self::Internal => "PHP's call",
            Self::Ready => "ready",
            Self::Clock => "clock",
            Self::Refused => "refused lately",
            Self::Redis => "Redis",
            Self::RedisRights => "Redis rights",
            Self::RedisMemory => "Redis memory",
            Self::RedisOthers => "Redis neighbours",
            Self::Direct => "worker alone",
            Self::Php => "worker.php",
            Self::PhpSecret => "PHP's secret",
            Self::PhpAddress => "PHP's address",
            Self::PhpClientUrl => "PHP's client URL",
            Self::PhpTimes => "PHP's times",
            Self::Dns => "name",
            Self::Connect => "connection",
            Self::Tls => "TLS",
            Self::Upgrade => "upgrade",
            Self::Script => "client.js",
            Self::Origin => "origin",
            Self::PublicClock => "public clock",
            Self::Auth => "authentication",
            Self::Push => "push",
            Self::Buffering => "buffering",
            Self::Exposure => "internal API",
            Self::Idle => "idle socket",
        }
    }
}

/// What a step found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which.
    pub step: Step,
    /// How it ended.
    pub state: State,
    /// What was found, in one line.
    pub found: String,
    /// What was expected, if that was not it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What to change: a sentence, or lines of a file, as they are to be written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub change: Vec<String>,
}

impl Finding {
    /// All well.
    pub fn ok(step: Step, found: impl Into<String>) -> Self {
        Self { step, state: State::Ok, found: found.into(), expected: None, change: Vec::new() }
    }

    /// Not looked at, for this reason.
    pub fn left_out(step: Step, why: impl Into<String>) -> Self {
        Self { state: State::LeftOut, ..Self::ok(step, why) }
    }

    /// It works, but.
    pub fn warning(step: Step, found: impl Into<String>) -> Self {
        Self { state: State::Warning, ..Self::ok(step, found) }
    }

    /// It does not work.
    pub fn failed(step: Step, found: impl Into<String>) -> Self {
        Self { state: State::Failed, ..Self::ok(step, found) }
    }

    /// Adds what should have been found.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Adds a line of what to change.
    #[must_use]
    pub fn change(mut self, line: impl Into<String>) -> Self {
        self.change.push(line.into());
        self
    }

    /// Adds several.
    #[must_use]
    pub fn changes(mut self, lines: Vec<String>) -> Self {
        self.change.extend(lines);
        self
    }
}

/// Everything that was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// In the order of the steps.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The findings that ended so.
    pub fn count(&self, state: State) -> usize {
        self.findings.iter().filter(|finding| finding.state == state).count()
    }

    /// Whether something does not work.
    pub fn has_failed(&self) -> bool {
        self.count(State::Failed) > 0
    }

    /// All of it in one line.
    pub fn verdict(&self) -> String {
        let several = |count: usize, one: &str, many: &str| match count {
            1 => format!("1 {one}"),
            _ => format!("{count} {many}"),
        };
        let failed = self.count(State::Failed);
        let warnings = match self.count(State::Warning) {
            0 => String::new(),
            count => format!(", {}", several(count, "warning", "warnings")),
        };
        let left_out = match self.count(State::LeftOut) {
            0 => String::new(),
            count => format!(", {count} left out"),
        };
        let first = self.findings.iter().find(|finding| finding.state == State::Failed);
        match first {
            Some(first) => format!(
                "{} found{warnings}{left_out}; begin with \"{}\"",
                several(failed, "fault", "faults"),
                first.step.title()
            ),
            None if self.count(State::Ok) == 0 => "nothing could be looked at".to_owned(),
            None => format!(
                "no faults found in {}{warnings}{left_out}",
                several(self.count(State::Ok) + self.count(State::Warning), "step", "steps")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_one_line_and_names_the_first_fault() {
        let mut report = Report::default();
        assert_eq!(report.verdict(), "nothing could be looked at");

        report.findings.push(Finding::ok(Step::Config, "good"));
        report.findings.push(Finding::warning(Step::Clock, "odd"));
        report.findings.push(Finding::left_out(Step::Tls, "no TLS"));
        assert_eq!(report.verdict(), "no faults found in 2 steps, 1 warning, 1 left out");

        report.findings.push(Finding::failed(Step::Upgrade, "no"));
        report.findings.push(Finding::failed(Step::Script, "no"));
        assert_eq!(
            report.verdict(),
            "2 faults found, 1 warning, 1 left out; begin with \"upgrade\""
        );
    }
}
