//! Publishes a few numbered events by PHP's way and sees when each arrives at sockets that listen.
//!
//! [`judge`] is pure. Start reading at [`send`].

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};

use super::node::Node;
use super::socket::{Event, Socket};

/// Events that are published.
pub const EVENTS: usize = 5;

/// Time between two.
const APART: Duration = Duration::from_millis(150);

/// Time that the last one has to arrive.
const LAST: Duration = Duration::from_secs(3);

/// When an event was published and when it arrived, since the first publish; `None`: never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flight {
    /// When PHP's call began.
    pub sent: Duration,
    /// When the push was there.
    pub arrived: Option<Duration>,
}

/// What the flights say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// All came, each soon.
    Good {
        /// The middle one of all delays.
        middle: Duration,
        /// The longest.
        longest: Duration,
    },
    /// All came, late, but one by one.
    Late {
        /// The longest delay.
        longest: Duration,
    },
    /// Several came at once though they were sent apart: somebody keeps them back.
    Bunched {
        /// How many came together.
        together: usize,
        /// The longest delay.
        longest: Duration,
    },
    /// Some never came.
    Missing {
        /// How many.
        count: usize,
    },
}

/// Publishes to `topic`, and returns for each of `sockets` what became of the events. An error is
/// what PHP's call said.
pub async fn send(
    node: &Node,
    topic: &str,
    sockets: &mut [Socket],
) -> Result<Vec<Vec<Flight>>, String> {
    let begin = Instant::now();
    let publishing = async {
        let mut sent = Vec::with_capacity(EVENTS);
        for number in 0..EVENTS {
            sleep_until(begin + APART * u32::try_from(number).unwrap_or_default()).await;
            sent.push(begin.elapsed());
            let called = node.publish(topic, number).await.map_err(|error| error.to_string())?;
            if called.heard.status != 200 {
                return Err(format!("the worker answers a publish with {}", called.heard.brief()));
            }
        }
        Ok(sent)
    };
    let deadline = begin + APART * u32::try_from(EVENTS).unwrap_or_default() + LAST;
    let listening = join_all(sockets.iter_mut().map(|socket| hear(socket, begin, deadline)));
    let (sent, heard) = tokio::join!(publishing, listening);
    let sent = sent?;
    let flights = heard.into_iter().map(|arrivals| {
        let pairs = sent.iter().zip(arrivals);
        pairs.map(|(&sent, arrived)| Flight { sent, arrived }).collect()
    });
    Ok(flights.collect())
}

/// When each event arrived.
async fn hear(socket: &mut Socket, begin: Instant, deadline: Instant) -> Vec<Option<Duration>> {
    let mut arrived = vec![None; EVENTS];
    while arrived.contains(&None) {
        match socket.next_until(deadline).await {
            Some(Event::Push(payload)) => {
                if let Some(place) = number(&payload).and_then(|n| arrived.get_mut(n)) {
                    *place = Some(begin.elapsed());
                }
            }
            Some(Event::Ping | Event::Other) => {}
            Some(Event::Closed(_) | Event::Ended) | None => break,
        }
    }
    arrived
}

fn number(payload: &str) -> Option<usize> {
    let inner = payload.strip_prefix("{\"doctor\":")?.strip_suffix('}')?;
    inner.parse().ok()
}

/// What `flights` say.
pub fn judge(flights: &[Flight]) -> Delivery {
    /// A page that updates later than this is not live.
    const LATE: Duration = Duration::from_millis(1000);
    /// What comes within this came together.
    const TOGETHER: Duration = Duration::from_millis(20);

    let count = flights.iter().filter(|flight| flight.arrived.is_none()).count();
    if count > 0 {
        return Delivery::Missing { count };
    }
    let arrivals: Vec<Duration> = flights.iter().filter_map(|flight| flight.arrived).collect();
    let mut delays: Vec<Duration> = flights
        .iter()
        .filter_map(|flight| Some(flight.arrived?.saturating_sub(flight.sent)))
        .collect();
    delays.sort();
    let longest = delays.last().copied().unwrap_or_default();
    let middle = delays.get(delays.len() / 2).copied().unwrap_or_default();
    let close = |pair: &&[Duration]| pair[1].saturating_sub(pair[0]) < TOGETHER;
    let together = arrivals.windows(2).filter(close).count() + 1;
    if together > 2 && longest > APART {
        Delivery::Bunched { together, longest }
    } else if longest > LATE {
        Delivery::Late { longest }
    } else {
        Delivery::Good { middle, longest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(arrivals: [Option<u64>; 5]) -> Delivery {
        let flights = arrivals.iter().zip(0_u64..).map(|(arrived, number)| Flight {
            sent: Duration::from_millis(150 * number),
            arrived: arrived.map(Duration::from_millis),
        });
        judge(&flights.collect::<Vec<_>>())
    }

    #[test]
    fn what_comes_at_once_though_it_was_sent_apart_was_kept_back() {
        let ms = Duration::from_millis;

        assert_eq!(
            judged([Some(2), Some(153), Some(303), Some(454), Some(609)]),
            Delivery::Good { middle: ms(3), longest: ms(9) }
        );
        assert_eq!(
            judged([Some(900), Some(900), Some(901), Some(901), Some(902)]),
            Delivery::Bunched { together: 5, longest: ms(900) }
        );
        assert_eq!(
            judged([Some(1300), Some(1450), Some(1600), Some(1750), Some(1900)]),
            Delivery::Late { longest: ms(1300) }
        );
        assert_eq!(
            judged([Some(1), None, Some(301), None, Some(601)]),
            Delivery::Missing { count: 2 }
        );
    }

    #[test]
    fn only_its_own_events_count() {
        assert_eq!(number("{\"doctor\":3}"), Some(3));
        assert_eq!(number("{\"doctor\":\"x\"}"), None);
        assert_eq!(number("{}"), None);
    }
}
