//! The public address, as a browser meets it: name, connection, TLS, upgrade, token, pushes, and
//! what strangers must not reach.
//!
//! Start reading at [`Public::examine`].

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use futures_util::future::join_all;
use hyper::header::CONTENT_TYPE;
use jiff::Timestamp;
use tokio::time::{Instant, timeout};

use super::finding::{Finding, Step};
use super::node::{Node, shown};
use super::proxy::{Place, Proxy, Wrong, script_path};
use super::push::{self, Delivery, Flight};
use super::route::{NoSocket, PATIENCE, Route, connect};
use super::socket::{PAGE_PATIENCE, Refused, Socket};
use super::upgrade::{Fault, Heard, judge};
use super::{Facts, Findings, certificate, http, idle, judge_clock};
use crate::client::address::{Address, WsUrl};
use crate::client::tls::{self, Instead};
use crate::token::{self, Grant};

/// A topic that every worker has.
const ALWAYS: &str = "worker.status";

/// The worker's usual ports.
const WS_PORT: u16 = 9000;
const INTERNAL_PORT: u16 = 9001;

/// The way of a browser.
pub struct Public {
    route: Route,
    /// A token to show instead of one of its own.
    token: Option<String>,
    proxy: Option<Proxy>,
    quick: bool,
}

impl Public {
    /// Nothing is asked yet. Without an `origin` the page is one of the same host.
    pub fn new(
        url: WsUrl,
        origin: Option<String>,
        token: Option<String>,
        proxy: Option<Proxy>,
        quick: bool,
    ) -> Self {
        let mut route = Route { url, at: None, origin };
        if route.origin.is_none() {
            let scheme = if route.url.address.is_tls() { "https" } else { "http" };
            route.origin = Some(format!("{scheme}://{}", route.host()));
        }
        Self { route, token, proxy, quick }
    }

    /// One step after the other; what stands on one that fails is left out.
    pub async fn examine(mut self, facts: &Facts, findings: &mut Findings<'_>) {
        const AFTER_TLS: [Step; 8] = [
            Step::Upgrade,
            Step::Origin,
            Step::Script,
            Step::Auth,
            Step::Push,
            Step::Buffering,
            Step::Exposure,
            Step::Idle,
        ];
        let Some(at) = self.reach(findings).await else {
            findings.leave_out(&[Step::Tls], "nobody is reached");
            findings.leave_out(&AFTER_TLS, "nobody is reached");
            return;
        };
        self.route.at = Some(at);
        if !self.look_at_tls(at, findings).await {
            findings.leave_out(&AFTER_TLS, "TLS fails");
            return;
        }
        let upgraded = self.upgrade(facts, findings).await;
        self.look_at_script(facts, findings).await;
        match upgraded {
            true => self.use_it(facts, findings).await,
            false => {
                findings.leave_out(
                    &[Step::Auth, Step::Push, Step::Buffering, Step::Idle],
                    "there is no WebSocket",
                );
            }
        }
        self.look_for_holes(facts, at, findings).await;
    }

    /// Name and connections; the address that is used from now on.
    async fn reach(&self, findings: &mut Findings<'_>) -> Option<SocketAddr> {
        let address = &self.route.url.address;
        findings.begin(Step::Dns);
        let resolved = timeout(PATIENCE, address.resolve()).await;
        let all = match resolved {
            Ok(Ok(all)) if !all.is_empty() => all,
            _ => {
                findings.take(
                    Finding::failed(Step::Dns, format!("{} has no address", address.host()))
                        .expected("an A record, and an AAAA record if the server has IPv6")
                        .change("correct the name, or add the record at whoever keeps the domain"),
                );
                return None;
            }
        };
        let list = |all: &[SocketAddr]| {
            all.iter().map(|at| at.ip().to_string()).collect::<Vec<_>>().join(", ")
        };
        findings.take(Finding::ok(Step::Dns, format!("{} is {}", address.host(), list(&all))));
        findings.begin(Step::Connect);
        let tried =
            join_all(all.iter().map(|&at| async move { (at, connect(at).await.err()) })).await;
        let good: Vec<SocketAddr> =
            tried.iter().filter(|(_, error)| error.is_none()).map(|(at, _)| *at).collect();
        let bad: Vec<&String> = tried.iter().filter_map(|(_, error)| error.as_ref()).collect();
        let finding = match (good.is_empty(), bad.first()) {
            (false, None) => Finding::ok(Step::Connect, format!("port {} takes connections", address.port())),
            (false, Some(first)) => Finding::warning(
                Step::Connect,
                format!("{first}; {} takes connections", list(&good)),
            )
            .expected("every address that the name has: some browsers try that one first")
            .change("let the proxy listen there, too (nginx: listen [::]:443 ssl;), or remove the record from the domain"),
            (true, first) => Finding::failed(
                Step::Connect,
                first.map_or("no address".to_owned(), |first| (*first).clone()),
            )
            .expected(format!("something that listens on port {}", address.port()))
            .change("start the proxy, or let the firewall pass this port, or correct the address"),
        };
        findings.take(finding);
        good.first().copied()
    }

