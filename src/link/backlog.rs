//! What waits for one slow socket: counted references to frames, bounded in bytes.
//!
//! Exists only while something waits. Knows frames and their ends, nothing of sockets.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use crate::clock::Moment;
use crate::metrics::Metrics;
use crate::protocol::frame;

/// Memory that a row takes beside its bytes: its place in the queue, and its allocation's own.
const ROW_BYTES: usize = 96;

/// Rows that are written by one system call.
const ROWS_AT_A_TIME: usize = 64;

/// Rows of whole frames that wait, the first perhaps partly written.
#[derive(Debug)]
pub(super) struct Backlog {
    rows: VecDeque<Bytes>,
    /// Bytes of the first row that the kernel has.
    written: usize,
    /// Bytes that wait in all.
    bytes: usize,
    /// When the browser must have taken something, in milliseconds of the clock.
    pub(super) due_ms: u64,
    /// When the kernel did not take a write whole; `None` if that is not why this exists.
    stalled: Option<Moment>,
    metrics: Arc<Metrics>,
}

impl Backlog {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            rows: VecDeque::new(),
            written: 0,
            bytes: 0,
            due_ms: u64::MAX,
            stalled: None,
            metrics,
        }
    }

    /// Appends a row of whole frames.
    pub(super) fn push(&mut self, row: Bytes) {
        self.push_from(row, 0);
    }

    /// Appends a row of whole frames of which the kernel has taken the first `written` bytes;
    /// only into an empty backlog, for nothing may be under way twice.
    pub(super) fn push_from(&mut self, row: Bytes, written: usize) {
        debug_assert!(written == 0 || self.rows.is_empty());
        self.grow(row.len() - written);
        self.written += written;
        self.rows.push_back(row);
    }

    /// The kernel did not take a write whole. From now on time is counted, until nothing waits or
    /// this is dropped.
    pub(super) fn stalls(&mut self) {
        self.stalled = Some(Moment::now());
    }

    fn stalls_no_more(&mut self) {
        if let Some(stalled) = self.stalled.take() {
            self.metrics.backlog_time.observe_us(Moment::now().us_since(stalled));
        }
    }

    /// Everything that waits, nothing of it written yet.
    pub(super) fn into_rows(mut self) -> VecDeque<Bytes> {
        debug_assert_eq!(self.written, 0);
        std::mem::take(&mut self.rows)
    }

    /// What is held against the bound: the bytes that wait, and what keeping each row costs, or
    /// many tiny rows would take far more memory than they count.
    pub(super) fn cost(&self) -> usize {
        self.bytes + self.rows.len() * ROW_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What to write next: the first rows; none if nothing waits.
    pub(super) fn next(&self) -> ([IoSlice<'_>; ROWS_AT_A_TIME], usize) {
        let mut slices = [IoSlice::new(&[]); ROWS_AT_A_TIME];
        let mut written = self.written;
        for (slice, row) in slices.iter_mut().zip(&self.rows) {
            *slice = IoSlice::new(&row[std::mem::take(&mut written)..]);
        }
        (slices, self.rows.len().min(ROWS_AT_A_TIME))
    }

    /// The kernel took `count` bytes of [`Backlog::next`].
    pub(super) fn advance(&mut self, count: usize) {
        self.shrink(count);
        self.written += count;
        while let Some(row) = self.rows.pop_front_if(|row| row.len() <= self.written) {
            self.written -= row.len();
        }
        if self.is_empty() {
            self.stalls_no_more();
        }
    }

    /// Drops everything but the rest of the frame that is under way, so that what follows starts
    /// at a frame's boundary.
    pub(super) fn keep_frame_under_way(&mut self) {
        let first = self.rows.pop_front();
        self.rows.clear();
        if let Some(mut row) = first {
            row.truncate(frame::end_of_frame_at(&row, self.written));
            row.advance(self.written);
            if !row.is_empty() {
                self.rows.push_back(row);
            }
        }
        self.written = 0;
        let left = self.rows.front().map_or(0, Bytes::len);
        self.shrink(self.bytes - left);
    }

    fn grow(&mut self, count: usize) {
        self.bytes += count;
        self.metrics.backlog_bytes.add(count as u64);
    }

    fn shrink(&mut self, count: usize) {
        self.bytes -= count;
        self.metrics.backlog_bytes.take(count as u64);
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.metrics.backlog_bytes.take(self.bytes as u64);
        self.stalls_no_more();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What would be written next, as one piece.
    fn next(backlog: &Backlog) -> Vec<u8> {
        let (slices, count) = backlog.next();
        slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect()
    }

    fn backlog() -> (Backlog, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::default());
        (Backlog::new(Arc::clone(&metrics)), metrics)
    }

    #[test]
    fn bytes_come_out_in_order_and_are_counted() {
        let (mut backlog, metrics) = backlog();

        backlog.push_from(Bytes::from_static(b"abcdef"), 2);
        backlog.push(Bytes::from_static(b"gh"));

        assert_eq!(metrics.backlog_bytes.get(), 6);
        backlog.push(Bytes::from_static(b"ij"));
        assert_eq!(next(&backlog), b"cdefghij");
        backlog.advance(3);
        assert_eq!(next(&backlog), b"fghij");
        backlog.advance(4);
        assert_eq!(next(&backlog), b"j");
        drop(backlog);
        assert_eq!(metrics.backlog_bytes.get(), 0);
    }

    #[test]
    fn very_many_rows_are_not_written_at_once() {
        let (mut backlog, _metrics) = backlog();
        (0..100).for_each(|_| backlog.push(Bytes::from_static(b"ab")));

        assert_eq!(next(&backlog).len(), 2 * ROWS_AT_A_TIME);
        backlog.advance(2 * ROWS_AT_A_TIME - 1);
        assert_eq!(next(&backlog).len(), 2 * (100 - ROWS_AT_A_TIME) + 1);
        backlog.advance(2 * (100 - ROWS_AT_A_TIME) + 1);
        assert!(backlog.is_empty());
        assert_eq!(backlog.next().1, 0);
    }

    #[test]
    fn only_the_frame_under_way_is_kept() {
        let one = frame::text(&["one"]);
        let row =
            Bytes::from([&one[..], &frame::text(&["two"]), &frame::text(&["three"])].concat());
        let (mut backlog, metrics) = backlog();
        backlog.push_from(row.clone(), one.len() + 1);
        backlog.push(row);

        backlog.keep_frame_under_way();

        assert_eq!(next(&backlog), b"\x03two");
        assert_eq!((backlog.bytes, metrics.backlog_bytes.get()), (4, 4));
        backlog.advance(4);
        assert!(backlog.is_empty());
    }

    #[test]
    fn at_a_boundary_nothing_is_kept() {
        let one = frame::text(&["one"]);
        let (mut backlog, _metrics) = backlog();
        backlog.push(Bytes::from([&one[..], &one[..]].concat()));
        backlog.advance(one.len());

        backlog.keep_frame_under_way();

        assert!(backlog.is_empty());
        assert_eq!(backlog.bytes, 0);
    }
}
