//! What came of what was published: lost, doubled and disordered frames, counted exactly.
//!
//! A *stream* is what one publisher connection sends to one topic; its publishes are numbered from
//! 0 without a gap. Between streams no order is promised, within one it is. Each socket keeps a
//! [`Stream`] for each connection; the publishers keep a [`Line`] for each, and at the end the two
//! are compared. Start reading at [`Stream::arrived`] and [`Stream::lost`].

use std::ops::Range;

/// What was published in one stream.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// When each publish was planned, in the order of their numbers; never falls.
    planned_ns: Vec<u64>,
    /// Numbers whose publish ended without an answer, so that nobody knows whether it was
    /// accepted.
    doubtful: Vec<u64>,
}

impl Line {
    /// The number of the next publish.
    pub fn next(&self) -> u64 {
        self.planned_ns.len() as u64
    }

    /// The next number was answered with 200.
    pub fn accepted(&mut self, planned_ns: u64) {
        self.planned_ns.push(planned_ns);
    }

    /// The next number was sent, and no answer came.
    pub fn unanswered(&mut self, planned_ns: u64) {
        self.doubtful.push(self.next());
        self.planned_ns.push(planned_ns);
    }

    /// The first number that was planned at `moment_ns` or later.
    fn first_since(&self, moment_ns: u64) -> u64 {
        self.planned_ns.partition_point(|planned| *planned < moment_ns) as u64
    }

    /// How many of these numbers were accepted for certain.
    fn certain(&self, numbers: &Range<u64>) -> u64 {
        let numbers = numbers.start..numbers.end.min(self.next());
        let doubtful = self.doubtful.iter().filter(|number| numbers.contains(number)).count();
        numbers.end.saturating_sub(numbers.start) - doubtful as u64
    }
}

/// What a frame that came is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Later than all before it.
    InOrder,
    /// It came for the first time, but after a later one.
    Disordered,
    /// It had come before.
    Doubled,
}

/// Which frames of one stream came to one socket.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    /// Lowest number that came.
    first: u64,
    /// The highest that came, plus one; 0 as long as none did.
    next: u64,
    /// What is missing between the two, if anything ever was. On the heap, because that is rare
    /// and there are many sockets.
    missing: Option<Box<Missing>>,
}

/// Numbers in growing order, as ranges that do not touch.
#[derive(Debug, Clone, Default)]
struct Missing(Vec<Range<u64>>);

impl Stream {
    /// Notes that `number` came.
    pub fn arrived(&mut self, number: u64) -> Arrival {
        if self.next == 0 {
            (self.first, self.next) = (number, number + 1);
            return Arrival::InOrder;
        }
        if number == self.next {
            self.next += 1;
            return Arrival::InOrder;
        }
        self.out_of_line(number)
    }

    fn out_of_line(&mut self, number: u64) -> Arrival {
        if number > self.next {
            self.missing.get_or_insert_default().0.push(self.next..number);
            self.next = number + 1;
            Arrival::InOrder
        } else if number < self.first {
            let between = number + 1..self.first;
            if !between.is_empty() {
                self.missing.get_or_insert_default().0.insert(0, between);
            }
            self.first = number;
            Arrival::Disordered
        } else if self.missing.as_mut().is_some_and(|missing| missing.take(number)) {
            Arrival::Disordered
        } else {
            Arrival::Doubled
        }
    }

    /// How many frames of `line` are lost: accepted, owed to this socket, and never came.
    ///
    /// A socket is owed what was planned at `ready_ns`, when it knew that it was subscribed, or
    /// later, and whatever follows the first that came; to the end of the line if it `stayed`, or
    /// else, because nobody knows what was under way when it left, to the last that came.
    pub fn lost(&self, line: &Line, ready_ns: u64, stayed: bool) -> u64 {
        let owed = line.first_since(ready_ns);
        if self.next == 0 {
            return if stayed { line.certain(&(owed..line.next())) } else { 0 };
        }
        let before = line.certain(&(owed..self.first.max(owed)));
        let between = self.missing.iter().flat_map(|missing| &missing.0);
        let between: u64 = between.map(|range| line.certain(range)).sum();
        let after = if stayed { line.certain(&(self.next..line.next())) } else { 0 };
        before + between + after
    }
}

