//! Holds what browsers heard against what PHP published: every local frame exactly once and in
//! order, every frame of another node at most once, and who missed one was told by 4009.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use super::{Member, Published, Session};

/// The close code that says "you may have missed something".
pub const RESYNC: u16 = 4009;

/// What came out of one run.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    pub published: usize,
    /// Frames of a browser's own node that were heard.
    pub local: usize,
    /// Frames of other nodes that were heard.
    pub remote: usize,
    /// Frames of other nodes that were not heard by a browser that was told so.
    pub lost: usize,
    /// Closes with 4009.
    pub told: usize,
    /// Frames that a browser heard a second time.
    pub doubled: usize,
    /// The time within which 99 of 100 publishes were answered.
    pub answered_p99: Duration,
    /// Time from the end of the fault until every node heard of every other.
    pub recovery: Option<Duration>,
    /// Lines that the talkative node of all logged at `info` or above since the fault began.
    pub log_lines: usize,
    /// What no browser may see, whatever happens to Redis.
    pub wrong: Vec<String>,
    /// Frames that a browser still has to hear, or to be told of.
    pub owed: Vec<String>,
}

/// All publishes of one node to one topic, in their order: the numbers count from 1.
type Books<'a> = BTreeMap<(usize, &'a str), Vec<&'a Published>>;

/// Judges `herds`, one for each node in their order, by what was `published` to these. Each
/// publish has to be accepted.
pub fn judge(herds: &[Vec<Member>], published: &[Published]) -> Verdict {
    let mut verdict = Verdict { published: published.len(), ..Verdict::default() };
    let books = books(published);
    for publish in published.iter().filter(|publish| publish.status != 200) {
        verdict.wrong(format!("{publish:?} was refused"));
    }
    for (node, members) in herds.iter().enumerate() {
        for (place, member) in members.iter().enumerate() {
            let browser = Browser { node: Some(node), place, nodes: herds.len(), member };
            browser.judge(&books, &mut verdict);
        }
    }
    verdict
}

/// Judges browsers behind a proxy, which come from node to node: whoever is closed comes back and
/// fetches, whatever the code.
#[cfg(feature = "faults")]
pub fn judge_behind_a_proxy(members: &[Member], published: &[Published]) -> Verdict {
    let mut verdict = Verdict { published: published.len(), ..Verdict::default() };
    let books = books(published);
    for (place, member) in members.iter().enumerate() {
        let browser = Browser { node: None, place, nodes: 1, member };
        browser.judge(&books, &mut verdict);
    }
    verdict
}

fn books(published: &[Published]) -> Books<'_> {
    let mut books = Books::new();
    for publish in published {
        let book = books.entry((publish.from, publish.topic.as_str())).or_default();
        book.push(publish);
        assert_eq!(book.len(), publish.number, "the publishes of PHP are numbered from 1");
    }
    books
}

/// Within what time 99 of 100 of the publishes that began after `since` were answered.
///
/// # Panics
///
/// If there are fewer than `least`: too few for such a figure.
pub fn answered_p99(published: &[Published], since: Instant, least: usize) -> Duration {
    let measured = published.iter().filter(|publish| publish.started >= since);
    let mut times: Vec<Duration> = measured.map(|publish| publish.took).collect();
    assert!(times.len() >= least, "only {} publishes were measured", times.len());
    times.sort();
    times[times.len() * 99 / 100]
}

/// How long after `healed` every node had heard of every other again.
pub fn recovery(herds: &[Vec<Member>], healed: Instant) -> Option<Duration> {
    let mut latest = Duration::ZERO;
    for (node, members) in herds.iter().enumerate() {
        for from in (0..herds.len()).filter(|from| *from != node) {
            let pushes = members
                .iter()
                .flat_map(|member| &member.sessions)
                .flat_map(|session| &session.pushes)
                .filter(|heard| heard.at >= healed && numbers(&heard.payload).0 == from);
            latest = latest.max(pushes.map(|heard| heard.at).min()? - healed);
        }
    }
    Some(latest)
}

/// A payload `[from,number]`.
fn numbers(payload: &str) -> (usize, usize) {
    let inner = payload.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let (from, number) = inner.and_then(|inner| inner.split_once(',')).expect(payload);
    (from.parse().unwrap(), number.parse().unwrap())
}

