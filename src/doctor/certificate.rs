//! What a certificate's flaws mean, and what to do about each.
//!
//! Pure. Start reading at [`judge`].

use jiff::Timestamp;

use super::finding::{Finding, Step};
use crate::client::tls::{Examined, Flaw};

/// Days before its end at which a certificate should have been renewed.
const SOON_DAYS: i64 = 14;

/// Findings for a certificate that was shown for `host`: one for each flaw, or one that all is
/// well.
pub fn judge(examined: &Examined, host: &str, now: Timestamp) -> Vec<Finding> {
    let Examined { flaws, until, protocol } = examined;
    let step = Step::Tls;
    if flaws.is_empty() {
        let Some(until) = until else {
            return vec![Finding::ok(
                step,
                format!("{protocol}, the certificate is good for {host}"),
            )];
        };
        let days = (until.as_second() - now.as_second()) / 86_400;
        let found = format!(
            "{protocol}, the certificate is good for {host} until {}",
            until.strftime("%Y-%m-%d")
        );
        return vec![match days {
            ..SOON_DAYS => Finding::warning(step, format!("{found}, which is in {days} days"))
                .expected("one that was renewed weeks before its end")
                .change(
                    "certbot renew, or look why it did not renew by itself: systemctl list-timers",
                ),
            _ => Finding::ok(step, found),
        }];
    }
    flaws.iter().map(|flaw| of(flaw, host)).collect()
}

fn of(flaw: &Flaw, host: &str) -> Finding {
    let finding = Finding::failed(Step::Tls, format!("browsers refuse the certificate: {flaw}"))
        .expected(format!(
            "a certificate for {host}, in its time, from an authority that browsers know"
        ));
    match flaw {
        Flaw::Expired { .. } => finding
            .change("certbot renew, then reload the proxy (nginx -s reload)")
            .change("if it was renewed already, the proxy still has the old one: reload it, or correct the path of its certificate"),
        Flaw::NotYet { .. } => finding
            .change("set this machine's clock right: timedatectl set-ntp true")
            .change("if it is right, the certificate was made by a machine whose clock is wrong"),
        Flaw::OtherName { names } => finding
            .change(format!("get one for this name: certbot certonly -d {host}"))
            .change(match names.first() {
                Some(name) => format!("or use the name that it is for: {name}"),
                None => "and let the proxy use it for this name".to_owned(),
            }),
        Flaw::Untrusted { sent: 1 } => finding
            .change("if you made it yourself: browsers know no authority for it; get one with certbot")
            .change("if an authority made it: the chain is missing; nginx: ssl_certificate .../fullchain.pem;, not cert.pem"),
        Flaw::Untrusted { .. } => finding
            .change("get one from an authority that browsers know: certbot")
            .change("an authority of your own: add it to this machine and to every browser (update-ca-certificates)"),
        Flaw::Other(_) => finding.change("get a new one: certbot certonly --force-renewal"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn examined(flaws: Vec<Flaw>, days: i64) -> Examined {
        let until = Timestamp::from_second(days * 86_400).unwrap();
        Examined { flaws, until: Some(until), protocol: "TLSv1.3" }
    }

    #[test]
    fn a_certificate_that_ends_soon_is_a_warning() {
        let now = Timestamp::from_second(1000 * 86_400).unwrap();
        let state = |days| judge(&examined(Vec::new(), days), "a", now)[0].state;

        assert_eq!(state(1090), State::Ok);
        assert_eq!(state(1005), State::Warning);
    }

    #[test]
    fn every_flaw_is_a_fault_of_its_own() {
        let names = vec!["b.example".to_owned()];
        let flaws = vec![Flaw::Untrusted { sent: 1 }, Flaw::OtherName { names }];
        let found = judge(&examined(flaws, 1), "a.example", Timestamp::UNIX_EPOCH);

        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|finding| finding.state == State::Failed));
        assert!(found[1].found.ends_with("it is for b.example"));
        assert!(found[1].change[1].contains("b.example"));
    }
}
