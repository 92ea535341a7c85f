//! From a file and an environment to a checked [`Config`], with everything that is wrong.
//!
//! The environment goes over the file, the file over the defaults. It reads the one file and
//! asks the environment it was given; it prints nothing. Start reading at [`examine`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::build;
use super::file::{self, FileError};
use super::given::{Given, Setting};
use super::keys::{self, Key, Kind};
use super::problem::{LoadError, Origin, Problem};
use super::raw::{self, Scalar, Value};
use super::{Config, risks};

/// The file that is read when none is named, in the working directory.
pub const DEFAULT_FILE: &str = "config.yaml";

/// Looks an environment variable up; in the program it is `&|name| std::env::var_os(name)`.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is wrong with it, though the worker starts.
    pub warnings: Vec<Problem>,
    /// What is risky about it: one sentence each, with what to do.
    pub risks: Vec<String>,
    /// What is in force for every key, in the order of [`keys::ALL`].
    pub settings: Vec<Setting>,
}

/// Everything that can be said about a configuration, usable or not.
#[derive(Debug)]
pub struct Report {
    /// The configuration; `None` if a problem is an error.
    pub config: Option<Config>,
    /// Everything that is wrong: in the order of the file, then the environment.
    pub problems: Vec<Problem>,
    /// What is in force for every key, in the order of [`keys::ALL`].
    pub settings: Vec<Setting>,
    /// What is risky about a usable configuration: one sentence each, with what to do.
    pub risks: Vec<String>,
}

impl Config {
    /// Returns the configuration of `path` and `env`, with what is odd or risky about it.
    ///
    /// Without a `path` it is [`DEFAULT_FILE`]. A file that does not exist is fine when the
    /// environment supplies the secret.
    ///
    /// # Errors
    ///
    /// [`LoadError`] holds every problem, not the first one alone.
    pub fn load(path: Option<&Path>, env: Env<'_>) -> Result<Loaded, LoadError> {
        examine(path, env).loaded()
    }

    /// Returns the configuration that `env` alone gives, whatever files there are.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn from_env(env: Env<'_>) -> Result<Loaded, LoadError> {
        let mut sources = Sources::default();
        sources.read_environment(env);
        sources.report().loaded()
    }
}

impl Report {
    fn loaded(self) -> Result<Loaded, LoadError> {
        let Self { config, problems, risks, settings } = self;
        match config {
            Some(config) => Ok(Loaded { config, warnings: problems, risks, settings }),
            None => Err(LoadError { problems }),
        }
    }
}

/// Reads the configuration of `path` and `env` and reports all there is to say about it.
pub fn examine(path: Option<&Path>, env: Env<'_>) -> Report {
    let mut sources = Sources::default();
    sources.read_file(path, env);
    sources.read_environment(env);
    sources.report()
}

/// [`examine`] of a file's text, for tests.
#[cfg(test)]
pub(super) fn examine_text(text: &str) -> Report {
    let mut sources = Sources::default();
    sources.read_text(Path::new(DEFAULT_FILE), text);
    sources.report()
}

/// What was gathered so far.
#[derive(Default)]
struct Sources {
    given: Given,
    problems: Vec<Problem>,
    /// The file, once its text is known.
    file: Option<PathBuf>,
    /// The permissions of the file.
    file_mode: Option<u32>,
    /// There is a file that cannot be read, so nobody knows what it would set.
    file_is_lost: bool,
}

impl Sources {
    fn read_file(&mut self, path: Option<&Path>, env: Env<'_>) {
        let named = path.is_some();
        let path = path.unwrap_or(Path::new(DEFAULT_FILE));
        match file::read(path) {
            Ok((text, mode)) => {
                self.file_mode = Some(mode);
                self.read_text(path, &text);
            }
            Err(error) if error.missing && variable(env, keys::WORKER_SECRET.env).is_some() => {
                if named {
                    self.problems.push(Problem::warning(
                        at(path, None),
                        None,
                        "no such file, so the environment alone is used".to_owned(),
                        "leave the option away if that is meant".to_owned(),
                    ));
                }
            }
            Err(FileError { what, fix, .. }) => {
                self.file_is_lost = true;
                self.problems.push(Problem::error(at(path, None), None, what, fix));
            }
        }
    }

