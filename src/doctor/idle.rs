//! Holds a socket on which nothing passes but the worker's pings, to see whether somebody between
//! cuts it.
//!
//! Start reading at [`hold`].

use std::time::Duration;

use tokio::time::Instant;

use super::Findings;
use super::finding::{Finding, Step};
use super::node::shown;
use super::proxy::{Place, Wrong};
use super::socket::{Event, Socket};

/// With pings that are further apart, other things between cut first: many give a connection a
/// minute.
pub const LONGEST_INTERVAL: Duration = Duration::from_secs(55);

/// How the socket fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Two pings came, with this much silence between them.
    Alive {
        /// The silence.
        silence: Duration,
    },
    /// It ended without a word, after this much silence.
    Cut {
        /// The silence.
        silence: Duration,
    },
    /// The worker closed it.
    Closed {
        /// The code.
        code: u16,
    },
    /// It lives, and the pings do not come.
    NoPings {
        /// The silence.
        silence: Duration,
    },
}

/// Time that holding takes at most, with pings `interval` apart: up to the first one, and to the
/// second.
pub fn longest(interval: Duration) -> Duration {
    interval * 2 + interval / 4 + Duration::from_secs(1)
}

/// Holds `socket`, which is let in, until two pings came. Tells `findings` how far it is.
pub async fn hold(socket: &mut Socket, interval: Duration, findings: &Findings<'_>) -> Held {
    const LOOK: Duration = Duration::from_millis(500);

    let begin = Instant::now();
    let end = begin + longest(interval);
    let mut pings = 0;
    findings.progress(Step::Idle, Duration::ZERO, longest(interval));
    loop {
        let last = socket.heard;
        let look = (Instant::now() + LOOK).min(end);
        match socket.next_until(look).await {
            Some(Event::Ping) => {
                pings += 1;
                if pings == 2 {
                    return Held::Alive { silence: last.elapsed() };
                }
            }
            Some(Event::Closed(code)) => return Held::Closed { code },
            Some(Event::Ended) => return Held::Cut { silence: last.elapsed() },
            Some(Event::Push(_) | Event::Other) | None => {}
        }
        if Instant::now() >= end {
            return Held::NoPings { silence: last.elapsed() };
        }
        findings.progress(Step::Idle, begin.elapsed(), longest(interval));
    }
}

/// What `held` means, with pings `interval` apart.
pub fn judge(held: Held, interval: Duration, place: &Place) -> Finding {
    let step = Step::Idle;
    let expected = format!("a socket that lives from ping to ping, every {}", shown(interval));
    match held {
        Held::Alive { silence } => Finding::ok(
            step,
            format!("alive after {} of silence, from one ping to the next", shown(silence)),
        ),
        Held::Cut { silence } => Finding::failed(
            step,
            format!(
                "cut without a word after {} of silence, before the worker's ping",
                shown(silence)
            ),
        )
        .expected(expected)
        .changes(place.lines(Wrong::IdleCut))
        .change(format!("or set ping_interval in config.yaml below {}", shown(silence))),
        Held::Closed { code: 1001 } => {
            Finding::failed(step, "the worker, or the proxy, ended meanwhile (1001)".to_owned())
                .expected(expected)
                .change("run the doctor again")
        }
        Held::Closed { code } => Finding::failed(step, format!("closed with {code} meanwhile"))
            .expected(expected)
            .change("docs/protocol.md, \"Close codes\", says what that means"),
        Held::NoPings { silence } => Finding::failed(
            step,
            format!("alive, but no ping came in {}", shown(silence)),
        )
        .expected(expected)
        .change(
            "if ping_interval of the worker is another one, name its configuration with --config",
        )
        .changes(place.lines(Wrong::Buffering)),
    }
}
