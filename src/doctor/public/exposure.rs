//! Whether strangers reach the internal API: through the public address, or at its own port.
//!
//! Start reading at [`Public::look_for_holes`].

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use super::{INTERNAL_PORT, Public, is_near};
use crate::client::address::Address;
use crate::client::tls;
use crate::doctor::finding::{Finding, Step};
use crate::doctor::proxy::Wrong;
use crate::doctor::upgrade::{Fault, Heard, judge};
use crate::doctor::{Facts, Findings, http};

impl Public {
    /// Whether strangers reach the internal API.
    pub(super) async fn look_for_holes(
        &self,
        facts: &Facts,
        at: SocketAddr,
        findings: &mut Findings<'_>,
    ) {
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
