//! What is logged of Redis' coming and going: one line when it is away, one when it is back.
//!
//! Short breaks are not mentioned, and a Redis that comes and goes is mentioned at most every
//! 10 s. Pure: it is told the time, and says what to write. Start reading at [`Diary::step`].

use tokio::time::{Duration, Instant};

/// How long Redis must be away to be worth a line, and to be counted.
pub const WORTH_A_LINE: Duration = Duration::from_millis(500);

/// Time from one line about an absence to the next.
const QUIET: Duration = Duration::from_secs(10);

/// What is to be logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// For the first time.
    Connected,
    /// It is away.
    Away {
        /// What is wrong.
        reason: String,
        /// Absences since the last that was logged that were not.
        left_out: u64,
    },
    /// It is still away, for another reason.
    StillAway {
        /// What is wrong now.
        reason: String,
    },
    /// It is back.
    Back {
        /// How long it was away.
        away: Duration,
        /// Attempts to connect meanwhile.
        attempts: u64,
    },
}

/// What a step brings.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// What is to be logged.
    pub entry: Option<Entry>,
    /// Whether the absence is now one that counts.
    pub counts: bool,
}

/// What was logged, and what is not yet.
#[derive(Debug, Default)]
pub struct Diary {
    was_up: bool,
    absence: Option<Absence>,
    /// When an absence was logged last.
    logged: Option<Instant>,
    left_out: u64,
}

#[derive(Debug)]
struct Absence {
    since: Instant,
    /// Attempts that had been made before.
    attempts: u64,
    counted: bool,
    /// The reason that was logged, and whether it was replaced once.
    told: Option<(String, bool)>,
}

impl Diary {
    /// Takes down how things are `now`. `attempts` are those since the start.
    pub fn step(&mut self, now: Instant, up: bool, reason: &str, attempts: u64) -> Step {
        if up {
            let entry = self.back(now, attempts);
            return Step { entry, counts: false };
        }
        let absence = self.absence.get_or_insert(Absence {
            since: now,
            attempts,
            counted: false,
            told: None,
        });
        if now < absence.since + WORTH_A_LINE {
            return Step::default();
        }
        let counts = !std::mem::replace(&mut absence.counted, true);
        let quiet = self.logged.is_some_and(|logged| now < logged + QUIET);
        let entry = match &mut absence.told {
            None if quiet => None,
            None => {
                self.logged = Some(now);
                absence.told = Some((reason.to_owned(), false));
                let left_out = std::mem::take(&mut self.left_out);
                Some(Entry::Away { reason: reason.to_owned(), left_out })
            }
            Some((told, again)) if !*again && told != reason => {
                *again = true;
                Some(Entry::StillAway { reason: reason.to_owned() })
            }
            Some(_) => None,
        };
        Step { entry, counts }
    }

    /// When the next step is due though nothing may have changed.
    pub fn due(&self) -> Option<Instant> {
        let absence = self.absence.as_ref()?;
        let worth = absence.since + WORTH_A_LINE;
        match (absence.counted, &absence.told, self.logged) {
            (false, _, _) => Some(worth),
            (true, None, Some(logged)) => Some(logged + QUIET),
            _ => None,
        }
    }

    /// When the present absence began.
    pub fn away_since(&self) -> Option<Instant> {
        self.absence.as_ref().map(|absence| absence.since)
    }

    fn back(&mut self, now: Instant, attempts: u64) -> Option<Entry> {
        let absence = self.absence.take();
        if !std::mem::replace(&mut self.was_up, true) {
            return Some(Entry::Connected);
        }
        let absence = absence?;
        if absence.told.is_some() {
            return Some(Entry::Back {
                away: now - absence.since,
                attempts: attempts.saturating_sub(absence.attempts),
            });
        }
        self.left_out += u64::from(absence.counted);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A diary with a clock, in milliseconds.
    struct Told {
        diary: Diary,
        start: Instant,
    }

    impl Told {
        fn new() -> Self {
            Self { diary: Diary::default(), start: Instant::now() }
        }

        fn at(&mut self, ms: u64, up: bool, reason: &str) -> Option<Entry> {
            self.step(ms, up, reason).entry
        }

        fn step(&mut self, ms: u64, up: bool, reason: &str) -> Step {
            self.diary.step(self.start + Duration::from_millis(ms), up, reason, ms / 100)
        }

        fn due(&self) -> Option<u128> {
            self.diary.due().map(|due| (due - self.start).as_millis())
        }
    }

    fn away(reason: &str, left_out: u64) -> Option<Entry> {
        Some(Entry::Away { reason: reason.to_owned(), left_out })
    }

    #[test]
    fn an_absence_is_one_line_and_its_end_another() {
        let mut told = Told::new();

        assert_eq!(told.at(0, false, ""), None);
        assert_eq!(told.at(100, true, ""), Some(Entry::Connected));
        assert_eq!(told.due(), None);
        assert_eq!(told.at(1_000, false, "connection closed"), None);
        assert_eq!(told.due(), Some(1_500));
        assert_eq!(
            told.step(1_500, false, "connection refused"),
            Step { entry: away("connection refused", 0), counts: true }
        );
        assert_eq!(told.due(), None);
        assert_eq!(told.step(60_000, false, "connection refused"), Step::default());
        assert_eq!(
            told.at(61_000, true, ""),
            Some(Entry::Back { away: Duration::from_secs(60), attempts: 600 })
        );
        assert_eq!(told.at(61_001, true, ""), None);
    }

    #[test]
    fn a_short_break_is_not_mentioned() {
        let mut told = Told::new();
        told.at(0, true, "");

        assert_eq!(told.step(1_000, false, "reset"), Step::default());
        assert_eq!(told.at(1_499, true, ""), None);
        assert_eq!(told.step(1_500, false, "reset"), Step::default());
        assert_eq!(told.at(1_999, true, ""), None);
        assert_eq!(told.diary.left_out, 0);
    }

    #[test]
    fn one_that_comes_and_goes_is_mentioned_every_10_s_with_what_was_left_out() {
        let mut told = Told::new();
        told.at(0, true, "");
        let mut entries = 0;
        for second in 1..=9 {
            told.at(second * 1_000, false, "reset");
            entries += u64::from(told.at(second * 1_000 + 500, false, "reset").is_some());
            entries += u64::from(told.at(second * 1_000 + 600, true, "").is_some());
        }
        assert_eq!(entries, 2);

        told.at(10_000, false, "reset");
        assert_eq!(told.at(10_500, false, "reset"), None);
        assert_eq!(told.due(), Some(11_500), "10 s after the first line");
        assert_eq!(told.at(11_500, false, "reset"), away("reset", 8));
    }

    #[test]
    fn another_reason_is_mentioned_once() {
        let mut told = Told::new();
        told.at(0, false, "refused");

        assert_eq!(told.at(500, false, "refused"), away("refused", 0));
        assert_eq!(
            told.at(900, false, "wrong password"),
            Some(Entry::StillAway { reason: "wrong password".to_owned() })
        );
        assert_eq!(told.at(901, false, "refused"), None);
        assert_eq!(told.at(2_000, true, ""), Some(Entry::Connected));
    }
}
