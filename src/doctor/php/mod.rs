//! The application's side: what its `worker.php` says, compared with the worker's.
//!
//! The file is read, not run (`literal`). The keys are those of the drop-in in
//! `clients/php/codeigniter3` and of Wavelog. Secrets are compared and never shown. Start reading
//! at [`Php::examine`].

mod lexer;
pub mod literal;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::literal::{Setting, Value};
use super::finding::{Finding, Step};
use super::node::{self, Node};
use super::route::public_url;
use super::{Facts, Findings};
use crate::client::address::{self, Address, WsUrl};
use crate::secret::{MIN_SECRET_BYTES, Secret};

/// What the file says.
pub struct Php {
    path: PathBuf,
    settings: Result<BTreeMap<String, Setting>, String>,
}

/// A setting as far as it is known without running PHP.
enum Known<'a> {
    /// Its value; and the variable of PHP's environment that would go over it.
    Value(&'a Value, Option<&'a str>),
    /// Only PHP knows, and why.
    Unreadable(String),
    /// The file does not set it.
    Absent,
}

impl Php {
    /// Reads `text`, which is that of the file at `path`; or why it could not be had.
    pub fn read(path: PathBuf, text: Result<String, String>) -> Self {
        Self { path, settings: text.map(|text| literal::read(&text)) }
    }

    /// Where browsers are sent, if that is readable.
    pub fn client_url(&self) -> Option<WsUrl> {
        public_url(self.text("worker_client_url")?).ok()
    }

    /// The secret, if it is readable and one.
    pub fn secret(&self) -> Option<Secret> {
        Secret::new(self.text("worker_secret")?).ok()
    }

    /// Where it says that the worker is, first of all.
    pub fn internal(&self) -> Option<Address> {
        let urls = self.urls().ok()?;
        address::internal(urls.first()?.trim_end_matches('/')).ok()
    }

    /// Compares it with `secret`, the worker's, and `url`, which browsers use.
    pub async fn examine(
        &self,
        secret: Option<&Secret>,
        url: Option<&WsUrl>,
        facts: &Facts,
        findings: &mut Findings<'_>,
    ) {
        let rest = [Step::PhpSecret, Step::PhpAddress, Step::PhpClientUrl, Step::PhpTimes];
        findings.begin(Step::Php);
        let finding = self.look();
        if !findings.take(finding) {
            findings.leave_out(&rest, "see worker.php");
            return;
        }
        findings.begin(Step::PhpSecret);
        findings.take(self.compare_secret(secret));
        self.call(secret, facts, findings).await;
        findings.take(self.compare_url(url));
        for finding in self.times() {
            findings.take(finding);
        }
    }

    /// Whether it is the right file, and switched on.
    fn look(&self) -> Finding {
        let step = Step::Php;
        let shown = self.path.display();
        let settings = match &self.settings {
            Ok(settings) => settings,
            Err(why) => {
                return Finding::failed(step, format!("{shown}: {why}"))
                    .expected("a file that can be read")
                    .change("correct --php, or run the doctor as root");
            }
        };
        let count = settings.keys().filter(|name| name.starts_with("worker_")).count();
        if count == 0 {
            return Finding::failed(step, format!("{shown} sets nothing that begins with worker_"))
                .expected("application/config/worker.php of the application, with lines such as $config['worker_enabled'] = TRUE;")
                .change("correct --php; for a site that has no such file leave it away, and see \"refused lately\"");
        }
        match self.known("worker_enabled") {
            Known::Value(value, _) if is_on(value) => {
                Finding::ok(step, format!("{shown}: switched on, {count} settings"))
            }
            Known::Unreadable(why) => Finding::warning(
                step,
                format!("{shown}: whether it is switched on cannot be read: {why}"),
            )
            .expected("worker_enabled TRUE")
            .change("see that it is: $config['worker_enabled'] = TRUE;"),
            Known::Value(..) | Known::Absent => Finding::failed(
                step,
                format!(
                    "{shown}: worker_enabled is not TRUE{}: PHP calls nothing",
                    self.line("worker_enabled")
                ),
            )
            .expected("TRUE")
            .change("$config['worker_enabled'] = TRUE;"),
        }
    }

