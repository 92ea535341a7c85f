//! What was heard from each of the other nodes, and whether something is missing.
//!
//! Nodes of ours number their envelopes from 1, so a hole shows what was missed, and a number that
//! was heard before shows what came twice. Go nodes number nothing: while this node is cut off
//! from Redis, what they publish is missed without a trace. Pure: time is an argument, in
//! milliseconds of the node's clock. Start reading at [`Origins::hear`] and [`Origins::settle`].

use std::collections::HashMap;

use crate::protocol::envelope::Number;

/// How long a node that said nothing, not even a beat, is remembered.
const REMEMBERED_MS: u64 = 24 * 60 * 60 * 1000;

/// How long after an envelope without a number a Go node may still be there, if nothing else tells.
/// As long as its entry would stay in the roster.
const GO_LINGERS_MS: u64 = 15 * 60 * 1000;

/// Nodes that are remembered at most. Numbers of one that is forgotten begin anew.
const MAX_ORIGINS: usize = 10_000;

/// What follows from an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Whether it is new; otherwise it was heard before.
    pub is_new: bool,
    /// Envelopes before it that were missed.
    pub missed: u64,
}

/// Every node that was heard of.
#[derive(Debug, Default)]
pub struct Origins {
    known: HashMap<Box<str>, Origin>,
    /// Whether this node has just begun to listen, and does not know yet where the others stand.
    settling: bool,
    /// When an envelope without a number last came.
    unnumbered_ms: Option<u64>,
}

#[derive(Debug)]
struct Origin {
    boot: Box<str>,
    /// The last number that was heard, or that is known to have been published before.
    last: u64,
    /// What came before the first envelope that was heard, if that came while settling.
    before_first: Option<u64>,
    heard_ms: u64,
}

impl Origins {
    /// Takes note of an envelope.
    pub fn hear(&mut self, origin: &str, number: Number<'_>, now_ms: u64) -> Heard {
        let Number { n, boot } = number;
        match self.origin(origin, number, now_ms) {
            Some(known) => {
                let is_new = n > known.last;
                let missed = n.saturating_sub(known.last).saturating_sub(1);
                known.last = known.last.max(n);
                Heard { is_new, missed }
            }
            None => {
                let missed = self.meet(origin, boot, n, n.saturating_sub(1), now_ms);
                Heard { is_new: true, missed }
            }
        }
    }

    /// Takes note of a beat, and returns how many envelopes were missed.
    pub fn beat(&mut self, origin: &str, number: Number<'_>, now_ms: u64) -> u64 {
        let Number { n, boot } = number;
        match self.origin(origin, number, now_ms) {
            Some(known) => {
                let missed = n.saturating_sub(known.last);
                known.last = known.last.max(n);
                missed
            }
            None => self.meet(origin, boot, n, n, now_ms),
        }
    }

    /// Takes note of an envelope without a number.
    pub fn hear_unnumbered(&mut self, now_ms: u64) {
        self.unnumbered_ms = Some(now_ms);
    }

    /// Whether an envelope without a number came not long ago.
    pub fn heard_go(&self, now_ms: u64) -> bool {
        self.unnumbered_ms.is_some_and(|at| now_ms.saturating_sub(at) < GO_LINGERS_MS)
    }

    /// The node begins to listen: until [`Origins::settle`], nodes that it meets may have published
    /// before it listened.
    pub fn unsettle(&mut self) {
        self.settling = true;
    }

    #[cfg(test)]
    pub fn is_settling(&self) -> bool {
        self.settling
    }

    /// The names of all nodes that were heard of.
    pub fn ids(&self) -> Vec<String> {
        self.known.keys().map(|id| id.to_string()).collect()
    }

    /// Everything that Redis sent before `sent` was asked for has been heard now: `sent` says of
    /// each node the last number that Redis carried out. Returns how many were missed.
    ///
    /// `was_deaf` is whether browsers were served while this node did not listen. If they were not,
    /// nodes that are met for the first time have published nothing that anybody here waited for.
    pub fn settle(&mut self, sent: &[(String, u64)], was_deaf: bool, now_ms: u64) -> u64 {
        self.settling = false;
        let mut missed = 0;
        for origin in self.known.values_mut() {
            if let Some(before) = origin.before_first.take()
                && was_deaf
            {
                missed = before.saturating_add(missed);
            }
        }
        for (id, n) in sent {
            match self.known.get_mut(id.as_str()) {
                Some(known) => {
                    missed = n.saturating_sub(known.last).saturating_add(missed);
                    known.last = known.last.max(*n);
                }
                None => {
                    if was_deaf {
                        missed = n.saturating_add(missed);
                    }
                    self.insert(id, "", *n, None, now_ms);
                }
            }
        }
        missed
    }

    /// Forgets nodes that have been gone for a day.
    pub fn tidy(&mut self, now_ms: u64) {
        self.known.retain(|_, origin| now_ms.saturating_sub(origin.heard_ms) < REMEMBERED_MS);
    }

    /// The origin, if it is known by this start of it. One whose number is known from Redis alone
    /// has no start yet, and takes this one.
    fn origin(&mut self, id: &str, number: Number<'_>, now_ms: u64) -> Option<&mut Origin> {
        let known = self.known.get_mut(id)?;
        if known.boot.is_empty() {
            known.boot = number.boot.into();
        }
        known.heard_ms = now_ms;
        (&*known.boot == number.boot).then_some(known)
    }