    fn read_text(&mut self, path: &Path, text: &str) {
        self.file = Some(path.to_owned());
        let document = raw::parse(text).unwrap_or_else(|flaw| {
            self.file_is_lost = true;
            raw::Document { entries: Vec::new(), flaws: vec![flaw] }
        });
        for entry in document.entries {
            let origin = at(path, Some(entry.line));
            match keys::find(&entry.key) {
                None => self.problems.push(unknown_key(&entry.key, origin)),
                Some(key) if keeps_default(key, &entry.value) => {}
                Some(key) => self.given.set(key, entry.value, origin),
            }
        }
        for flaw in document.flaws {
            let make = if flaw.harmless { Problem::warning } else { Problem::error };
            let key = flaw.key.as_deref().filter(|key| is_name(key));
            let origin = at(path, Some(flaw.line));
            self.problems.push(make(origin, key, flaw.what, flaw.fix.to_owned()));
        }
    }

    fn read_environment(&mut self, env: Env<'_>) {
        for key in keys::ALL {
            let Some(text) = variable(env, key.env) else {
                continue;
            };
            let origin = Origin::Environment(key.env);
            match text.into_string() {
                Ok(text) => self.given.set(key, Value::plain(&text), origin),
                Err(_) => self.problems.push(Problem::error(
                    origin,
                    Some(key.name),
                    "the variable is not valid UTF-8".to_owned(),
                    "set it again as UTF-8".to_owned(),
                )),
            }
        }
    }

    fn report(mut self) -> Report {
        let (config, refusals) = build::config(&self.given);
        self.add_refusals(refusals);
        let config = config.filter(|_| !self.problems.iter().any(Problem::is_error));
        let risks = config.as_ref().map_or_else(Vec::new, |config| {
            let file_risk = match (self.given.origin(&keys::WORKER_SECRET), self.file_mode) {
                (Origin::File { path, .. }, Some(mode)) => risks::of_file(&path, mode),
                _ => None,
            };
            config.risks().into_iter().chain(file_risk).collect()
        });
        let settings = self.given.settings();
        Report { config, problems: self.problems, settings, risks }
    }

    fn add_refusals(&mut self, mut refusals: Vec<Problem>) {
        if self.file_is_lost {
            // What is missing may stand in the file; that it cannot be read has been said.
            refusals.retain(|problem| problem.origin != Origin::Default);
        }
        for mut problem in refusals {
            if let (Origin::Default, Some(path)) = (&problem.origin, &self.file) {
                problem.origin = at(path, None);
            }
            self.problems.push(problem);
        }
        self.problems.sort_by_key(|problem| match problem.origin {
            Origin::File { line, .. } => (0, line),
            Origin::Environment(_) => (1, None),
            Origin::Default => (2, None),
        });
    }
}

/// The text of an environment variable; empty counts as not set.
fn variable(env: Env<'_>, name: &str) -> Option<OsString> {
    env(name).filter(|text| !text.is_empty())
}

fn at(path: &Path, line: Option<u32>) -> Origin {
    Origin::File { path: path.to_owned(), line }
}

/// Whether `value` leaves `key` as it is. An empty text is an address of its own: every address.
fn keeps_default(key: &Key, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Scalar(Scalar { text, .. }) => text.is_empty() && key.kind != Kind::Address,
        Value::List(_) | Value::Nested => false,
    }
}

/// Whether `key` can be shown: what is no name may be a secret that lost its key.
fn is_name(key: &str) -> bool {
    const MOST_BYTES: usize = 30;
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_-. ".contains(&byte);
    key.len() <= MOST_BYTES && key.bytes().all(is_part)
}