    /// Whether it can go on.
    async fn look_at_tls(&self, at: SocketAddr, findings: &mut Findings<'_>) -> bool {
        let address = &self.route.url.address;
        let step = Step::Tls;
        if !address.is_tls() {
            let finding = match is_near(at.ip()) {
                true => Finding::left_out(step, "the address is ws://, without TLS"),
                false => Finding::warning(
                    step,
                    "the address is ws://: everybody on the way can read tokens and pushes",
                )
                .expected("wss://, which pages of https:// sites need")
                .change("let the proxy do TLS, and write wss:// in worker_client_url"),
            };
            findings.take(finding);
            return true;
        }
        findings.begin(step);
        let greeting = async {
            let stream = connect(at).await?;
            let examined = tls::examine(stream, address.host(), Instead::GoOn).await;
            examined.map(|(_, examined)| examined).map_err(|error| error.to_string())
        };
        let greeted = timeout(PATIENCE, greeting).await;
        match greeted.unwrap_or_else(|_| Err(format!("{address} does not answer with TLS"))) {
            Ok(examined) => {
                let now = Timestamp::now();
                for finding in certificate::judge(&examined, address.host(), now) {
                    findings.take(finding);
                }
                true
            }
            Err(why) => {
                findings.take(
                    Finding::failed(step, why)
                        .expected(format!("TLS on port {}", address.port()))
                        .change("nginx: listen 443 ssl; Apache: SSLEngine on; HAProxy: bind :443 ssl crt FILE")
                        .change("or, if this port is meant to be without TLS, write ws:// in the address"),
                );
                false
            }
        }
    }

    /// From HTTP to a WebSocket, as a page of the site asks for it.
    async fn upgrade(&mut self, facts: &Facts, findings: &mut Findings<'_>) -> bool {
        findings.begin(Step::Upgrade);
        let upgraded = self.route.upgrade(ALWAYS).await;
        if let Some(heard) = heard(&upgraded) {
            self.proxy = self.proxy.or_else(|| Proxy::recognise(&heard.headers, &heard.body));
        }
        if self.proxy.is_none() {
            self.proxy = self.route.who_complains().await;
        }
        let by = self.proxy.map_or(String::new(), |proxy| format!(" through {}", proxy.name()));
        let origin = self.route.origin.clone().unwrap_or_default();
        let (fault, heard) = match upgraded {
            Ok(_) => {
                findings.take(Finding::ok(Step::Upgrade, format!("a WebSocket{by}")));
                findings.take(Finding::ok(Step::Origin, format!("{origin} is let in")));
                return true;
            }
            Err(NoSocket::Unheard(why)) => {
                let place = self.place(facts);
                findings.take(
                    Finding::failed(Step::Upgrade, why)
                        .expected("101 Switching Protocols")
                        .changes(place.lines(Wrong::NotPassed)),
                );
                findings.take(Finding::left_out(Step::Origin, "there is no WebSocket"));
                return false;
            }
            Err(NoSocket::Answered(fault, heard)) => (fault, heard),
        };
        // Whoever minds the origin lets in who has none.
        if matches!(fault, Fault::Forbidden | Fault::Strange | Fault::Page) {
            let without = Route { origin: None, ..self.route.clone() };
            if without.upgrade(ALWAYS).await.is_ok() {
                findings.take(Finding::ok(
                    Step::Upgrade,
                    format!("a WebSocket{by}, without an Origin"),
                ));
                findings.take(
                    Finding::failed(Step::Origin, format!("{origin} gets {}", heard.brief()))
                        .expected("101 Switching Protocols, as without an Origin")
                        .changes(self.place(facts).lines(Wrong::Origin))
                        .change(
                            "or name the site's own address with --origin, if it is another one",
                        ),
                );
                self.route.origin = None;
                return true;
            }
        }
        // Workers before 0.3.0 have no such topic; what the others say comes in the next step.
        if fault == Fault::UnknownTopic {
            findings.take(Finding::ok(
                Step::Upgrade,
                format!("a worker answers{by}, an old one without the topic {ALWAYS}"),
            ));
            findings.take(Finding::left_out(Step::Origin, "see authentication"));
            return true;
        }
        let finding = self.judge(&fault, &heard, facts);
        findings.take(finding);
        findings.take(Finding::left_out(Step::Origin, "there is no WebSocket"));
        false
    }

