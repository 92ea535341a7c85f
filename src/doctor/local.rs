//! This machine's side: the configuration and who may read it, open files, ports, the clock, and
//! the worker when nothing is in front of it.
//!
//! Start reading at [`Local::examine`].

use std::fs::{self, Metadata};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::finding::{Finding, Step};
use super::lately;
use super::node::{self, Called, Node, shown};
use super::push::{self, Delivery};
use super::route::{NoSocket, Route};
use super::socket::{Refused, Socket};
use super::{Facts, Findings, ahead_secs, judge_clock};
use crate::client::address::{Address, WsUrl};
use crate::config::{Config, ListenConfig, Report};
use crate::process::{Listener, Process};
use crate::secret::Secret;

/// The worker's program, as the kernel calls it.
const PROGRAM: &str = "wavelog_worker";

/// Fewer open files are few: each browser is one.
const FEW_FILES: u64 = 4096;

/// What is known of the worker before anything was asked.
pub struct Local<'a> {
    /// Its configuration, and the file that is from.
    pub config: Option<&'a (Report, Option<PathBuf>)>,
    /// Its internal port, if that was named.
    pub internal: Option<&'a Address>,
    /// Its secret, if that came otherwise.
    pub secret: Option<Secret>,
}

impl Local<'_> {
    /// Everything up to the worker's answers.
    pub async fn examine(&self, facts: &mut Facts, findings: &mut Findings<'_>) {
        self.look_at_config(findings);
        let config = self.usable();
        if let Some(config) = config {
            facts.ping_interval = config.session.ping_interval;
            facts.idle_timeout = config.session.idle_timeout;
        }
        // Of a worker that is elsewhere, this machine's ports and processes say nothing.
        match config.filter(|_| self.internal.is_none()) {
            Some(config) => {
                self.look_at_file(config, findings);
                look_at_ports(&config.listen, findings);
                look_at_files(&config.listen, findings);
            }
            None => {
                let why = match config {
                    Some(_) => {
                        "the worker was named with --internal: run the doctor on its machine, too"
                    }
                    None => {
                        "the worker's configuration is not at hand: name it with --config, on its machine"
                    }
                };
                findings.leave_out(&[Step::Permissions, Step::Ports, Step::Files], why);
            }
        }
        self.call(facts, findings).await;
    }

    /// The secret, if there is one.
    pub fn secret(&self) -> Option<&Secret> {
        self.usable().map(|config| &config.secret).or(self.secret.as_ref())
    }

    fn usable(&self) -> Option<&Config> {
        self.config.and_then(|(report, _)| report.config.as_ref())
    }

    fn look_at_config(&self, findings: &mut Findings<'_>) {
        let step = Step::Config;
        findings.begin(step);
        let Some((report, file)) = self.config else {
            let why = "not at hand: name the worker's own with --config FILE, or set WORKER_SECRET";
            findings.take(Finding::left_out(step, why));
            return;
        };
        let place =
            file.as_deref().map_or("the environment".to_owned(), |f| f.display().to_string());
        for problem in &report.problems {
            let found = match &problem.key {
                Some(key) if !problem.what.contains(key.as_str()) => {
                    format!("{}: {key}: {}", problem.origin, problem.what)
                }
                _ => format!("{}: {}", problem.origin, problem.what),
            };
            let finding = if problem.is_error() {
                Finding::failed(step, found).expected("a configuration that the worker starts with")
            } else {
                Finding::warning(step, found)
            };
            findings.take(finding.change(problem.fix.clone()));
        }
        for risk in &report.risks {
            findings.take(Finding::warning(step, risk.clone()));
        }
        if report.problems.is_empty() && report.risks.is_empty() {
            findings.take(Finding::ok(step, format!("{place} has no problem and no risk")));
        }
    }

    /// Whether the worker could read its file again.
    fn look_at_file(&self, config: &Config, findings: &mut Findings<'_>) {
        let step = Step::Permissions;
        findings.begin(step);
        let Some(file) = self.config.and_then(|(_, file)| file.as_deref()) else {
            findings
                .take(Finding::left_out(step, "there is no file: the environment has everything"));
            return;
        };
        let Some(listener) = on_port(&config.listen, config.listen.internal_port) else {
            let why = "nobody listens on internal_port, so whose the worker is cannot be seen";
            findings.take(Finding::left_out(step, why));
            return;
        };
        let groups = listener.process().and_then(Process::groups).unwrap_or_default();
        let finding = match fs::metadata(file) {
            Ok(metadata) => judge_file(file, &metadata, listener.user, &groups),
            Err(error) => Finding::failed(step, format!("{}: {error}", file.display())),
        };
        findings.take(finding);
    }

    /// Asks the worker as PHP does.
    async fn call(&self, facts: &mut Facts, findings: &mut Findings<'_>) {
        let steps = [Step::Internal, Step::Ready, Step::Clock, Step::Refused];
        let of_config = self.usable().map(|config| {
            let ListenConfig { internal_bind, internal_port, .. } = config.listen;
            Address::of_listener(internal_bind, internal_port)
        });
        let address = self.internal.cloned().or(of_config);
        let (Some(address), Some(secret)) = (address, self.secret()) else {
            let why = "the secret or the internal address is not known: --config, or WORKER_SECRET with --internal";
            findings.leave_out(&steps, why);
            return;
        };
        if !address.has_port() {
            findings.leave_out(
                &steps,
                "internal_port is 0, so nobody knows it: name it with --internal",
            );
            return;
        }
        let node = Node { address, secret: secret.clone() };
        findings.begin(Step::Internal);
        let called = node.register(&facts.topic).await;
        let works = matches!(&called, Ok(called) if called.heard.status == 200);
        let finding = node::judge(Step::Internal, &node, &called, &self.whose_secret());
        findings.take(finding);
        if !works {
            findings.leave_out(&steps[1..], "PHP's call fails");
            return;
        }
        self.ready(&node, facts, findings).await;
        findings.begin(Step::Refused);
        for finding in lately::look(&node).await {
            findings.take(finding);
        }
        facts.node = Some(node);
    }

    async fn ready(&self, node: &Node, facts: &mut Facts, findings: &mut Findings<'_>) {
        findings.begin(Step::Ready);
        let ready = node.call("/readyz", None).await;
        let status = node.call("/internal/status?v=2", None).await;
        let who = status.as_ref().ok().and_then(|called| who(&called.heard.body));
        let who = who.unwrap_or_else(|| "a worker".to_owned());
        let step = Step::Ready;
        findings.take(match &ready {
            Ok(Called { heard, .. }) if heard.status == 200 => Finding::ok(step, who),
            Ok(Called { heard, .. }) => {
                Finding::failed(step, format!("{who} says {}", heard.brief()))
                    .expected("200 \"ok\"; meanwhile it serves its own browsers alone")
                    .change("see the Redis steps below, and the worker's log")
            }
            Err(error) => Finding::failed(step, error.to_string())
                .expected("an answer")
                .change("look at the worker's log"),
        });
        findings.begin(Step::Clock);
        facts.worker_ahead_secs = ahead_secs(&status);
        let finding = match (facts.worker_ahead_secs, unsynchronised()) {
            (Some(ahead), _) if ahead.unsigned_abs() > 2 => {
                judge_clock(Step::Clock, ahead, "the worker's clock")
            }
            (_, Some(why)) => Finding::warning(Step::Clock, why)
                .expected("a clock that is kept right: tokens end by it")
                .change("timedatectl set-ntp true"),
            (Some(ahead), None) => judge_clock(Step::Clock, ahead, "the worker's clock"),
            (None, None) => {
                Finding::left_out(Step::Clock, "the worker does not say what its clock shows")
            }
        };
        findings.take(finding);
    }

    /// A push over the worker's own port, with nothing in front of it.
    pub async fn direct(&self, facts: &mut Facts, findings: &mut Findings<'_>) {
        let step = Step::Direct;
        let Some(listen) = self.usable().filter(|_| self.internal.is_none()).map(|c| &c.listen)
        else {
            findings.take(Finding::left_out(
                step,
                "where ws_port is, is not known: name the configuration with --config",
            ));
            return;
        };
        if listen.ws_port == 0 {
            findings.take(Finding::left_out(step, "ws_port is 0, so nobody knows it"));
            return;
        }
        let Some(node) = facts.node.clone() else {
            findings.take(Finding::left_out(step, "PHP's call fails"));
            return;
        };
        findings.begin(step);
        let url = WsUrl::on(Address::of_listener(listen.ws_bind, listen.ws_port));
        let route = Route { url, at: None, origin: None };
        let finding = direct(&route, &node, facts).await;
        facts.direct_works = findings.take(finding);
        facts.direct = Some(route);
    }

    /// Where the secret is from.
    fn whose_secret(&self) -> String {
        match self.config {
            Some((_, Some(file))) => file.display().to_string(),
            _ => "WORKER_SECRET".to_owned(),
        }
    }
}

