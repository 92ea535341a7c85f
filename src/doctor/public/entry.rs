//! From HTTP to a WebSocket, and the script beside it.
//!
//! What an answer means is decided in `upgrade`; here it becomes a finding with the lines of the
//! proxy. Start reading at [`Public::upgrade`].

use hyper::header::CONTENT_TYPE;
use jiff::Timestamp;

use super::{ALWAYS, INTERNAL_PORT, Public};
use crate::doctor::finding::{Finding, Step};
use crate::doctor::proxy::{Proxy, Wrong, script_path};
use crate::doctor::route::{NoSocket, Route};
use crate::doctor::upgrade::{Fault, Heard};
use crate::doctor::{Facts, Findings, http, judge_clock};

impl Public {
    /// From HTTP to a WebSocket, as a page of the site asks for it.
    pub(super) async fn upgrade(&mut self, facts: &Facts, findings: &mut Findings<'_>) -> bool {
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

    pub(super) fn judge(&self, fault: &Fault, heard: &Heard, facts: &Facts) -> Finding {
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

    pub(super) async fn look_at_script(&self, facts: &Facts, findings: &mut Findings<'_>) {
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
}

fn heard<T>(upgraded: &Result<(T, Heard), NoSocket>) -> Option<&Heard> {
    match upgraded {
        Ok((_, heard)) | Err(NoSocket::Answered(_, heard)) => Some(heard),
        Err(NoSocket::Unheard(_)) => None,
    }
}
