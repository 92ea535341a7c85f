//! What went wrong lately, for a person who wants to mend it: how often, when, where, and what to
//! do about it.
//!
//! The parts that notice a fault say so here, as they count it in `metrics`; the live view shows
//! it. Each kind of fault has a place and a lock of its own, so that a flood of one pushes no other
//! out and holds nobody up who has another. Details name topics and addresses, never a secret, a
//! token or a payload. docs/live-view.md has a line for each kind. Start reading at
//! [`Problems::note`].

mod kind;

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde::Serialize;

pub use self::kind::Kind;
use crate::clock::unix_now_us;

/// Details that are kept of each kind.
const RECENT: usize = 10;

/// Details that are written down within a second; of what comes beyond only the number counts.
const A_SECOND: u8 = 10;

/// Characters that a detail keeps, and a name within it.
const DETAIL_CHARS: usize = 240;
const NAME_CHARS: usize = 80;

/// What went wrong since the node started, by kind. Keeps 80 KiB at most.
#[derive(Debug)]
pub struct Problems([Mutex<Noted>; Kind::ALL.len()]);

/// What is known of one kind.
#[derive(Debug, Default)]
struct Noted {
    count: u64,
    first_ms: i64,
    last_ms: i64,
    recent: VecDeque<Occurrence>,
    /// The second of the last detail, and how many it has.
    second: i64,
    in_second: u8,
}

/// One time that something went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Occurrence {
    /// When, in Unix milliseconds.
    pub at: i64,
    /// Where, and how.
    pub detail: String,
}

/// Everything that is shown of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The kind's name.
    pub kind: &'static str,
    /// What happened, in a sentence.
    pub title: &'static str,
    /// What to do.
    pub advice: &'static str,
    /// How often since the node started.
    pub count: u64,
    /// When first, in Unix milliseconds.
    pub first_at: i64,
    /// When last.
    pub last_at: i64,
    /// The last times, newest first.
    pub recent: Vec<Occurrence>,
}

impl Default for Problems {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Problems {
    /// Takes down that something went wrong. `detail` says where, in one line; it is not asked for
    /// during a flood. Costs a short lock.
    pub fn note(&self, kind: Kind, detail: impl FnOnce() -> String) {
        self.note_at(kind, now_ms(), 1, detail);
    }

    /// As [`Problems::note`], of something that happened `times` times.
    pub fn note_times(&self, kind: Kind, times: u64, detail: impl FnOnce() -> String) {
        self.note_at(kind, now_ms(), times, detail);
    }

    /// Adds something that is worth knowing of `kind`, though nothing went wrong: its end, say.
    pub fn remark(&self, kind: Kind, detail: impl FnOnce() -> String) {
        self.note_at(kind, now_ms(), 0, detail);
    }

    /// Takes down that `kind` happened `total` times since the start, for what is counted
    /// elsewhere and looked at now and then.
    pub fn counted(&self, kind: Kind, total: u64) {
        let mut noted = self.of(kind).lock();
        if total > noted.count {
            let more = total - noted.count;
            noted.happened(now_ms(), more);
        }
    }

    fn note_at(&self, kind: Kind, at: i64, times: u64, detail: impl FnOnce() -> String) {
        let mut noted = self.of(kind).lock();
        noted.happened(at, times);
        if noted.may_write(at) {
            if noted.recent.len() == RECENT {
                noted.recent.pop_back();
            }
            noted.recent.push_front(Occurrence { at, detail: shortened(&detail(), DETAIL_CHARS) });
        }
    }

    /// What went wrong, the latest first. What never did is left out.
    pub fn list(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = Kind::ALL
            .into_iter()
            .filter_map(|kind| {
                let noted = self.of(kind).lock();
                (noted.count > 0).then(|| Problem {
                    kind: kind.name(),
                    title: kind.title(),
                    advice: kind.advice(),
                    count: noted.count,
                    first_at: noted.first_ms,
                    last_at: noted.last_ms,
                    recent: noted.recent.iter().cloned().collect(),
                })
            })
            .collect();
        problems.sort_by_key(|problem| std::cmp::Reverse(problem.last_at));
        problems
    }

    fn of(&self, kind: Kind) -> &Mutex<Noted> {
        &self.0[kind as usize]
    }
}

impl Noted {
    fn happened(&mut self, at: i64, times: u64) {
        if times == 0 {
            return;
        }
        if self.count == 0 {
            self.first_ms = at;
        }
        self.last_ms = at;
        self.count = self.count.saturating_add(times);
    }