    fn judge(&self, fault: &Fault, heard: &Heard, facts: &Facts) -> Finding {
        let by = match (fault.is_from_worker(), self.proxy) {
            (_, None) => String::new(),
            (true, Some(proxy)) => format!(" (behind {})", proxy.name()),
            (false, Some(proxy)) => format!(" ({})", proxy.name()),
        };
        let found = format!("{}{by}: {}", heard.brief(), fault.words());
        let mut finding = Finding::failed(Step::Upgrade, found).expected("101 Switching Protocols");
        let place = self.place(facts);
        if let Some(wrong) = fault.of_proxy() {
            finding = finding.changes(place.lines(wrong));
        }
        match fault {
            Fault::OtherPath => finding.change(format!(
                "if it leads to internal_port ({INTERNAL_PORT}), write ws_port ({})",
                place.upstream
            )),
            Fault::InternalPort => finding.change(
                "until then everybody can try secrets there: mend this first",
            ),
            Fault::Elsewhere { to } => finding.change(match to.strip_prefix("https://") {
                Some(_) if !self.route.url.address.is_tls() => {
                    "write wss:// in worker_client_url, and run the doctor with it".to_owned()
                }
                _ => format!("let no redirect stand in front of {}: answer it first", self.route.path()),
            }),
            Fault::Login => finding.change(format!(
                "let {} pass without a password (nginx: auth_basic off;): the token is what lets a browser in",
                self.route.path()
            )),
            Fault::Forbidden => finding.change(format!(
                "let {} pass: look for deny, Require, a firewall for web applications, and rules for bots",
                self.route.path()
            )),
            Fault::WantsTls => finding.change("write wss:// instead of ws://"),
            Fault::RedisAway => finding.change("see the Redis steps, and the worker's log"),
            Fault::Full => finding.change("raise LimitNOFILE of the worker, see docs/operations.md, \"Sizing\""),
            Fault::Strange => finding.change(format!(
                "see who answers {} at this address, and let it pass the request on to the worker",
                self.route.path()
            )),
            _ => finding,
        }
    }

    async fn look_at_script(&self, facts: &Facts, findings: &mut Findings<'_>) {
        let step = Step::Script;
        findings.begin(step);
        let path = script_path(self.route.path());
        let heard = self.route.get(&path).await;
        let is_script = |heard: &Heard| {
            heard.status == 200
                && heard.header(CONTENT_TYPE).contains("javascript")
                && !heard.is_page()
        };
        match &heard {
            Ok(heard) if is_script(heard) => {
                findings.take(Finding::ok(step, format!("{path} is there")));
            }
            other => {
                let found = other.as_ref().map_or_else(Clone::clone, Heard::brief);
                findings.take(
                    Finding::warning(step, format!("{path}: {found}"))
                        .expected("the browser client, for pages that load it from the worker; others do without")
                        .changes(self.place(facts).lines(Wrong::Script)),
                );
            }
        }
        if let Some(date) = heard.ok().as_ref().and_then(http::date) {
            let ahead = date.as_second() - Timestamp::now().as_second();
            findings.take(judge_clock(Step::PublicClock, ahead, "the clock of the public address"));
        }
    }

