//! What the worker refused lately, and from whom: PHP with another secret, browsers with another's
//! tokens.
//!
//! The other steps show the doctor's own secret and its own tokens, which are right; what is wrong
//! on the site's side is seen by what the worker notes of everybody else (`/live/state`). Start
//! reading at [`look`].

use serde::Deserialize;

use super::finding::{Finding, Step};
use super::node::Node;

/// What is refused, and how often within [`LATELY_MS`] it has to be before it is no chance: some of
/// it comes now and then where all is well.
const REFUSALS: [(&str, usize); 8] = [
    ("wrong_secret", 1),
    ("no_token", 1),
    ("token_malformed", 1),
    ("token_signature", 1),
    ("token_opens_nothing", 1),
    ("token_other_topic", 1),
    ("token_expired", 5),
    ("publish_unregistered", 5),
];

/// As long as something counts as late.
const LATELY_MS: i64 = 15 * 60_000;

/// What the worker writes down of each kind, at most.
const MOST_DETAILS: usize = 10;

/// What PHP calls. Who signs in to the live view, or asks for the status, may mistype.
const CALLS: [&str; 3] = ["/internal/register", "/internal/publish", "/internal/unregister"];

/// As much of the live view's state as matters here.
#[derive(Debug, Deserialize)]
struct State {
    now: i64,
    problems: Vec<Problem>,
}

#[derive(Debug, Deserialize)]
struct Problem {
    kind: String,
    title: String,
    advice: String,
    recent: Vec<Occurrence>,
}

#[derive(Debug, Deserialize)]
struct Occurrence {
    at: i64,
    detail: String,
}

/// Asks the worker what it refused.
pub async fn look(node: &Node) -> Vec<Finding> {
    // No figures of the past, which would be most of the answer.
    let called = node.call(&format!("/live/state?after={}", i64::MAX), None).await;
    let body = called.ok().filter(|called| called.heard.status == 200);
    let state = body.and_then(|called| serde_json::from_str(&called.heard.body).ok());
    match state {
        Some(state) => judge(&state),
        None => {
            vec![Finding::left_out(Step::Refused, "the worker does not say: it is an older one")]
        }
    }
}

fn judge(state: &State) -> Vec<Finding> {
    let refused: Vec<Finding> = REFUSALS
        .iter()
        .filter_map(|&(kind, least)| {
            let problem = state.problems.iter().find(|problem| problem.kind == kind)?;
            let mut lately = problem.recent.iter().filter(|one| is_meant(kind, one, state.now));
            let newest = lately.next()?;
            let count = 1 + lately.count();
            (count >= least).then(|| finding(problem, newest, count, state.now))
        })
        .collect();
    match refused.is_empty() {
        true => vec![Finding::ok(Step::Refused, "nobody in the last 15 minutes")],
        false => refused,
    }
}

fn is_meant(kind: &str, one: &Occurrence, now: i64) -> bool {
    let is_late = now.saturating_sub(one.at) < LATELY_MS;
    let is_ours = one.detail.contains("\"doctor.");
    let is_call = CALLS.iter().any(|call| one.detail.ends_with(call));
    is_late && !is_ours && (kind != "wrong_secret" || is_call)
}

fn finding(problem: &Problem, newest: &Occurrence, count: usize, now: i64) -> Finding {
    let times = match count {
        1 => "once".to_owned(),
        MOST_DETAILS.. => format!("{MOST_DETAILS} times or more"),
        _ => format!("{count} times"),
    };
    let ago_secs = now.saturating_sub(newest.at).max(0) / 1000;
    let found = format!("{}: {times}, last {ago_secs} s ago ({})", problem.title, newest.detail);
    Finding::warning(Step::Refused, found)
        .expected("nobody in 15 minutes; what is mended is still told for so long")
        .change(problem.advice.clone())
}

#[cfg(test)]
mod tests {
    use super::super::finding::State as Mark;
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn judged(kind: &str, details: &[(i64, &str)]) -> Vec<Finding> {
        let recent = details.iter().map(|&(secs_ago, detail)| Occurrence {
            at: NOW - secs_ago * 1000,
            detail: detail.to_owned(),
        });
        let problem = Problem {
            kind: kind.to_owned(),
            title: "It happened".to_owned(),
            advice: "Do something.".to_owned(),
            recent: recent.collect(),
        };
        judge(&State { now: NOW, problems: vec![problem] })
    }

    #[test]
    fn a_refusal_is_told_with_its_number_its_time_and_what_to_do() {
        let publish = "client 10.0.0.10, /internal/publish";

        let findings = judged("wrong_secret", &[(7, publish), (60, publish)]);

        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].state, Mark::Warning);
        assert_eq!(
            findings[0].found,
            "It happened: 2 times, last 7 s ago (client 10.0.0.10, /internal/publish)"
        );
        assert_eq!(findings[0].change, ["Do something."]);
    }

    #[test]
    fn what_is_old_or_rare_or_nobodys_fault_is_not_told() {
        let topic = "topic \"session.1\", client 10.0.0.10";
        for (kind, details) in [
            ("wrong_secret", vec![(16 * 60, "client 10.0.0.10, /internal/publish")]),
            ("wrong_secret", vec![(1, "client 10.0.0.10, live view")]),
            ("token_signature", vec![(1, "topic \"doctor.0\", client 10.0.0.10")]),
            ("token_expired", vec![(1, topic); 4]),
            ("dead_peer", vec![(1, topic); 10]),
        ] {
            let findings = judged(kind, &details);

            assert_eq!(findings.len(), 1, "{kind}");
            assert_eq!(findings[0].state, Mark::Ok, "{kind} {details:?}");
        }
        assert_eq!(judged("token_expired", &[(1, topic); 5])[0].state, Mark::Warning);
    }
}