struct Browser<'a> {
    /// Its node; `None` if that is not always the same.
    node: Option<usize>,
    place: usize,
    nodes: usize,
    member: &'a Member,
}

impl Browser<'_> {
    fn judge(&self, books: &Books<'_>, verdict: &mut Verdict) {
        if let Some(why) = &self.member.gave_up {
            verdict.wrong(format!("{self} gave up: {why}"));
        }
        let mut before = BTreeSet::new();
        for session in &self.member.sessions {
            for heard in &session.pushes {
                let (from, number) = numbers(&heard.payload);
                *(if Some(from) == self.node {
                    &mut verdict.local
                } else {
                    &mut verdict.remote
                }) += 1;
                if !before.insert((from, number)) {
                    verdict.doubled += 1;
                    verdict.wrong(format!("{self} heard {number} of node {from} twice"));
                }
            }
            match session.ended {
                Some(ended) if ended.code == Some(RESYNC) => verdict.told += 1,
                Some(ended) if self.node.is_some() => {
                    verdict.wrong(format!("{self} was closed: {ended:?}"));
                }
                Some(_) => verdict.told += 1,
                None => {}
            }
            for from in 0..self.nodes {
                let topic = self.member.topic.as_str();
                let book = books.get(&(from, topic)).map_or(&[][..], Vec::as_slice);
                self.judge_session(session, from, book, verdict);
            }
        }
    }

    fn judge_session(
        &self,
        session: &Session,
        from: usize,
        book: &[&Published],
        verdict: &mut Verdict,
    ) {
        let pushes = session.pushes.iter().map(|heard| numbers(&heard.payload));
        let heard: Vec<usize> =
            pushes.filter(|push| push.0 == from).map(|(_, number)| number).collect();
        if let Some(pair) = heard.windows(2).find(|pair| pair[1] <= pair[0]) {
            verdict.wrong(format!("{self} heard {} of node {from} after {}", pair[1], pair[0]));
        }
        let missed = missed(session, book, &heard);
        let Some(first) = missed.first() else {
            return;
        };
        let what = format!("{self} missed {} of node {from}, first {first}", missed.len());
        let is_local = Some(from) == self.node;
        let has_hole = heard.last().is_some_and(|last| first < last);
        match session.ended {
            // A hole in what its own node published, not only the frames around the close.
            _ if is_local && has_hole => verdict.wrong(what),
            Some(_) if is_local => {}
            Some(_) => verdict.lost += missed.len(),
            None => verdict.owed.push(what),
        }
    }
}

/// The numbers that were published while the session lived and that it did not hear.
fn missed(session: &Session, book: &[&Published], heard: &[usize]) -> Vec<usize> {
    let heard: BTreeSet<usize> = heard.iter().copied().collect();
    let is_owed = |publish: &&&Published| {
        let ended = session.ended.map(|ended| ended.at);
        let is_in = publish.started >= session.opened;
        publish.status == 200 && is_in && ended.is_none_or(|ended| publish.started < ended)
    };
    let owed = book.iter().filter(is_owed).map(|publish| publish.number);
    owed.filter(|number| !heard.contains(number)).collect()
}

impl Verdict {
    fn wrong(&mut self, what: String) {
        self.wrong.push(what);
    }

    /// A row of the table of all faults, whose head is [`Verdict::HEAD`].
    pub fn row(&self, fault: &str) -> String {
        let recovery = self.recovery.map_or("-".to_owned(), |time| time.as_millis().to_string());
        let p99 = self.answered_p99.as_micros() as f64 / 1000.0;
        let Self { published, local, remote, lost, told, doubled, log_lines, .. } = self;
        format!(
            "| {fault} | {published} | {local} | {remote} | {lost} | {told} | {doubled} | {p99:.1} | \
             {recovery} | {log_lines} |"
        )
    }

    /// The head of the table.
    pub const HEAD: &str = "| fault | published | local heard | remote heard | remote lost | told | \
                            doubled | PHP p99 ms | recovery ms | log lines |";
}

impl fmt::Display for Browser<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.node.map_or("any node".to_owned(), |node| format!("node {node}"));
        write!(f, "browser {} of {node} on {}", self.place, self.member.topic)
    }
}

/// The judge is judged: a mistake here would let every fault pass.
mod tests {
    use super::*;
    use crate::support::{Ended, Heard};