    /// Whether there is time for a detail.
    fn may_write(&mut self, at: i64) -> bool {
        let second = at / 1000;
        if self.second != second {
            (self.second, self.in_second) = (second, 0);
        }
        let may = self.in_second < A_SECOND;
        self.in_second = self.in_second.saturating_add(1);
        may
    }
}

/// A name, of a topic say, in quotes, as it can be shown: on one line, not too long, without what
/// a terminal or a page could take for more than text.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", shortened(name, NAME_CHARS))
}

/// The first `most` characters of `text`, printable.
fn shortened(text: &str, most: usize) -> String {
    let mut short = String::with_capacity(text.len().min(4 * most));
    for (count, letter) in text.chars().enumerate() {
        if count == most {
            short.push('…');
            break;
        }
        if letter.is_control() || turns_writing(letter) {
            short.extend(letter.escape_unicode());
        } else {
            short.push(letter);
        }
    }
    short
}

/// Whether a letter changes the direction in which others are written.
fn turns_writing(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn now_ms() -> i64 {
    unix_now_us() / 1000
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn details(problem: &Problem) -> Vec<&str> {
        problem.recent.iter().map(|occurrence| occurrence.detail.as_str()).collect()
    }

    #[test]
    fn a_problem_has_its_number_its_times_and_its_last_details() {
        let problems = Problems::default();
        for n in 0..12 {
            problems.note_at(Kind::SlowClose, 1000 * n, 1, || format!("detail {n}"));
        }

        let [problem] = &problems.list()[..] else { panic!() };

        assert_eq!((problem.kind, problem.count), ("slow_close", 12));
        assert_eq!((problem.first_at, problem.last_at), (0, 11_000));
        assert_eq!(problem.recent[0], Occurrence { at: 11_000, detail: "detail 11".to_owned() });
        assert_eq!(problem.recent.len(), RECENT);
    }

    #[test]
    fn a_flood_pushes_no_other_kind_out_and_is_not_written_down_one_by_one() {
        let problems = Problems::default();
        problems.note_at(Kind::RedisAway, 5, 1, || "connection refused".to_owned());
        let mut asked = 0;
        for _ in 0..100_000 {
            problems.note_at(Kind::BrowserUnregistered, 7, 1, || {
                asked += 1;
                "topic".to_owned()
            });
        }

        let list = problems.list();

        assert_eq!(asked, A_SECOND);
        assert_eq!(list.len(), 2);
        assert_eq!((list[0].kind, list[0].count), ("browser_unregistered", 100_000));
        assert_eq!(details(&list[1]), ["connection refused"]);
    }

    #[test]
    fn what_is_counted_elsewhere_is_taken_over_and_a_remark_does_not_count() {
        let problems = Problems::default();
        problems.counted(Kind::DeadPeer, 0);
        problems.remark(Kind::RedisAway, || "never shown alone".to_owned());
        assert_eq!(problems.list(), []);

        problems.counted(Kind::DeadPeer, 3);
        problems.counted(Kind::DeadPeer, 3);

        assert_eq!(problems.list()[0].count, 3);
        assert_eq!(details(&problems.list()[0]), [""; 0]);
    }

    #[test]
    fn a_detail_is_one_line_of_bounded_length_that_changes_nothing_around_it() {
        let problems = Problems::default();
        let name = format!("a\n\u{1b}[2J\u{202e}<b>{}", "x".repeat(100_000));
        problems.note(Kind::PublishUnregistered, || format!("topic {}", quoted(&name)));

        let list = problems.list();
        let detail = &list[0].recent[0].detail;

        assert!(detail.starts_with("topic \"a\\u{a}\\u{1b}[2J\\u{202e}<b>xxx"), "{detail}");
        assert!(detail.ends_with("x…\""), "{detail}");
        assert!(detail.len() < 200, "{}", detail.len());
    }

    #[test]
    fn every_kind_has_a_place_a_name_and_advice_of_its_own() {
        let names: HashSet<&str> = Kind::ALL.into_iter().map(Kind::name).collect();
        let advice: HashSet<&str> = Kind::ALL.into_iter().map(Kind::advice).collect();

        assert_eq!(names.len(), Kind::ALL.len());
        assert_eq!(advice.len(), Kind::ALL.len());
        for (place, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
    }

    #[test]
    fn every_kind_has_its_line_in_the_manual() {
        let manual = include_str!("../docs/live-view.md");
        for kind in Kind::ALL {
            let line = format!("| `{}` | {} |", kind.name(), kind.title());
            assert!(manual.contains(&line), "docs/live-view.md lacks: {line}");
        }
    }
}
