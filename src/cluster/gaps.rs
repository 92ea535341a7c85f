//! What browsers have still to be told: which topics may have missed something.
//!
//! Gaps come in bursts, and whoever tells browsers may be slow to take them. So they are kept by
//! topic, each once, and too many become one of all topics: none is ever left out. Start reading
//! at [`Gaps::add`].

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::topic::Topic;

/// Topics that wait at a time; with one more it is all of them.
const MAX_TOPICS: usize = 64;

/// Gaps that wait to be told.
#[derive(Debug)]
pub struct Gaps {
    spread: Duration,
    waiting: Mutex<Waiting>,
    added: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    is_all: bool,
    topics: Vec<Topic>,
}

/// Whose browsers may have missed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// Those of all topics.
    All,
    /// Those of one.
    Of(Topic),
}

impl Gaps {
    /// None yet. Browsers are to be told over the time `spread`.
    pub(super) fn new(spread: Duration) -> Self {
        Self { spread, waiting: Mutex::default(), added: Notify::new() }
    }

    /// Time over which browsers are to be told.
    pub fn spread(&self) -> Duration {
        self.spread
    }

    /// Adds a gap. What it covers need not wait beside it.
    pub(super) fn add(&self, gap: Gap) {
        let mut waiting = self.waiting.lock();
        match gap {
            Gap::Of(_) if waiting.is_all => {}
            Gap::Of(topic) if waiting.topics.contains(&topic) => {}
            Gap::Of(topic) if waiting.topics.len() < MAX_TOPICS => waiting.topics.push(topic),
            Gap::Of(_) | Gap::All => *waiting = Waiting { is_all: true, topics: Vec::new() },
        }
        drop(waiting);
        self.added.notify_one();
    }

    /// The next gap, as soon as there is one. For one who asks; cancel-safe.
    pub async fn next(&self) -> Gap {
        loop {
            if let Some(gap) = self.take() {
                return gap;
            }
            self.added.notified().await;
        }
    }

    fn take(&self) -> Option<Gap> {
        let mut waiting = self.waiting.lock();
        if std::mem::take(&mut waiting.is_all) {
            return Some(Gap::All);
        }
        waiting.topics.pop().map(Gap::Of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(topic: &str) -> Gap {
        Gap::Of(Topic::new(topic))
    }

    fn all(gaps: &Gaps) -> Vec<Gap> {
        std::iter::from_fn(|| gaps.take()).collect()
    }

    #[test]
    fn a_burst_for_one_topic_leaves_no_other_out() {
        let gaps = Gaps::new(Duration::ZERO);
        for _ in 0..1000 {
            gaps.add(of("busy"));
        }
        gaps.add(of("other"));

        assert_eq!(all(&gaps), [of("other"), of("busy")]);
    }

    #[test]
    fn too_many_topics_are_all_of_them() {
        let gaps = Gaps::new(Duration::ZERO);
        for n in 0..=MAX_TOPICS {
            gaps.add(of(&n.to_string()));
        }
        gaps.add(of("covered"));

        assert_eq!(all(&gaps), [Gap::All]);
    }

    #[tokio::test]
    async fn a_gap_that_comes_while_nobody_asks_is_kept() {
        let gaps = Gaps::new(Duration::ZERO);
        gaps.add(Gap::All);
        assert_eq!(gaps.next().await, Gap::All);

        let (gap, ()) = tokio::join!(gaps.next(), async { gaps.add(of("a")) });
        assert_eq!(gap, of("a"));
    }
}