impl Missing {
    /// Takes `number` out; false if it is not missing.
    fn take(&mut self, number: u64) -> bool {
        let at = self.0.partition_point(|range| range.end <= number);
        let Some(range) = self.0.get_mut(at).filter(|range| range.contains(&number)) else {
            return false;
        };
        let behind = number + 1..range.end;
        range.end = number;
        let is_empty = range.is_empty();
        if is_empty {
            self.0.remove(at);
        }
        if !behind.is_empty() {
            self.0.insert(if is_empty { at } else { at + 1 }, behind);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// A line whose numbers were planned at 0, 10, 20 and so on.
    fn line(publishes: u64) -> Line {
        let mut line = Line::default();
        for number in 0..publishes {
            line.accepted(number * 10);
        }
        line
    }

    fn arrivals(numbers: &[u64]) -> (Stream, Vec<Arrival>) {
        let mut stream = Stream::default();
        let found = numbers.iter().map(|number| stream.arrived(*number)).collect();
        (stream, found)
    }

    #[test]
    fn what_comes_in_order_is_whole_and_costs_no_heap() {
        let (stream, found) = arrivals(&[0, 1, 2, 3]);

        assert_eq!(found, [Arrival::InOrder; 4]);
        assert_eq!(stream.lost(&line(4), 0, true), 0);
        assert!(stream.missing.is_none());
    }

    #[test]
    fn what_never_came_is_lost_wherever_it_stands() {
        for came in [&[1, 2, 3][..], &[0, 2, 3], &[0, 1, 2]] {
            assert_eq!(arrivals(came).0.lost(&line(4), 0, true), 1, "{came:?}");
        }
        assert_eq!(arrivals(&[]).0.lost(&line(4), 0, true), 4);
        assert_eq!(arrivals(&[1, 3]).0.lost(&line(6), 0, true), 4);
    }

    #[test]
    fn a_late_one_is_disordered_and_not_lost() {
        let (stream, found) = arrivals(&[0, 2, 1, 3]);

        assert_eq!(found[2], Arrival::Disordered);
        assert_eq!(stream.lost(&line(4), 0, true), 0);
    }

    #[test]
    fn one_that_came_before_is_doubled_also_if_it_was_late() {
        let (stream, found) = arrivals(&[0, 0, 3, 1, 1, 3]);

        assert_eq!(found[1], Arrival::Doubled);
        assert_eq!(found[3..], [Arrival::Disordered, Arrival::Doubled, Arrival::Doubled]);
        assert_eq!(stream.lost(&line(4), 0, true), 1); // Number 2.
    }

    #[test]
    fn one_before_the_first_that_came_is_disordered() {
        let (stream, found) = arrivals(&[5, 2, 5, 2, 4]);

        assert_eq!(
            found[1..],
            [Arrival::Disordered, Arrival::Doubled, Arrival::Doubled, Arrival::Disordered]
        );
        assert_eq!(stream.lost(&line(6), 20, true), 1); // Number 3.
    }

    #[test]
    fn a_socket_is_owed_what_was_planned_after_it_was_ready() {
        // Numbers 0 and 1 were planned at 0 and 10.
        assert_eq!(arrivals(&[2, 3]).0.lost(&line(4), 20, true), 0);
        assert_eq!(arrivals(&[2, 3]).0.lost(&line(4), 10, true), 1);
        assert_eq!(arrivals(&[1, 2, 3]).0.lost(&line(4), 25, true), 0);
        assert_eq!(arrivals(&[1, 3]).0.lost(&line(4), 25, true), 1); // It had begun.
        assert_eq!(arrivals(&[]).0.lost(&line(4), 31, true), 0);
    }

    #[test]
    fn a_socket_that_left_is_owed_what_came_before_its_last_one() {
        assert_eq!(arrivals(&[0, 1]).0.lost(&line(9), 0, false), 0);
        assert_eq!(arrivals(&[0, 2]).0.lost(&line(9), 0, false), 1);
        assert_eq!(arrivals(&[1, 2]).0.lost(&line(9), 0, false), 1);
        assert_eq!(arrivals(&[]).0.lost(&line(9), 0, false), 0);
    }

    #[test]
    fn a_publish_without_an_answer_may_come_or_not() {
        let mut line = line(2);
        line.unanswered(20);
        line.accepted(30);

        assert_eq!(arrivals(&[0, 1, 3]).0.lost(&line, 0, true), 0);
        assert_eq!(arrivals(&[0, 1, 2, 3]).0.lost(&line, 0, true), 0);
        assert_eq!(arrivals(&[0, 1]).0.lost(&line, 0, true), 1);
    }

    /// What a socket saw, found out in the simplest way.
    fn model(came: &[u64], owed: u64, publishes: u64) -> (u64, Vec<Arrival>) {
        let (mut seen, mut found) = (BTreeSet::new(), vec![]);
        for number in came {
            found.push(match seen.last() {
                _ if seen.contains(number) => Arrival::Doubled,
                Some(highest) if highest > number => Arrival::Disordered,
                _ => Arrival::InOrder,
            });
            seen.insert(*number);
        }
        let from = seen.first().map_or(owed, |first| *first.min(&owed));
        let lost = (from..publishes).filter(|number| !seen.contains(number)).count();
        (lost as u64, found)
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_simple_model(
            came in proptest::collection::vec(0..24_u64, 0..60), owed in 0..24_u64
        ) {
            let (stream, found) = arrivals(&came);
            let (lost, expected) = model(&came, owed, 24);

            prop_assert_eq!(found, expected);
            prop_assert_eq!(stream.lost(&line(24), owed * 10, true), lost);
        }
    }
}