    /// Token, pushes, silence.
    async fn use_it(&mut self, facts: &Facts, findings: &mut Findings<'_>) {
        let (topic, token) = match (&self.token, &facts.node) {
            (Some(token), _) => match topic_of(token) {
                Ok(topic) => (topic, token.clone()),
                Err(finding) => {
                    findings.take(finding);
                    findings.leave_out(
                        &[Step::Push, Step::Buffering, Step::Idle],
                        "the token is no good",
                    );
                    return;
                }
            },
            (None, Some(node)) => (facts.topic.clone(), facts.token(&node.secret)),
            (None, None) => {
                let why = "no secret and no token: run it where the configuration is, or with --token-file";
                findings.leave_out(&[Step::Auth, Step::Push, Step::Buffering, Step::Idle], why);
                return;
            }
        };
        let Some(mut socket) = self.authenticate(&topic, &token, facts, findings).await else {
            findings.leave_out(&[Step::Push, Step::Buffering, Step::Idle], "no socket is let in");
            return;
        };
        match &facts.node {
            Some(node) if topic == facts.topic => {
                socket = self.push(socket, node, facts, findings).await;
            }
            _ => {
                let why = "to publish takes the secret and the internal port, and a topic of the doctor's own: leave --token-file away";
                findings.leave_out(&[Step::Push, Step::Buffering], why);
            }
        }
        self.hold(&mut socket, facts, findings).await;
        socket.close().await;
    }

    async fn authenticate(
        &self,
        topic: &str,
        token: &str,
        facts: &Facts,
        findings: &mut Findings<'_>,
    ) -> Option<Socket> {
        let step = Step::Auth;
        findings.begin(step);
        let begin = Instant::now();
        let raw = match self.route.upgrade(topic).await {
            Ok((raw, _)) => raw,
            Err(NoSocket::Answered(Fault::UnknownTopic, _)) => {
                findings.take(self.unknown_topic(facts));
                return None;
            }
            Err(NoSocket::Answered(fault, heard)) => {
                findings.take(self.judge(&fault, &heard, facts));
                return None;
            }
            Err(NoSocket::Unheard(why)) => {
                findings.take(Finding::failed(step, why).expected("a second WebSocket").change(
                    "run the doctor again; if it stays so, see the proxy's limits for one address",
                ));
                return None;
            }
        };
        let mut socket = Socket::over(raw).await;
        match socket.authenticate(token).await {
            Ok(()) => {
                let took = begin.elapsed();
                let found = format!("auth_ok {} after the page began to connect", shown(took));
                findings.take(match took <= PAGE_PATIENCE {
                    true => Finding::ok(step, found),
                    false => Finding::failed(step, found)
                        .expected("1.5 s at most: the application's page gives up then")
                        .change("see what is slow on the way: the name, TLS, or the proxy"),
                });
                Some(socket)
            }
            Err(Refused::Token) => {
                findings.take(self.refused_token(token, facts));
                None
            }
            Err(refused) => {
                let found = match refused {
                    Refused::Silent => "no answer to the token".to_owned(),
                    _ => "the socket ended instead of auth_ok".to_owned(),
                };
                findings.take(
                    Finding::failed(step, found)
                        .expected("auth_ok")
                        .changes(self.place(facts).lines(Wrong::Buffering)),
                );
                None
            }
        }
    }

    fn unknown_topic(&self, facts: &Facts) -> Finding {
        let finding = Finding::failed(
            Step::Auth,
            "404 \"topic not registered\": the worker behind this address does not know the topic",
        );
        match (&self.token, &facts.node) {
            (None, Some(node)) => finding
                .expected(format!("the worker that PHP calls at {}", node.address))
                .change("let PHP's address and the proxy lead to the same worker")
                .change(
                    "or make the workers a cluster: the same redis_url and redis_prefix in each",
                ),
            _ => finding
                .expected("the topic of the token: PHP registers it when its page is loaded")
                .change("load the page once, and run the doctor again"),
        }
    }

    fn refused_token(&self, token: &str, facts: &Facts) -> Finding {
        let finding = Finding::failed(Step::Auth, "the worker refuses the token (unauthorized)");
        let finding = finding.expected("auth_ok for a token that was just made with the secret");
        if self.token.is_some() {
            let late = token::peek(token)
                .ok()
                .map(|claims| Timestamp::now().as_second().saturating_sub(claims.expires));
            return match late {
                Some(late @ 1..) => Finding::failed(Step::Auth, format!("the token expired {late} s ago"))
                    .expected("one that is still good")
                    .change("take a fresh one from the page, or raise worker_token_expiration in worker.php"),
                _ => finding
                    .change("compare worker_secret in config.yaml and worker.php: tokens are signed with it")
                    .change("and the clocks of both machines"),
            };
        }
        if facts.direct_works {
            finding
                .change("the worker itself takes such a token, so another worker answers at this address: let the proxy lead to the one that PHP calls")
                .change("or give all workers the same worker_secret")
        } else {
            finding.change("compare the clocks (above): a token ends by the worker's clock").change(
                "let PHP's address and the proxy lead to the same worker, with one worker_secret",
            )
        }
    }