    fn compare_secret(&self, worker: Option<&Secret>) -> Finding {
        let step = Step::PhpSecret;
        let name = "worker_secret";
        let line = self.line(name);
        let text = match self.known(name) {
            Known::Value(Value::Text(text), variable) if !text.is_empty() => {
                if let Some(variable) = variable {
                    return match worker {
                        Some(worker) if worker.matches(text.as_bytes()) => Finding::ok(
                            step,
                            format!("the worker's{line}, unless PHP's environment has {variable}"),
                        ),
                        _ => Finding::left_out(
                            step,
                            format!("PHP's environment may have it as {variable}: look there"),
                        ),
                    };
                }
                text
            }
            Known::Unreadable(why) => {
                return Finding::left_out(step, format!("cannot be read without PHP{line}: {why}"));
            }
            Known::Value(_, Some(variable)) => {
                return Finding::left_out(
                    step,
                    format!("it is in PHP's environment, as {variable}"),
                );
            }
            Known::Value(_, None) | Known::Absent => {
                return Finding::failed(step, format!("{name} is empty{line}: PHP calls nothing"))
                    .expected("the worker's, to the letter")
                    .change("$config['worker_secret'] = '...'; as worker_secret in config.yaml");
            }
        };
        let Some(worker) = worker else {
            return match text.len() < MIN_SECRET_BYTES {
                true => Finding::failed(
                    step,
                    format!("it has fewer than {MIN_SECRET_BYTES} characters{line}"),
                )
                .expected("what a worker starts with")
                .change("openssl rand -hex 32, into worker.php and config.yaml"),
                false => Finding::left_out(step, "the worker's is not at hand: --config"),
            };
        };
        if worker.matches(text.as_bytes()) {
            return Finding::ok(step, format!("the worker's{line}"));
        }
        let why = if worker.matches(text.trim().as_bytes()) {
            "it has white space around it".to_owned()
        } else if worker.expose().eq_ignore_ascii_case(text) {
            "capital letters differ".to_owned()
        } else if worker.expose().len() != text.len() {
            format!("it has {} characters, the worker's has {}", text.len(), worker.expose().len())
        } else {
            "it has as many characters, and others".to_owned()
        };
        Finding::failed(step, format!("another than the worker's{line}: {why}"))
            .expected("the worker's, to the letter: tokens are signed with it, and calls show it")
            .change("$config['worker_secret'] = '...'; as worker_secret in config.yaml")
    }

    /// Calls every address that PHP would call, as PHP would.
    async fn call(&self, worker: Option<&Secret>, facts: &Facts, findings: &mut Findings<'_>) {
        let step = Step::PhpAddress;
        findings.begin(step);
        let urls = match self.urls() {
            Ok(urls) => urls,
            Err(why) => {
                findings.take(Finding::left_out(step, why));
                return;
            }
        };
        if urls.is_empty() {
            findings.take(
                Finding::failed(step, "worker.php names no worker: PHP calls nothing")
                    .expected("the internal port of the worker")
                    .change("$config['worker_urls'] = ['http://127.0.0.1:9001'];"),
            );
            return;
        }
        let Some(secret) = self.secret().or_else(|| worker.cloned()) else {
            findings.take(Finding::left_out(step, "there is no secret to call it with"));
            return;
        };
        for url in urls {
            let address = match address::internal(url.trim_end_matches('/')) {
                Ok(address) => address,
                Err(why) => {
                    findings.take(
                        Finding::failed(
                            step,
                            format!("\"{}\" is no address of a worker", plain(url)),
                        )
                        .expected("such as http://127.0.0.1:9001")
                        .change(why),
                    );
                    continue;
                }
            };
            let node = Node { address, secret: secret.clone() };
            // A topic apart, for it may be another worker, or the same by another name.
            let topic = format!("{}.php", facts.topic);
            let called = node.register(&topic).await;
            let mut finding = node::judge(step, &node, &called, "worker.php");
            if called.is_err() {
                finding = finding.change("if PHP runs in a container or on another machine, run the doctor there: what it reaches differs");
            }
            findings.take(finding);
            if called.is_ok() {
                node.unregister(&topic).await;
            }
        }
    }

