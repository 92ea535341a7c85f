//! A topic's outbox: the frames that were accepted and not yet given to the subscribers, in order.
//!
//! Whoever appends while nobody drains becomes the drainer; everybody else just appends. So there
//! is one drainer at a time, which keeps the order without a lock around the fan-out, and frames
//! that come while it writes leave together in its next round.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::clock::Moment;

/// Bytes that one round of a drain takes at most (one frame is always taken). More would make a
/// burst cheaper still, but each socket would wait longer for its turn.
const ROUND_BYTES: usize = 64 * 1024;

/// Places for frames that an idle outbox keeps, so that the usual publish allocates none.
const KEPT_PLACES: usize = 16;

/// Frames that wait, bounded in bytes.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    frames: VecDeque<Waiting>,
    bytes: usize,
    draining: bool,
    retired: bool,
}

/// A frame that waits.
#[derive(Debug)]
struct Waiting {
    frame: Bytes,
    /// When its publish had been read.
    since: Moment,
}

/// What is given to the subscribers at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Round {
    /// Whole frames in one buffer.
    pub(super) row: Bytes,
    /// How many they are.
    pub(super) frames: u64,
    /// When the publish of the first had been read.
    pub(super) since: Moment,
}

/// What appending to an outbox led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Appended {
    /// Nobody drains: the caller is the drainer now.
    YouDrain,
    /// The drainer will take it.
    Waiting,
    /// No room; nothing was appended.
    Full,
    /// It is [retired](Outbox::retire); nothing was appended.
    Retired,
}

impl Outbox {
    /// Appends `frame`, whose publish had been read at `since`, if there is room for it under
    /// `bound` bytes, or if nothing waits at all.
    pub(super) fn append(&mut self, frame: &Bytes, since: Moment, bound: usize) -> Appended {
        if self.retired {
            return Appended::Retired;
        }
        if !self.frames.is_empty() && self.bytes + frame.len() > bound {
            return Appended::Full;
        }
        self.bytes += frame.len();
        self.frames.push_back(Waiting { frame: frame.clone(), since });
        if std::mem::replace(&mut self.draining, true) {
            Appended::Waiting
        } else {
            Appended::YouDrain
        }
    }

    /// Takes no more frames: who subscribes to the topic from now on would not get them.
    pub(super) fn retire(&mut self) {
        self.retired = true;
    }

    /// Takes the next round. `None` ends the drain: the caller is the drainer no more.
    pub(super) fn next_round(&mut self) -> Option<Round> {
        let Some(Waiting { frame: first, since }) = self.frames.pop_front() else {
            self.draining = false;
            if self.frames.capacity() > KEPT_PLACES {
                self.frames = VecDeque::new();
            }
            return None;
        };
        let mut count = 1;
        let mut size = first.len();
        while let Some(Waiting { frame, .. }) = self.frames.get(count - 1) {
            if size + frame.len() > ROUND_BYTES {
                break;
            }
            size += frame.len();
            count += 1;
        }
        self.bytes -= size;
        if count == 1 {
            // The usual case, and nothing is copied.
            return Some(Round { row: first, frames: 1, since });
        }
        let mut row = BytesMut::with_capacity(size);
        row.extend_from_slice(&first);
        for Waiting { frame, .. } in self.frames.drain(..count - 1) {
            row.extend_from_slice(&frame);
        }
        Some(Round { row: row.freeze(), frames: count as u64, since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: usize = 10;

    /// Appends a frame of these bytes.
    fn append(outbox: &mut Outbox, frame: &'static [u8]) -> Appended {
        outbox.append(&Bytes::from_static(frame), Moment::now(), BOUND)
    }

    /// The bytes of the next round, and how many frames they are.
    fn next_round(outbox: &mut Outbox) -> Option<(Bytes, u64)> {
        outbox.next_round().map(|round| (round.row, round.frames))
    }

    #[test]
    fn the_first_to_append_drains_and_gets_all_in_order() {
        let mut outbox = Outbox::default();

        assert_eq!(append(&mut outbox, b"ab"), Appended::YouDrain);
        assert_eq!(append(&mut outbox, b"cd"), Appended::Waiting);
        assert_eq!(next_round(&mut outbox), Some((Bytes::from_static(b"abcd"), 2)));
        assert_eq!(append(&mut outbox, b"ef"), Appended::Waiting);
        assert_eq!(next_round(&mut outbox), Some((Bytes::from_static(b"ef"), 1)));
        assert_eq!(next_round(&mut outbox), None);
        assert_eq!(append(&mut outbox, b"gh"), Appended::YouDrain);
    }

    #[test]
    fn over_the_bound_nothing_is_appended_but_one_frame_always_fits() {
        let mut outbox = Outbox::default();

        assert_eq!(append(&mut outbox, b"0123456789ab"), Appended::YouDrain);
        assert_eq!(append(&mut outbox, b"c"), Appended::Full);
        assert_eq!(next_round(&mut outbox).map(|round| round.1), Some(1));
        assert_eq!(append(&mut outbox, b"c"), Appended::Waiting);
    }

    #[test]
    fn a_retired_outbox_takes_nothing_but_gives_what_it_has() {
        let mut outbox = Outbox::default();
        append(&mut outbox, b"ab");
        outbox.retire();

        assert_eq!(append(&mut outbox, b"cd"), Appended::Retired);
        assert_eq!(next_round(&mut outbox), Some((Bytes::from_static(b"ab"), 1)));
        assert_eq!(next_round(&mut outbox), None);
    }

    #[test]
    fn a_round_is_bounded() {
        let mut outbox = Outbox::default();
        let frame = Bytes::from(vec![0; 20_000]);
        for _ in 0..7 {
            outbox.append(&frame, Moment::now(), usize::MAX);
        }

        assert_eq!(next_round(&mut outbox).map(|round| round.1), Some(3));
        assert_eq!(next_round(&mut outbox).map(|round| round.1), Some(3));
        assert_eq!(next_round(&mut outbox).map(|round| round.1), Some(1));
        assert_eq!(next_round(&mut outbox), None);
    }

    #[test]
    fn a_round_is_as_old_as_its_first_frame() {
        let mut outbox = Outbox::default();
        let (first, frame) = (Moment::now(), Bytes::from_static(b"a"));
        while Moment::now() == first {}
        outbox.append(&frame, first, usize::MAX);
        outbox.append(&frame, Moment::now(), usize::MAX);

        assert_eq!(outbox.next_round().map(|round| round.since), Some(first));
    }
}
