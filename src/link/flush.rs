//! What is done for a link in trouble: writing what the kernel did not take, and ending a link
//! whose browser takes nothing.
//!
//! The event loop calls [`Link::flush`] when there is room, and [`Link::look`] now and then.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use super::{Link, Outgoing, Phase};
use crate::clock::millis;
use crate::protocol::close::CloseCode;

/// Time for a browser to take what is left for it and end its side.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// [`PATIENCE`], less for a browser that is slow already (docs/protocol.md, "Close codes").
pub(super) fn patience(code: CloseCode) -> Duration {
    match code {
        // It holds memory of ours in the kernel, too.
        CloseCode::Slow => Duration::from_secs(1),
        _ => PATIENCE,
    }
}

impl Link {
    /// Writes what waits, as far as the kernel takes it; to be called when the socket has room.
    pub fn flush(&self) {
        self.flush_locked(&mut self.outgoing.lock(), self.context.clock.now_ms());
    }

    fn flush_locked(&self, outgoing: &mut Outgoing, now_ms: u64) {
        if !matches!(outgoing.phase, Phase::Open | Phase::Closing) {
            return;
        }
        let Some(backlog) = &mut outgoing.backlog else {
            return;
        };
        let mut progress = false;
        // Until the kernel takes no more, so that it says when it has room again.
        while let (slices, count @ 1..) = backlog.next() {
            match (&self.stream).write_vectored(&slices[..count]) {
                Ok(count) => {
                    backlog.advance(count);
                    progress = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.abort_locked(outgoing),
            }
        }
        if backlog.is_empty() {
            if outgoing.phase == Phase::Closing {
                self.shut_sending(outgoing);
            } else {
                outgoing.backlog = None;
            }
        } else if progress && outgoing.phase == Phase::Open {
            backlog.due_ms = now_ms + millis(self.context.write_timeout);
        }
    }

    /// Does what time asks for: a browser that takes nothing for the write timeout is closed as
    /// slow, one that does not take its close is reset. Whether the link has to be looked at again.
    pub fn look(self: &Arc<Self>, now_ms: u64) -> bool {
        let mut outgoing = self.outgoing.lock();
        if outgoing.phase == Phase::Open && outgoing.is_due(now_ms) {
            // The kernel says that there is room only when a third of its buffer is free.
            self.flush_locked(&mut outgoing, now_ms);
        }
        match outgoing.phase {
            Phase::Open if outgoing.is_due(now_ms) => {
                self.context.metrics.slow_closes.inc();
                outgoing.was_slow = true;
                self.close_locked(&mut outgoing, CloseCode::Slow);
            }
            Phase::Closing | Phase::Closed if outgoing.is_due(now_ms) => {
                self.abort_locked(&mut outgoing);
            }
            _ => {}
        }
        // What closes keeps its backlog to the end, for the time that stands in it.
        outgoing.listed = outgoing.backlog.is_some();
        outgoing.listed
    }

    /// Gives the browser so long from now, and sees to it that somebody looks.
    pub(super) fn end_within(self: &Arc<Self>, outgoing: &mut Outgoing, patience: Duration) {
        let backlog = outgoing.backlog.get_or_insert_with(|| self.new_backlog());
        backlog.due_ms = self.context.clock.now_ms() + millis(patience);
        if !std::mem::replace(&mut outgoing.listed, true) {
            self.context.troubled.add(Arc::downgrade(self));
        }
    }
}

impl Outgoing {
    /// Whether the time is over that the browser had to take something.
    fn is_due(&self, now_ms: u64) -> bool {
        self.backlog.as_ref().is_some_and(|backlog| now_ms >= backlog.due_ms)
    }
}