    fn compare_url(&self, url: Option<&WsUrl>) -> Finding {
        let step = Step::PhpClientUrl;
        let name = "worker_client_url";
        let line = self.line(name);
        let text = match self.known(name) {
            Known::Value(Value::Text(text), _) if !text.trim().is_empty() => text,
            Known::Unreadable(why) => {
                return Finding::left_out(step, format!("cannot be read without PHP{line}: {why}"));
            }
            Known::Value(Value::Null, Some(variable)) => {
                return Finding::left_out(
                    step,
                    format!("it is in PHP's environment, as {variable}"),
                );
            }
            Known::Value(..) | Known::Absent => {
                let example = url.map_or("wss://your.site".to_owned(), ToString::to_string);
                return Finding::failed(
                    step,
                    format!("{name} is empty{line}: browsers get no live updates"),
                )
                .expected("where browsers connect")
                .change(format!("$config['{name}'] = '{example}';"));
            }
        };
        let shown = plain(text);
        let own = match public_url(text) {
            Ok(own) => own,
            Err(why) => {
                return Finding::failed(step, format!("\"{shown}\" is no address{line}"))
                    .expected("such as wss://your.site")
                    .change(why);
            }
        };
        match url {
            Some(url) if *url != own => Finding::failed(
                step,
                format!("browsers are sent to {own}{line}, and --url is {url}"),
            )
            .expected("the same")
            .change(format!("$config['{name}'] = '{url}';"))
            .change("or correct --url"),
            Some(_) => Finding::ok(step, format!("{shown}, as --url")),
            None => Finding::ok(step, format!("{shown}, which is tested below")),
        }
    }

    fn times(&self) -> Vec<Finding> {
        const LONG_SECS: f64 = 5.0;
        const BRIEF_SECS: f64 = 300.0;

        let step = Step::PhpTimes;
        let mut findings = Vec::new();
        let number = |name: &str| match self.known(name) {
            Known::Value(Value::Number(number), _) => Some(Ok(*number)),
            Known::Value(Value::Text(text), _) => Some(text.trim().parse().map_err(|_| ())),
            Known::Value(Value::Null, _) | Known::Unreadable(_) | Known::Absent => None,
            Known::Value(..) => Some(Err(())),
        };
        let (timeout, expiration) = ("worker_timeout", "worker_token_expiration");
        match number(timeout) {
            Some(Ok(secs)) if (0.001..=LONG_SECS).contains(&secs) => {}
            None => {}
            Some(Ok(secs)) if secs > LONG_SECS && secs <= 30.0 => findings.push(
                Finding::warning(step, format!("{timeout} is {secs} s{}", self.line(timeout)))
                    .expected("about 1: a visitor waits for it when the worker hangs")
                    .change("$config['worker_timeout'] = 1.0;"),
            ),
            Some(_) => findings.push(
                Finding::failed(step, format!("{timeout} makes no sense{}", self.line(timeout)))
                    .expected("seconds, from 0.001 to 30")
                    .change("$config['worker_timeout'] = 1.0;"),
            ),
        }
        match number(expiration) {
            Some(Ok(secs)) if secs >= BRIEF_SECS => {}
            None => {}
            Some(Ok(secs)) if secs > 0.0 => findings.push(
                Finding::warning(step, format!("tokens live for {secs} s{}", self.line(expiration)))
                    .expected("longer than a page stays open: the application's page does not get another one")
                    .change("$config['worker_token_expiration'] = 86400;"),
            ),
            Some(_) => findings.push(
                Finding::failed(step, format!("{expiration} makes no sense{}", self.line(expiration)))
                    .expected("seconds, above 0: no token would ever be good")
                    .change("$config['worker_token_expiration'] = 86400;"),
            ),
        }
        if findings.is_empty() {
            let shown = |name: &str| match number(name) {
                Some(Ok(secs)) => {
                    super::node::shown(Duration::try_from_secs_f64(secs).unwrap_or_default())
                }
                _ => "the default".to_owned(),
            };
            let words = format!("calls {}, tokens {}", shown(timeout), shown(expiration));
            findings.push(Finding::ok(step, words));
        }
        findings
    }