async fn direct(route: &Route, node: &Node, facts: &Facts) -> Finding {
    let step = Step::Direct;
    let address = &route.url.address;
    let failed = |found: String| {
        Finding::failed(step, found).expected("a push over the worker's own port, without a proxy")
    };
    let raw = match route.upgrade(&facts.topic).await {
        Ok((raw, _)) => raw,
        Err(NoSocket::Unheard(why)) => {
            return failed(why).change(
                "compare ws_bind and ws_port with what the worker says at its start: listening",
            );
        }
        Err(NoSocket::Answered(fault, heard)) => {
            return failed(format!("{address} answers {}: {}", heard.brief(), fault.words()))
                .change(format!("see who has port {}: ss -ltnp", address.port()));
        }
    };
    let mut socket = Socket::over(raw).await;
    if let Err(refused) = socket.authenticate(&facts.token(&node.secret)).await {
        return failed(match refused {
            Refused::Token => "the worker refuses a token made with its own secret".to_owned(),
            Refused::Ended(_) | Refused::Silent => {
                "the worker ends the socket instead of auth_ok".to_owned()
            }
        })
        .change("compare the clocks (above): a token ends by the worker's clock")
        .change("is it one worker? ws_port and internal_port have to belong to the same");
    }
    let mut sockets = [socket];
    let flights = push::send(node, &facts.topic, &mut sockets).await;
    let [socket] = sockets;
    socket.close().await;
    match flights.map(|all| all.first().map(|flights| push::judge(flights))) {
        Err(why) => failed(why).change("look at the worker's log"),
        Ok(Some(Delivery::Good { middle, .. })) => Finding::ok(
            step,
            format!("{address} lets in, and pushes {} after PHP's call", shown(middle)),
        ),
        Ok(Some(Delivery::Late { longest } | Delivery::Bunched { longest, .. })) => {
            Finding::warning(step, format!("pushes come up to {} after PHP's call", shown(longest)))
                .expected("some milliseconds")
                .change("see what keeps the machine busy: top")
        }
        Ok(Some(Delivery::Missing { count })) => {
            failed(format!("{count} of {} pushes never came", push::EVENTS)).change(
                "look at the worker's log; with several workers, both ports have to belong to one",
            )
        }
        Ok(None) => failed("no push came".to_owned()).change("look at the worker's log"),
    }
}

