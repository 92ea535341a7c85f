//! When to try to connect again: at once at first, then ever later, at most 2 s apart.
//!
//! Pauses are jittered, so that many nodes do not come back to one Redis in step. Start reading at
//! [`Pace::turn`].

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The first pause that is waited for.
const FIRST: Duration = Duration::from_millis(50);

/// The longest pause: nodes that were cut off together are to be back together.
const LONGEST: Duration = Duration::from_secs(2);

/// Paces attempts, counted from the beginning of one to the beginning of the next.
#[derive(Debug, Default)]
pub struct Pace {
    /// When the last attempt began, and how many went before it without success.
    last: Option<(Instant, u32)>,
}

impl Pace {
    /// Returns when the next attempt may begin. Not cancel-safe: a turn that was not awaited to
    /// its end was not taken.
    pub async fn turn(&mut self) {
        if let Some((began, failures)) = self.last {
            sleep_until(began + pause(failures, random())).await;
        }
        let failures = self.last.map_or(0, |(_, failures)| failures.saturating_add(1));
        self.last = Some((Instant::now(), failures));
    }

    /// The next attempt begins at once again.
    pub fn reset(&mut self) {
        self.last = None;
    }
}

/// The pause after the attempt before which there were `failures`. `random` is from 0 to 1; a
/// pause is between half of what it could be and all of it.
fn pause(failures: u32, random: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX));
    doubled.min(LONGEST).mul_f64(0.5 + random / 2.0)
}

/// A number from 0 to 1. Without randomness from the system nodes may come back in step, no more.
fn random() -> f64 {
    getrandom::u32().map_or(1.0, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_50_ms_to_2_s_and_keep_at_least_half() {
        let longest: Vec<u128> = (0..9).map(|failures| pause(failures, 1.0).as_millis()).collect();

        assert_eq!(longest, [50, 100, 200, 400, 800, 1600, 2000, 2000, 2000]);
        assert_eq!(pause(0, 0.0), Duration::from_millis(25));
        assert_eq!(pause(20, 0.0), Duration::from_secs(1));
        assert_eq!(pause(u32::MAX, 1.0), LONGEST);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_turn_comes_at_once_and_the_time_of_an_attempt_counts() {
        let mut pace = Pace::default();
        let start = Instant::now();

        pace.turn().await;
        assert_eq!(start.elapsed(), Duration::ZERO);

        tokio::time::advance(Duration::from_secs(3)).await; // A slow attempt.
        pace.turn().await;
        assert_eq!(start.elapsed(), Duration::from_secs(3));

        pace.turn().await;
        assert!(start.elapsed() >= Duration::from_millis(3050), "{:?}", start.elapsed());

        pace.reset();
        let reset = Instant::now();
        pace.turn().await;
        assert_eq!(reset.elapsed(), Duration::ZERO);
    }
}
