//! The public address, as a browser meets it: name, connection, TLS, upgrade, token, pushes, and
//! what strangers must not reach.
//!
//! What a browser meets before it is let in is [`entry`], what it does then [`session`]. Start reading
//! at [`Public::examine`].

mod entry;
mod exposure;
mod session;

use std::net::{IpAddr, SocketAddr};

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::timeout;

use super::finding::{Finding, Step};
use super::proxy::{Place, Proxy};
use super::route::{PATIENCE, Route, connect};
use super::{Facts, Findings, certificate};
use crate::client::address::WsUrl;
use crate::client::tls::{self, Instead};

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

/// Whether `ip` is of this machine or of a private network.
fn is_near(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}