/// Name, version and time of a status document.
fn who(document: &str) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(document).ok()?;
    let text = |name: &str| document.get(name).and_then(|value| value.as_str());
    let plain = |text: &str| text.chars().filter(|letter| !letter.is_control()).collect::<String>();
    let name = text("implementation").unwrap_or("worker");
    Some(plain(&format!("{name} {}, up {}", text("version")?, text("uptime")?)))
}

/// Whoever takes connections to `port` of the worker.
fn on_port(listen: &ListenConfig, port: u16) -> Option<Listener> {
    let bind = if port == listen.ws_port { listen.ws_bind } else { listen.internal_bind };
    let listeners = Listener::all_on(port);
    let address = bind.filter(|ip| !ip.is_unspecified()).map(|ip| SocketAddr::new(ip, port));
    match address {
        Some(address) => listeners.into_iter().find(|listener| listener.takes(address)),
        None => listeners.into_iter().next(),
    }
}

fn look_at_ports(listen: &ListenConfig, findings: &mut Findings<'_>) {
    let step = Step::Ports;
    findings.begin(step);
    if listen.ws_port == 0 || listen.internal_port == 0 {
        findings.take(Finding::left_out(step, "a port is 0, so it is any free one"));
        return;
    }
    let ports = [("ws_port", listen.ws_port), ("internal_port", listen.internal_port)];
    let mut held = Vec::new();
    for (key, port) in ports {
        let Some(listener) = on_port(listen, port) else {
            findings.take(
                Finding::failed(step, format!("nobody listens on {key} ({port})"))
                    .expected("the worker")
                    .change("start it: systemctl start wavelog_worker")
                    .change(
                        "if it ends again, its log says why: journalctl -u wavelog_worker -n 20",
                    ),
            );
            continue;
        };
        let name = listener.process().and_then(Process::name);
        match name.as_deref() {
            Some(name) if name != PROGRAM && name != "worker" => {
                let found = format!("{key} ({port}) is held by {name}");
                let finding = match name.starts_with("php-fpm") {
                    true => Finding::failed(step, found),
                    false => Finding::warning(step, found),
                };
                findings.take(
                    finding.expected("the worker, or the proxy of its container").change(format!(
                        "give the worker another {key}, or the other program another port"
                    )),
                );
            }
            _ => held.push(format!("{key} at {}", listener.address)),
        }
    }
    if held.len() == ports.len() {
        findings.take(Finding::ok(step, held.join(", ")));
    }
}

fn look_at_files(listen: &ListenConfig, findings: &mut Findings<'_>) {
    let step = Step::Files;
    findings.begin(step);
    let process = on_port(listen, listen.internal_port).and_then(|listener| listener.process());
    let limit = process.and_then(Process::open_files);
    let open = process.and_then(Process::files).map(|open| u64::try_from(open).unwrap_or(u64::MAX));
    findings.take(judge_files(limit, open));
}