    /// Pushes over this way and, to compare, over the worker's own port.
    async fn push(
        &self,
        socket: Socket,
        node: &Node,
        facts: &Facts,
        findings: &mut Findings<'_>,
    ) -> Socket {
        findings.begin(Step::Push);
        let mut sockets = vec![socket];
        if let Some(route) = facts.direct.as_ref().filter(|_| facts.direct_works)
            && let Ok((raw, _)) = route.upgrade(&facts.topic).await
        {
            let mut direct = Socket::over(raw).await;
            if direct.authenticate(&facts.token(&node.secret)).await.is_ok() {
                sockets.push(direct);
            }
        }
        match push::send(node, &facts.topic, &mut sockets).await {
            Ok(flights) => self.judge_flights(&flights, facts, findings),
            Err(why) => {
                findings.take(
                    Finding::failed(Step::Push, why)
                        .expected("a publish that is taken")
                        .change("look at the worker's log"),
                );
                findings.take(Finding::left_out(Step::Buffering, "no push came"));
            }
        }
        let mut sockets = sockets.into_iter();
        let socket = sockets.next();
        for direct in sockets {
            direct.close().await;
        }
        // There is one: it was put in above, and none was taken out.
        #[expect(clippy::expect_used, reason = "the list begins with the socket")]
        socket.expect("the socket that was given")
    }

    fn judge_flights(&self, flights: &[Vec<Flight>], facts: &Facts, findings: &mut Findings<'_>) {
        let delivery = |at: usize| flights.get(at).map(|flights| push::judge(flights));
        let compared = match delivery(1) {
            Some(Delivery::Good { middle, .. }) => {
                format!(", {} to the worker's own port", shown(middle))
            }
            _ => String::new(),
        };
        let place = self.place(facts);
        let all = push::EVENTS;
        let (push, buffering) = match delivery(0).unwrap_or(Delivery::Missing { count: all }) {
            Delivery::Good { middle, longest } => (
                Finding::ok(Step::Push, format!("{all} of {all}, {} after PHP's call{compared}", shown(middle))),
                Finding::ok(Step::Buffering, format!("each push comes for itself, the slowest after {}", shown(longest))),
            ),
            Delivery::Late { longest } => (
                Finding::warning(Step::Push, format!("{all} of {all}, but up to {} late{compared}", shown(longest)))
                    .expected("less than a second")
                    .change("see what is slow between browser and worker: the network, the proxy, another proxy"),
                Finding::ok(Step::Buffering, "each push comes for itself"),
            ),
            Delivery::Bunched { together, longest } => (
                Finding::ok(Step::Push, format!("{all} of {all}{compared}")),
                Finding::failed(Step::Buffering, format!("{together} pushes came at once, up to {} late, though they were sent apart", shown(longest)))
                    .expected("each push for itself, at once")
                    .changes(place.lines(Wrong::Buffering)),
            ),
            Delivery::Missing { count } => (
                Finding::failed(Step::Push, format!("{count} of {all} pushes never came{compared}"))
                    .expected("all of them, within a second")
                    .changes(place.lines(Wrong::Buffering)),
                Finding::left_out(Step::Buffering, "not all pushes came"),
            ),
        };
        findings.take(push);
        findings.take(buffering);
    }

    async fn hold(&self, socket: &mut Socket, facts: &Facts, findings: &mut Findings<'_>) {
        let step = Step::Idle;
        let interval = facts.ping_interval;
        if self.quick {
            findings.take(Finding::left_out(
                step,
                "takes as long as two pings of the worker: leave --quick away",
            ));
            return;
        }
        if interval > idle::LONGEST_INTERVAL {
            findings.take(
                Finding::warning(step, format!("not held: ping_interval is {}", shown(interval)))
                    .expected("less than a minute: many proxies and routers cut what is silent for so long")
                    .change("ping_interval: \"30s\""),
            );
            return;
        }
        findings.begin(step);
        let held = idle::hold(socket, interval, findings).await;
        findings.take(idle::judge(held, interval, &self.place(facts)));
    }

