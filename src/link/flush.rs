//! The tasks that exist only for a link in trouble: writing what the kernel did not take, and
//! resetting a link whose browser does not take its close.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{Link, Outgoing, Phase};
use crate::protocol::close::CloseCode;

/// How a round of writing ended.
enum Round {
    /// Nothing waits any more.
    Done,
    /// The kernel took something, or nothing, and has no room now.
    Full { progress: bool },
}

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

/// Writes the backlog of `link` as the browser takes it, and ends when nothing waits any more. A
/// browser that takes nothing for the write timeout is closed as slow.
pub(super) async fn flush(link: Arc<Link>) {
    let write_timeout = link.context.write_timeout;
    let mut deadline = Instant::now() + write_timeout;
    loop {
        match timeout_at(deadline, link.stream.writable()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return link.abort(),
            Err(_) => {
                let mut outgoing = link.outgoing.lock();
                if outgoing.phase >= Phase::Closing {
                    return; // `reset_later` has it.
                }
                link.context.metrics.slow_closes.inc();
                link.close_locked(&mut outgoing, CloseCode::Slow);
                deadline = Instant::now() + write_timeout;
                continue;
            }
        }
        let round = link.write_waiting(&mut link.outgoing.lock());
        match round {
            Ok(Round::Done) => return,
            Ok(Round::Full { progress: true }) => deadline = Instant::now() + write_timeout,
            Ok(Round::Full { progress: false }) => {}
            Err(_) => return link.abort(),
        }
    }
}

/// Resets `link` after `patience` if it is still there.
pub(super) async fn reset_later(link: Weak<Link>, patience: Duration) {
    tokio::time::sleep(patience).await;
    if let Some(link) = link.upgrade() {
        link.abort();
    }
}

impl Link {
    fn write_waiting(&self, outgoing: &mut Outgoing) -> io::Result<Round> {
        let mut progress = false;
        let Some(backlog) = &mut outgoing.backlog else {
            return Ok(Round::Done);
        };
        while let Some(bytes) = backlog.next() {
            match self.stream.try_write(bytes) {
                Ok(count) => {
                    backlog.advance(count);
                    progress = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Round::Full { progress });
                }
                Err(error) => return Err(error),
            }
        }
        outgoing.backlog = None;
        if outgoing.phase == Phase::Closing {
            self.shut_sending();
        }
        Ok(Round::Done)
    }
}