/// What a worker with `open` of `limit` files is to be told.
fn judge_files(limit: Option<u64>, open: Option<u64>) -> Finding {
    let step = Step::Files;
    let Some(limit) = limit else {
        let why = "the worker's process is not there or not ours to see: run the doctor as root or as its user";
        return Finding::left_out(step, why);
    };
    let used = open.map_or(String::new(), |open| format!("{open} of "));
    let shown = match limit {
        u64::MAX => "any number of files".to_owned(),
        _ => format!("{limit} files"),
    };
    let is_nearly_full = open.is_some_and(|open| open > limit - limit / 10);
    let found = format!("the worker has {used}{shown}");
    if is_nearly_full {
        Finding::failed(step, format!("{found} open: new browsers are turned away"))
            .expected("room for each browser, which is one file")
            .change("systemctl edit wavelog_worker, then restart it:")
            .change("[Service]")
            .change("LimitNOFILE=65536")
    } else if limit < FEW_FILES {
        Finding::warning(step, format!("{found}, and each browser is one"))
            .expected(format!("at least {FEW_FILES}"))
            .change("systemctl edit wavelog_worker, then restart it:")
            .change("[Service]")
            .change("LimitNOFILE=65536")
    } else {
        Finding::ok(step, found)
    }
}

/// Whether `user` with `groups` may read `file`.
fn judge_file(file: &Path, metadata: &Metadata, user: u32, groups: &[u32]) -> Finding {
    let step = Step::Permissions;
    let mode = metadata.mode();
    let name = user_name(user).unwrap_or_else(|| format!("user {user}"));
    let may = user == 0
        || (metadata.uid() == user && mode & 0o400 != 0)
        || (groups.contains(&metadata.gid()) && mode & 0o040 != 0)
        || mode & 0o004 != 0;
    let shown = file.display();
    if may {
        Finding::ok(
            step,
            format!("the worker ({name}) may read {shown}, mode {:04o}", mode & 0o7777),
        )
    } else if groups.is_empty() && mode & 0o040 != 0 {
        Finding::left_out(
            step,
            format!("the groups of {name} are not ours to see: run the doctor as root"),
        )
    } else {
        Finding::failed(
            step,
            format!(
                "the worker runs as {name}, who may not read {shown} (mode {:04o})",
                mode & 0o7777
            ),
        )
        .expected("its own file: at its next start it would not come up")
        .change(format!("chown {name} {shown} && chmod 600 {shown}"))
    }
}

fn user_name(user: u32) -> Option<String> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == user.to_string()).then(|| name.to_owned())
    })
}

/// Why this machine's clock may go wrong, as far as systemd tells; `None` if it is kept right, or
/// nobody says.
fn unsynchronised() -> Option<String> {
    let exists = |path: &str| Path::new(path).exists();
    let kept = [
        "/run/systemd/timesync/synchronized",
        "/run/chrony/chronyd.pid",
        "/run/chronyd.pid",
        "/run/ntpd.pid",
        "/var/run/ntpd.pid",
    ];
    let is_container = exists("/run/systemd/container") || exists("/.dockerenv");
    (exists("/run/systemd/system") && !is_container && !kept.into_iter().any(exists))
        .then(|| "no service keeps this machine's clock right, as far as can be seen".to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::finding::State;
    use super::*;

    #[test]
    fn few_files_are_a_warning_and_none_left_a_fault() {
        let state = |limit, open| judge_files(limit, open).state;

        assert_eq!(state(Some(65_536), Some(30)), State::Ok);
        assert_eq!(state(Some(u64::MAX), Some(30)), State::Ok);
        assert_eq!(state(Some(1024), Some(30)), State::Warning);
        assert_eq!(state(Some(65_536), Some(65_000)), State::Failed);
        assert_eq!(state(None, None), State::LeftOut);
    }

    #[test]
    fn a_file_is_readable_by_its_owner_and_his_group_as_its_mode_says() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path();
        let metadata = |mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            fs::metadata(path).unwrap()
        };
        let private = metadata(0o600);
        let (owner, group) = (private.uid(), private.gid());
        let state = |metadata: &Metadata, user, groups: &[u32]| {
            judge_file(path, metadata, user, groups).state
        };

        assert_eq!(state(&private, owner, &[]), State::Ok);
        assert_eq!(state(&private, owner + 4242, &[group]), State::Failed);
        assert_eq!(state(&metadata(0o640), owner + 4242, &[group]), State::Ok);
        assert_eq!(state(&metadata(0o640), owner + 4242, &[group + 1]), State::Failed);
    }

    #[test]
    fn who_a_worker_is_stands_in_its_status() {
        let document = r#"{"status":"ok","version":"0.3.0","uptime":"5s"}"#;

        assert_eq!(who(document).as_deref(), Some("worker 0.3.0, up 5s"));
        assert_eq!(who("ok"), None);
    }
}