fn unknown_key(key: &str, origin: Origin) -> Problem {
    if !is_name(key) {
        return Problem::warning(
            origin,
            None,
            "a key that is no name is ignored".to_owned(),
            "write `key: value`, with a colon and a space".to_owned(),
        );
    }
    let nearest = keys::nearest(key);
    let fix = nearest.map_or_else(
        || "remove it, or see docs/configuration.md for the keys there are".to_owned(),
        |nearest| format!("did you mean {nearest}?"),
    );
    let what = "unknown key, ignored".to_owned();
    Problem { nearest, ..Problem::warning(origin, Some(key), what, fix) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;
    use crate::config::LogLevel;

    const SECRET: &str = "f3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// An environment of these variables and no others.
    fn env(variables: &[(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), OsString::from(text));
        let variables: Vec<(String, OsString)> = variables.iter().map(owned).collect();
        move |name| variables.iter().find(|(known, _)| known == name).map(|(_, text)| text.clone())
    }

    fn in_file(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, LoadError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        Config::load(Some(file.path()), &env(variables))
    }

    fn good(lines: &str) -> Config {
        let report = examine_text(&format!("worker_secret: {SECRET}\n{lines}"));
        assert_eq!(report.problems, [], "{lines}");
        report.config.unwrap()
    }

    /// The problems of a file, each as it is shown.
    fn problems(text: &str) -> Vec<String> {
        examine_text(text).problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_secret_alone_gives_the_defaults() {
        let config = good("");

        assert_eq!(config.secret.expose(), SECRET);
        assert_eq!((config.listen.ws_bind, config.listen.ws_port), (None, 9000));
        assert_eq!(config.listen.internal_bind, Some([127, 0, 0, 1].into()));
        assert_eq!(config.listen.internal_port, 9001);
        assert_eq!(config.registry.topic_ttl, Duration::from_secs(24 * 60 * 60));
        assert_eq!(config.hub.outbox_bytes.get(), 8 << 20);
        assert_eq!(config.session.auth_timeout, Duration::from_secs(10));
        assert_eq!(config.session.write_timeout, Duration::from_secs(10));
        assert_eq!(config.session.ping_interval, Duration::from_secs(30));
        assert_eq!(config.session.idle_timeout, Duration::from_secs(60));
        assert_eq!(config.session.backlog_bytes.get(), 1 << 20);
        assert_eq!(config.http.request_timeout, Duration::from_secs(10));
        let trusted = |ip: &str| {
            let ip: std::net::IpAddr = ip.parse().unwrap();
            config.http.trusted_proxies.iter().any(|net| net.contains(&ip))
        };
        for ip in
            ["127.0.0.1", "10.9.8.7", "172.31.0.1", "192.168.1.1", "::1", "fd00::1", "fe80::1"]
        {
            assert!(trusted(ip), "{ip}");
        }
        assert!(!trusted("172.32.0.1") && !trusted("2001:db8::1"));
        assert_eq!(config.log.level, LogLevel::Info);
    }

    #[test]
    fn an_unquoted_secret_that_looks_like_a_number_is_taken_as_its_text() {
        for secret in [
            "01234567890123456789012345678901",
            "0x234567890123456789012345678901",
            "12345678901234567890123456789012",
            "1e345678901234567890123456789012",
            "1_345678901234567890123456789012",
        ] {
            let report = examine_text(&format!("worker_secret: {secret}"));

            assert_eq!(report.config.unwrap().secret.expose(), secret);
        }
    }

    #[test]
    fn empty_and_null_values_keep_the_defaults() {
        let config = good(
            "ws_port:\ninternal_port: ~\ntopic_ttl: \"\"\ninternal_bind:\nlog_level: null\ntrusted_proxies:\nredis_url: ''",
        );

        assert_eq!(format!("{config:?}"), format!("{:?}", good("")));
    }

    #[test]
    fn an_empty_internal_bind_in_quotes_is_every_address_and_an_empty_list_trusts_nobody() {
        let config = good("internal_bind: \"\"\ntrusted_proxies: []");

        assert_eq!(config.listen.internal_bind, None);
        assert_eq!(config.http.trusted_proxies, []);
    }

    #[test]
    fn the_environment_goes_over_the_file_and_an_empty_variable_is_ignored() {
        let text =
            format!("worker_secret: {SECRET}\nws_port: 1\ninternal_port: 2\ntopic_ttl: 5m\n");
        let other = SECRET.replace('f', "0");
        let variables = [
            ("WORKER_SECRET", other.as_str()),
            ("WORKER_WS_PORT", "3"),
            ("WORKER_INTERNAL_PORT", ""),
            ("WORKER_WS_BIND", "::1"),
            ("WORKER_INTERNAL_BIND", "0.0.0.0"),
            ("WORKER_TOPIC_TTL", "7m"),
            ("WORKER_REDIS_URL", ""),
            ("WORKER_TRUSTED_PROXIES", "192.0.2.1, 192.0.2.2"),
            ("WORKER_OUTBOX_BYTES", "2MiB"),
        ];

        let config = in_file(&text, &variables).unwrap().config;

        assert_eq!(config.secret.expose(), other);
        assert_eq!((config.listen.ws_port, config.listen.internal_port), (3, 2));
        assert_eq!(config.listen.ws_bind, Some("::1".parse().unwrap()));
        assert_eq!(config.listen.internal_bind, Some("0.0.0.0".parse().unwrap()));
        assert_eq!(config.registry.topic_ttl, Duration::from_secs(420));
        assert_eq!(config.http.trusted_proxies.len(), 2);
        assert_eq!(config.hub.outbox_bytes.get(), 2 << 20);
    }

    #[test]
    fn every_problem_is_found_in_the_order_of_the_file() {
        let text = "log_level: loud\nws_port: 80.5\nws_port: 81\ntopic_ttl: 0s\nbacklog_bytes: 1KiB\ninternal_bind: nowhere\nredis_url: redis://:hunter2@h:x\ntrusted_proxys: []\nworker_secret: hunter2\n";
        let problems = problems(text);

        let starts = [
            "config.yaml:1: log_level: expected one of error, warn, info, debug, trace, found \"loud\"; ",
            "config.yaml:2: ws_port: expected a whole number from 0 to 65535, found \"80.5\"; ",
            "config.yaml:3: ws_port: the key is given twice, first in line 2; ",
            "config.yaml:4: topic_ttl must be positive, found \"0s\"; ",
            "config.yaml:5: backlog_bytes: expected a number of bytes from 4KiB to 1024MiB",
            "config.yaml:6: internal_bind: expected an IP address, ",
            "config.yaml:7: redis_url: the address has a port that is no number from 1 to 65535; write host:6379; if that is a part of the password, percent-encode what is special in it",
            "config.yaml:8: trusted_proxys: unknown key, ignored; did you mean trusted_proxies?",
            "config.yaml:9: worker_secret must be at least 32 characters: it has 7; ",
        ];
        assert_eq!(problems.len(), starts.len(), "{problems:#?}");
        for (problem, start) in problems.iter().zip(starts) {
            assert!(problem.starts_with(start), "{problem}");
            assert!(!problem.contains("hunter2") && !problem.contains('\n'));
        }
    }

    #[test]
    fn a_missing_secret_is_looked_for_in_the_file_that_was_read() {
        let problems = problems("ws_port: 9000\nworker_secret: \"\"\n");

        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with(
            "config.yaml: worker_secret must be at least 32 characters: none is set; "
        ));
    }

    #[test]
    fn an_unknown_key_is_a_warning_with_the_nearest_known_one() {
        let report =
            examine_text(&format!("worker_secret: {SECRET}\nws_prot: 1\ncluster: {{a: [1]}}\n"));

        assert!(report.config.is_some());
        assert_eq!(report.problems[0].nearest, Some("ws_port"));
        assert_eq!(report.problems[1].nearest, None);
    }

    #[test]
    fn a_secret_that_lost_its_key_is_not_shown() {
        let stray = format!("{{\"{SECRET}\": 1, worker_secret={SECRET}: 2}}");
        let shown = problems(&stray).join("\n");

        assert!(shown.contains("a key that is no name is ignored"));
        assert!(!shown.contains(&SECRET[..20]));
    }

    #[test]
    fn an_idle_timeout_within_the_ping_interval_is_refused() {
        for lines in
            ["idle_timeout: 30s", "ping_interval: 1m", "ping_interval: 5m\nidle_timeout: 4m"]
        {
            let problems = problems(&format!("worker_secret: {SECRET}\n{lines}"));

            assert_eq!(problems.len(), 1);
            assert!(problems[0].contains("idle_timeout: expected more than ping_interval"));
        }
        good("ping_interval: 1s\nidle_timeout: 1001ms");
    }

    #[test]
    fn a_bad_key_does_not_hide_that_two_others_contradict() {
        let found = problems("auth_timeout: 0s\nidle_timeout: 5s\n").join("\n");

        assert!(found.contains("auth_timeout must be positive"), "{found}");
        assert!(found.contains("expected more than ping_interval"), "{found}");
    }

    #[test]
    fn both_listeners_on_one_port_are_refused_unless_they_are_apart() {
        for lines in [
            "internal_port: 9000",
            "internal_port: 9000\ninternal_bind: 0.0.0.0\nws_bind: 10.0.0.1",
        ] {
            let problems = problems(&format!("worker_secret: {SECRET}\n{lines}"));

            assert_eq!(problems.len(), 1);
            assert!(problems[0].contains("expected another port than ws_port, found 9000 in both"));
        }
        good("internal_port: 9000\nws_bind: 10.0.0.1");
        good("internal_port: 0\nws_port: 0");
    }

    #[test]
    fn a_missing_file_is_fine_when_the_environment_has_the_secret() {
        let path = Path::new("/nonexistent/config.yaml");

        let loaded = Config::load(Some(path), &env(&[("WORKER_SECRET", SECRET)])).unwrap();

        assert_eq!(loaded.config.listen.ws_port, 9000);
        assert_eq!(loaded.warnings.len(), 1);
        assert!(
            loaded.warnings[0].to_string().starts_with("/nonexistent/config.yaml: no such file")
        );
    }

    #[test]
    fn a_missing_file_without_a_secret_is_named_and_init_is_suggested() {
        let path = Path::new("/nonexistent/config.yaml");

        let error = Config::load(Some(path), &env(&[("WORKER_LOG_LEVEL", "loud")])).unwrap_err();

        let line = error.to_string();
        assert_eq!(error.problems.len(), 2);
        assert!(
            line.starts_with(
                "/nonexistent/config.yaml: no such file, and WORKER_SECRET is not set; "
            )
        );
        assert!(line.contains("`wavelog_worker init`"));
        assert!(line.ends_with("(and 1 more: run `wavelog_worker check`)"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_one_problem_even_with_a_secret() {
        let directory = tempfile::tempdir().unwrap();
        let latin = directory.path().join("latin.yaml");
        fs::write(&latin, b"ws_bind: \"\xe4\"").unwrap();
        let large = directory.path().join("large.yaml");
        fs::write(&large, "#".repeat((1 << 20) + 1)).unwrap();
        let broken = directory.path().join("broken.yaml");
        fs::write(&broken, "ws_port: [1\n").unwrap();

        for (path, what) in [
            (directory.path(), "is a directory, not a file"),
            (&latin, "is not UTF-8 text"),
            (&large, "is larger than 1 MiB"),
            (&broken, "not valid YAML"),
        ] {
            for variables in [&[("WORKER_SECRET", SECRET)][..], &[]] {
                let error = Config::load(Some(path), &env(variables)).unwrap_err();

                assert_eq!(error.problems.len(), 1, "{error}");
                assert!(error.to_string().contains(what), "{error}");
            }
        }
    }

    #[test]
    fn a_variable_that_is_not_utf8_is_refused() {
        let lookup = |name: &str| match name {
            "WORKER_SECRET" => Some(OsString::from(SECRET)),
            "WORKER_WS_BIND" => Some(OsString::from_vec(vec![0xff])),
            _ => None,
        };

        let error = Config::load(Some(Path::new("/dev/null")), &lookup).unwrap_err();

        assert!(
            error
                .to_string()
                .starts_with("WORKER_WS_BIND: ws_bind: the variable is not valid UTF-8")
        );
    }

    #[test]
    fn a_file_with_the_secret_that_others_can_read_is_a_risk() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!("worker_secret: {SECRET}")).unwrap();
        let risks = |mode, variables: &[(&str, &str)]| {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            Config::load(Some(file.path()), &env(variables)).unwrap().risks.len()
        };

        assert_eq!(risks(0o600, &[]), 0);
        assert_eq!(risks(0o644, &[]), 1);
        assert_eq!(risks(0o644, &[("WORKER_SECRET", SECRET)]), 0, "the secret is not in the file");
    }

    #[test]
    fn redis_joins_nodes_with_what_its_keys_say() {
        let report = examine_text(&format!(
            "worker_secret: {SECRET}\nredis_url: redis+sentinel://u:p@a,b:1/main/3\n\
             redis_prefix: 'x:'\nredis_sentinel_password: s\non_gap: ignore\nnode_name: web-1\n"
        ));
        assert_eq!(report.problems, []);

        let cluster = report.config.unwrap().cluster.unwrap();

        assert_eq!(cluster.redis.to_string(), "redis+sentinel://a:26379,b:1/main/3");
        assert_eq!(cluster.redis.password.as_deref(), Some("p"));
        assert_eq!(cluster.redis.tls, None);
        let crate::config::RedisTarget::Sentinel(sentinels) = cluster.redis.target else {
            panic!("no sentinels");
        };
        assert_eq!((sentinels.username, sentinels.password.as_deref()), (None, Some("s")));
        assert_eq!((cluster.prefix.as_str(), cluster.node_name.as_str()), ("x:", "web-1"));
        assert_eq!(cluster.on_gap, crate::config::OnGap::Ignore);
        assert_eq!(cluster.resync_spread, Duration::from_secs(5));
        assert_eq!(cluster.buffer_bytes.get(), 16 << 20);
        assert_eq!(cluster.buffer_age, Duration::from_secs(60));
    }

    #[test]
    fn what_needs_redis_is_warned_about_without_it() {
        let warned = |lines: &str| {
            let report = examine_text(&format!("worker_secret: {SECRET}\n{lines}"));
            assert!(report.config.is_some(), "{:?}", report.problems);
            report.problems.iter().map(ToString::to_string).collect::<Vec<_>>()
        };

        assert_eq!(warned("redis_prefix: 'wavelog:'\n"), [""; 0], "its default");
        assert_eq!(
            warned("node_name: web-1\n"),
            ["config.yaml:2: node_name: ignored: it is for redis_url, and that is not set; \
              remove it, or set redis_url, too"]
        );
        assert_eq!(warned("redis_url: redis://h\nredis_tls_verify: false\n").len(), 1);
        assert_eq!(warned("redis_url: rediss://h\nredis_tls_verify: false\n"), [""; 0]);
        assert_eq!(warned("redis_url: redis://h\nredis_sentinel_username: u\n").len(), 1);
    }
}