    /// Whether strangers reach the internal API.
    async fn look_for_holes(&self, facts: &Facts, at: SocketAddr, findings: &mut Findings<'_>) {
        let step = Step::Exposure;
        findings.begin(step);
        let beside = format!("{}/internal/status", self.route.path().trim_end_matches("/ws"));
        let mut paths = vec!["/internal/status".to_owned()];
        if !paths.contains(&beside) {
            paths.push(beside);
        }
        for path in paths {
            let Ok(heard) = self.route.get(&path).await else { continue };
            if is_internal(&heard) {
                findings.take(
                    Finding::failed(
                        step,
                        format!("{path} reaches the worker's internal API: {}", heard.brief()),
                    )
                    .expected("404: whoever guesses the secret could publish")
                    .changes(self.place(facts).lines(Wrong::Exposed)),
                );
                return;
            }
        }
        let port = facts.node.as_ref().map_or(INTERNAL_PORT, |node| node.address.port());
        let hidden = "not reached through the public address";
        if is_own(at.ip()) {
            findings.take(Finding::ok(step, format!("{hidden}; whether port {port} is closed to strangers can be seen from another machine alone")));
            return;
        }
        match reaches_internal(&self.route.url.address, port).await {
            false => {
                findings.take(Finding::ok(
                    step,
                    format!("{hidden}, and port {port} is closed from here"),
                ));
            }
            true => {
                let found =
                    format!("{}:{port} answers this machine", self.route.url.address.host());
                let finding = match is_near(at.ip()) {
                    true => Finding::warning(step, format!("{found}, which may be meant")),
                    false => Finding::failed(step, found),
                };
                findings.take(
                    finding
                        .expected("the internal port closed to all but PHP")
                        .change("internal_bind: 127.0.0.1, in config.yaml, if PHP is on the same machine")
                        .change(format!("or a firewall: ufw deny {port}/tcp")),
                );
            }
        }
    }

    /// What the lines for the proxy are made of.
    fn place(&self, facts: &Facts) -> Place {
        let upstream = match &facts.direct {
            Some(route) => route.url.address.to_string(),
            None => format!("127.0.0.1:{WS_PORT}"),
        };
        // Longer than the worker bears a silent browser.
        let idle_secs = facts.idle_timeout.max(facts.ping_interval * 2).as_secs() + 15;
        Place { proxy: self.proxy, path: self.route.path().to_owned(), upstream, idle_secs }
    }
}

fn heard<T>(upgraded: &Result<(T, Heard), NoSocket>) -> Option<&Heard> {
    match upgraded {
        Ok((_, heard)) | Err(NoSocket::Answered(_, heard)) => Some(heard),
        Err(NoSocket::Unheard(_)) => None,
    }
}

/// The topic that `token` is for.
fn topic_of(token: &str) -> Result<String, Finding> {
    match token::peek(token) {
        Ok(claims) => Ok(match claims.grant {
            Grant::Topic(topic) => topic,
            Grant::Session(id) => format!("session.{id}"),
        }),
        Err(error) => Err(Finding::failed(Step::Auth, error.to_string())
            .expected("a token as PHP makes it")
            .change("see what it says: wavelog_worker token --decode < FILE")),
    }
}

/// Whether the internal API said this.
fn is_internal(heard: &Heard) -> bool {
    judge(heard, "") == Some(Fault::InternalPort)
        || (heard.status == 200 && heard.body.contains("\"registered_topics\":"))
}

async fn reaches_internal(address: &Address, port: u16) -> bool {
    const TIME: Duration = Duration::from_secs(2);

    let address = address.with_port(port);
    let asking = async {
        let stream = address.connect(TIME).await.ok()?;
        let request = http::get(&address.to_string(), "/internal/status");
        let (heard, _) = http::ask(tls::Stream::Plain(stream), request, TIME).await.ok()?;
        Some(is_internal(&heard))
    };
    asking.await.unwrap_or(false)
}

/// Whether `ip` is this machine's own.
fn is_own(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

/// Whether `ip` is of this machine or of a private network.
fn is_near(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}