    const TOPIC: &str = "a";

    struct Run {
        begin: Instant,
        published: Vec<Published>,
    }

    impl Run {
        /// Both of two nodes published numbers 1 to 5, at 10 to 50 ms.
        fn new() -> Self {
            let begin = Instant::now();
            let publish = |(from, number): (usize, usize)| Published {
                from,
                topic: TOPIC.to_owned(),
                number,
                started: begin + Duration::from_millis(10 * number as u64),
                took: Duration::from_millis(1),
                status: 200,
            };
            let numbers = (0..2).flat_map(|from| (1..=5).map(move |number| (from, number)));
            Self { begin, published: numbers.map(publish).collect() }
        }

        fn session(&self, from_ms: u64, to_ms: Option<u64>, heard: &[(usize, usize)]) -> Session {
            let at = |ms| self.begin + Duration::from_millis(ms);
            let push = |&(from, number): &(usize, usize)| Heard {
                at: at(10 * number as u64),
                payload: format!("[{from},{number}]"),
            };
            Session {
                opened: at(from_ms),
                pushes: heard.iter().map(push).collect(),
                ended: to_ms.map(|to_ms| Ended { at: at(to_ms), code: Some(RESYNC) }),
            }
        }

        /// Judges one browser of node 0.
        fn judge(&self, sessions: Vec<Session>) -> Verdict {
            let member = Member { topic: TOPIC.to_owned(), sessions, gave_up: None };
            judge(&[vec![member], vec![]], &self.published)
        }
    }

    const ALL: [(usize, usize); 10] =
        [(0, 1), (1, 1), (0, 2), (1, 2), (0, 3), (1, 3), (0, 4), (1, 4), (0, 5), (1, 5)];

    fn without(missing: &[(usize, usize)]) -> Vec<(usize, usize)> {
        ALL.into_iter().filter(|push| !missing.contains(push)).collect()
    }

    #[test]
    fn a_browser_that_heard_everything_is_owed_nothing() {
        let run = Run::new();

        let verdict = run.judge(vec![run.session(0, None, &ALL)]);

        assert!(verdict.wrong.is_empty() && verdict.owed.is_empty(), "{verdict:?}");
        assert_eq!((verdict.local, verdict.remote), (5, 5));
    }

    #[test]
    fn a_frame_missed_without_being_told_is_owed_and_one_that_was_told_is_lost() {
        let run = Run::new();

        let silent = run.judge(vec![run.session(0, None, &without(&[(1, 3)]))]);
        let at_the_end = run.judge(vec![run.session(0, None, &without(&[(1, 5)]))]);
        let told = run.judge(vec![run.session(0, Some(60), &without(&[(1, 3)]))]);

        assert_eq!((silent.owed.len(), silent.lost), (1, 0));
        assert_eq!((at_the_end.owed.len(), at_the_end.lost), (1, 0));
        assert_eq!((told.owed.len(), told.lost, told.told), (0, 1, 1));
        assert!(told.wrong.is_empty(), "{told:?}");
    }

    #[test]
    fn a_local_frame_missed_a_double_and_a_wrong_order_are_wrong() {
        let run = Run::new();
        let mut doubled = ALL.to_vec();
        doubled.push((1, 5));
        let mut swapped = ALL.to_vec();
        swapped.swap(1, 3);

        let missed = run.judge(vec![run.session(0, Some(60), &without(&[(0, 3)]))]);
        let doubled = run.judge(vec![run.session(0, None, &doubled)]);
        let swapped = run.judge(vec![run.session(0, None, &swapped)]);

        assert_eq!(missed.wrong.len(), 1, "{missed:?}");
        assert_eq!(doubled.doubled, 1);
        assert!(!doubled.wrong.is_empty() && !swapped.wrong.is_empty());
    }

    #[test]
    fn what_was_published_between_two_sessions_is_fetched_by_the_page() {
        let run = Run::new();

        let verdict = run.judge(vec![
            run.session(0, Some(25), &[(0, 1), (1, 1), (0, 2), (1, 2)]),
            run.session(35, None, &[(0, 4), (1, 4), (0, 5), (1, 5)]),
        ]);

        assert!(verdict.wrong.is_empty() && verdict.owed.is_empty(), "{verdict:?}");
        assert_eq!((verdict.lost, verdict.told), (0, 1));
    }
}