    /// Meets a node, or a new start of one, that stands at `last` and of which `before` envelopes
    /// were not heard; returns how many of those are known to be missed.
    fn meet(&mut self, id: &str, boot: &str, last: u64, before: u64, now_ms: u64) -> u64 {
        let settling = self.settling.then_some(before);
        self.insert(id, boot, last, settling, now_ms);
        // Who listens all the time hears a node's first beat, which says 0.
        if self.settling { 0 } else { before }
    }

    fn insert(&mut self, id: &str, boot: &str, last: u64, before_first: Option<u64>, now_ms: u64) {
        if self.known.len() >= MAX_ORIGINS {
            self.known.clear(); // No cluster has so many: somebody plays with the channel.
        }
        let origin = Origin { boot: boot.into(), last, before_first, heard_ms: now_ms };
        self.known.insert(id.into(), origin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: &str = "b";

    fn number(n: u64) -> Number<'static> {
        Number { n, boot: BOOT }
    }

    /// A node that listens and knows that `a` stands at `n`.
    fn listening(n: u64) -> Origins {
        let mut origins = Origins::default();
        origins.unsettle();
        assert_eq!(origins.settle(&[("a".to_owned(), n)], false, 0), 0);
        origins
    }

    fn new(missed: u64) -> Heard {
        Heard { is_new: true, missed }
    }

    #[test]
    fn numbers_in_a_row_are_new_and_nothing_is_missed() {
        let mut origins = listening(0);

        for n in 1..100 {
            assert_eq!(origins.hear("a", number(n), 0), new(0));
        }
    }

    #[test]
    fn a_number_that_was_heard_is_not_new() {
        let mut origins = listening(5);

        assert_eq!(origins.hear("a", number(5), 0), Heard { is_new: false, missed: 0 });
        assert_eq!(origins.hear("a", number(6), 0), new(0));
        assert_eq!(origins.hear("a", number(6), 0), Heard { is_new: false, missed: 0 });
    }

    #[test]
    fn a_hole_is_missed_once() {
        let mut origins = listening(5);

        assert_eq!(origins.hear("a", number(9), 0), new(3));
        assert_eq!(origins.hear("a", number(10), 0), new(0));
    }

    #[test]
    fn a_beat_shows_what_is_missing_at_the_end() {
        let mut origins = listening(5);

        assert_eq!(origins.beat("a", number(5), 0), 0);
        assert_eq!(origins.beat("a", number(7), 0), 2);
        assert_eq!(origins.beat("a", number(7), 0), 0);
        assert_eq!(origins.hear("a", number(8), 0), new(0));
    }

    #[test]
    fn a_node_that_starts_says_so_and_is_followed_from_its_first_envelope() {
        let mut origins = listening(0);

        assert_eq!(origins.beat("new", number(0), 0), 0);
        assert_eq!(origins.hear("new", number(1), 0), new(0));
        assert_eq!(origins.hear("unheard of", number(3), 0), new(2), "its first beat was missed");
    }

    #[test]
    fn a_node_that_starts_again_under_its_name_begins_anew() {
        let mut origins = listening(0);
        origins.hear("a", number(1), 0);

        assert_eq!(origins.beat("a", Number { n: 0, boot: "later" }, 0), 0);
        assert_eq!(origins.hear("a", Number { n: 1, boot: "later" }, 0), new(0));
    }

    #[test]
    fn what_was_published_while_this_node_was_cut_off_is_missed() {
        let mut origins = listening(5);

        origins.unsettle();
        let sent = [("a".to_owned(), 7), ("started meanwhile".to_owned(), 2)];

        assert_eq!(origins.settle(&sent, true, 0), 4);
        assert_eq!(origins.hear("a", number(8), 0), new(0));
    }

    #[test]
    fn what_was_heard_while_settling_is_not_missed() {
        let mut origins = listening(5);

        origins.unsettle();
        origins.hear("a", number(6), 0);
        origins.hear("b", number(1), 0);
        origins.beat("c", number(0), 0);
        let sent = [("a".to_owned(), 6), ("b".to_owned(), 1), ("c".to_owned(), 0)];

        assert_eq!(origins.settle(&sent, true, 0), 0);
    }

    #[test]
    fn a_node_met_while_settling_has_published_before_only_for_who_was_there() {
        for (was_deaf, missed) in [(true, 4), (false, 0)] {
            let mut origins = Origins::default();
            origins.unsettle();
            assert_eq!(origins.hear("a", number(5), 0), new(0));

            assert_eq!(origins.settle(&[("a".to_owned(), 5)], was_deaf, 0), missed);
        }
    }

    #[test]
    fn an_empty_redis_after_a_restart_says_nothing_and_beats_do() {
        let mut origins = listening(5);

        origins.unsettle();

        assert_eq!(origins.settle(&[("a".to_owned(), 0)], true, 0), 0);
        assert_eq!(origins.beat("a", number(6), 0), 1);
    }

    #[test]
    fn nodes_that_have_been_gone_for_a_day_are_forgotten() {
        let mut origins = listening(5);

        origins.tidy(REMEMBERED_MS - 1);
        assert_eq!(origins.ids(), ["a"]);
        origins.tidy(REMEMBERED_MS);
        assert!(origins.ids().is_empty());
    }
}