    /// The addresses that PHP would call.
    fn urls(&self) -> Result<Vec<&str>, String> {
        for name in ["worker_url", "worker_vip"] {
            match self.known(name) {
                Known::Value(Value::Text(text), _) if !text.is_empty() => return Ok(vec![text]),
                Known::Unreadable(why) => {
                    return Err(format!(
                        "{name} cannot be read without PHP{}: {why}",
                        self.line(name)
                    ));
                }
                _ => {}
            }
        }
        let name = "worker_urls";
        match self.known(name) {
            Known::Value(Value::Text(text), _) if !text.is_empty() => Ok(vec![text]),
            Known::Value(Value::List(all), _) => {
                let texts = all.iter().map(|value| match plain_value(value) {
                    Known::Value(Value::Text(text), _) => Some(text.as_str()),
                    _ => None,
                });
                texts
                    .collect::<Option<Vec<_>>>()
                    .ok_or_else(|| format!("{name} cannot be read without PHP{}", self.line(name)))
            }
            Known::Unreadable(why) => {
                Err(format!("{name} cannot be read without PHP{}: {why}", self.line(name)))
            }
            _ => Ok(Vec::new()),
        }
    }

    fn known(&self, name: &str) -> Known<'_> {
        let settings = self.settings.as_ref().ok();
        match settings.and_then(|settings| settings.get(name)) {
            Some(setting) => plain_value(&setting.value),
            None => Known::Absent,
        }
    }

    /// A text that does not depend on PHP's environment, or what is used without that.
    fn text(&self, name: &str) -> Option<&str> {
        match self.known(name) {
            Known::Value(Value::Text(text), _) if !text.trim().is_empty() => Some(text),
            _ => None,
        }
    }

    /// Where a setting stands, in brackets behind what is said of it.
    fn line(&self, name: &str) -> String {
        let settings = self.settings.as_ref().ok();
        match settings.and_then(|settings| settings.get(name)) {
            Some(setting) => format!(" (line {})", setting.line),
            None => String::new(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn plain_value(value: &Value) -> Known<'_> {
    match value {
        Value::Unreadable(why) => Known::Unreadable(why.clone()),
        Value::Variable { name, default } => match plain_value(default) {
            Known::Value(value, _) => Known::Value(value, Some(name)),
            other => other,
        },
        value => Known::Value(value, None),
    }
}

/// Whether PHP takes it for switched on.
fn is_on(value: &Value) -> bool {
    match value {
        Value::Bool(on) => *on,
        Value::Number(number) => *number == 1.0,
        Value::Text(text) => {
            ["1", "true", "on", "yes"].iter().any(|word| text.trim().eq_ignore_ascii_case(word))
        }
        _ => false,
    }
}

/// An address of the file, without what a terminal would obey and without a password.
fn plain(url: &str) -> String {
    const MOST: usize = 80;
    let plain: String = url.chars().filter(|letter| !letter.is_control()).take(MOST).collect();
    match plain.rsplit_once('@') {
        Some((_, rest)) => format!("...@{rest}"),
        None => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    const SECRET: &str = "8f1d3c5b7a9e0246-of-the-tests-of-php";

    fn php(lines: &str) -> Php {
        Php::read(PathBuf::from("worker.php"), Ok(format!("<?php\n{lines}\n")))
    }

    fn secret(line: &str) -> Finding {
        php(line).compare_secret(Some(&Secret::new(SECRET).unwrap()))
    }

    #[test]
    fn secrets_are_compared_and_not_shown() {
        let same = secret(&format!("$config['worker_secret'] = '{SECRET}';"));
        assert_eq!((same.state, same.found.as_str()), (State::Ok, "the worker's (line 2)"));

        for (text, why) in [
            (format!(" {SECRET}"), "white space"),
            (SECRET.to_uppercase(), "capital letters"),
            (format!("{SECRET}x"), "it has 37 characters, the worker's has 36"),
            ("x".repeat(36), "as many characters"),
        ] {
            let finding = secret(&format!("$config['worker_secret'] = '{text}';"));

            assert_eq!(finding.state, State::Failed, "{why}");
            assert!(finding.found.contains(why), "{}", finding.found);
            assert!(!format!("{finding:?}").contains(&text[1..]));
        }
        assert_eq!(secret("$config['worker_secret'] = '';").state, State::Failed);
        assert_eq!(secret("$config['worker_secret'] = SECRET;").state, State::LeftOut);
        let variable = secret("$config['worker_secret'] = getenv('W') ?: '';");
        assert_eq!(variable.state, State::LeftOut);
        assert!(variable.found.contains(", as W"), "{}", variable.found);
    }

    #[test]
    fn what_is_not_switched_on_is_a_fault() {
        for (line, state) in [
            ("$config['worker_enabled'] = TRUE;", State::Ok),
            ("$config['worker_enabled'] = 'yes';", State::Ok),
            ("$config['worker_enabled'] = FALSE;", State::Failed),
            ("$config['worker_enabled'] = ON_OFF;", State::Warning),
            ("$config['worker_url'] = 'x';", State::Failed),
            ("$config['base_url'] = 'x';", State::Failed),
        ] {
            assert_eq!(php(line).look().state, state, "{line}");
        }
        let lost = Php::read(PathBuf::from("a.php"), Err("Permission denied".to_owned()));
        assert_eq!(lost.look().state, State::Failed);
    }

    #[test]
    fn one_address_goes_over_a_balancer_and_that_over_a_list() {
        let list = "$config['worker_urls'] = ['http://a:1', 'http://b:1'];";
        let balancer = "$config['worker_vip'] = 'http://c:1';";
        let one = "$config['worker_url'] = 'http://d:1';";

        assert_eq!(php(list).urls().unwrap(), ["http://a:1", "http://b:1"]);
        assert_eq!(php(&format!("{list}{balancer}")).urls().unwrap(), ["http://c:1"]);
        assert_eq!(php(&format!("{one}{list}{balancer}")).urls().unwrap(), ["http://d:1"]);
        assert!(php("$config['worker_urls'] = [HOST];").urls().is_err());
    }

    #[test]
    fn browsers_have_to_be_sent_where_the_doctor_looks() {
        let url = public_url("https://log.example.org").unwrap();
        let state = |line: &str| php(line).compare_url(Some(&url)).state;

        assert_eq!(state("$config['worker_client_url'] = 'wss://log.example.org';"), State::Ok);
        assert_eq!(
            state("$config['worker_client_url'] = 'wss://log.example.org:443/ws';"),
            State::Ok
        );
        assert_eq!(state("$config['worker_client_url'] = 'ws://log.example.org';"), State::Failed);
        assert_eq!(state("$config['worker_client_url'] = '';"), State::Failed);
        assert_eq!(state("$config['worker_client_url'] = base_url();"), State::LeftOut);
    }

    #[test]
    fn times_that_make_no_sense_are_faults() {
        let state = |line: &str| php(line).times()[0].state;

        assert_eq!(state("$config['worker_timeout'] = 1.0;"), State::Ok);
        assert_eq!(state("$config['worker_timeout'] = 500;"), State::Failed);
        assert_eq!(state("$config['worker_timeout'] = 10;"), State::Warning);
        assert_eq!(state("$config['worker_token_expiration'] = 0;"), State::Failed);
        assert_eq!(state("$config['worker_token_expiration'] = 60;"), State::Warning);
        assert_eq!(state("$config['worker_token_expiration'] = 86400;"), State::Ok);
    }
}
