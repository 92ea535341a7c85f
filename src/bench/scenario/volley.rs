//! Publishers side by side: each in a thread of its own, its next publish when the last is
//! answered, or at its planned moment.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use super::{Load, Progress};
use crate::bench::moment::{nanos, now_ns, seconds_to_ns, sleep_until};
use crate::bench::publisher::{Pace, Publisher};
use crate::bench::tally::Tally;

/// How often a publisher that waits for its moment looks whether there is still need of it.
const LOOK: Duration = Duration::from_millis(50);

/// Publishes that are being made.
#[derive(Debug)]
pub struct Volley {
    start_ns: u64,
    rate: Option<f64>,
    /// After this many, or at this moment.
    most: Option<u64>,
    end_ns: u64,
    taken: AtomicU64,
    made: AtomicU64,
    stopped: AtomicBool,
    /// Publishers that are done.
    done: Tally,
}

impl Volley {
    /// As many publishes as `load` says, from now on.
    pub fn of(load: &Load) -> Self {
        let start_ns = now_ns();
        let end_ns = match load.publishes {
            Some(_) => u64::MAX,
            None => start_ns.saturating_add(seconds_to_ns(load.seconds)),
        };
        Self::until(load.rate, load.publishes, start_ns, end_ns)
    }

    /// Until it is stopped, but at most as many as `load` says; fewer are not enough.
    pub fn until_stopped(load: &Load) -> Self {
        Self::until(load.rate, load.publishes, now_ns(), u64::MAX)
    }

    fn until(rate: Option<f64>, most: Option<u64>, start_ns: u64, end_ns: u64) -> Self {
        Self {
            start_ns,
            rate,
            most,
            end_ns,
            taken: AtomicU64::new(0),
            made: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            done: Tally::default(),
        }
    }

    /// Ends it; what is under way is finished.
    pub fn stop(&self) {
        self.stopped.store(true, SeqCst);
    }

    /// Publishes that were answered so far.
    pub fn made(&self) -> u64 {
        self.made.load(SeqCst)
    }

    /// How far it is, of how far: in publishes, or in milliseconds.
    pub fn progress(&self) -> (u64, u64) {
        match self.most {
            Some(most) => (self.made(), most),
            None => {
                let all = self.end_ns.saturating_sub(self.start_ns) / 1_000_000;
                ((now_ns() - self.start_ns).div_euclid(1_000_000).min(all), all)
            }
        }
    }

    /// The moment of the next publish, if there is one. Waits for it, but not beyond the end.
    pub fn next(&self, pace: &mut Pace) -> Option<u64> {
        if self.stopped.load(SeqCst) {
            return None;
        }
        if self.most.is_some_and(|most| self.taken.fetch_add(1, SeqCst) >= most) {
            return None;
        }
        let planned = pace.next_moment();
        self.sleep_until(planned.min(self.end_ns));
        (planned < self.end_ns && !self.stopped.load(SeqCst)).then_some(planned)
    }

    /// Sleeps until `moment_ns`, or until it is stopped.
    fn sleep_until(&self, moment_ns: u64) {
        let mut now = now_ns();
        while now < moment_ns && !self.stopped.load(SeqCst) {
            sleep_until(moment_ns.min(now + nanos(LOOK)));
            now = now_ns();
        }
    }

    /// One more was answered.
    pub fn count(&self) {
        self.made.fetch_add(1, SeqCst);
    }

    /// The pace of publisher `number` of `of_all`. To be called in the thread that publishes.
    pub fn pace(&self, number: usize, of_all: usize) -> Pace {
        Pace::of(self.rate, self.start_ns, number, of_all)
    }

    /// Runs it with `publishers`, each in its own thread. `choose` says the topic, from the number
    /// of the publisher and how many it has made; `meanwhile` runs in this thread.
    ///
    /// # Errors
    ///
    /// A publisher gave up.
    pub fn run<R>(
        &self,
        publishers: &mut [Publisher],
        choose: &(impl Fn(usize, u64) -> usize + Sync),
        meanwhile: impl FnOnce(&Self) -> R,
    ) -> Result<R, String> {
        let of_all = publishers.len();
        thread::scope(|scope| {
            let mut threads = vec![];
            for (number, publisher) in publishers.iter_mut().enumerate() {
                threads.push(scope.spawn(move || {
                    let _done = Done(&self.done);
                    let result = self.publish(publisher, number, of_all, choose);
                    if result.is_err() {
                        self.stop(); // The others, too: nothing will come of it.
                    }
                    result
                }));
            }
            let outcome = meanwhile(self);
            for thread in threads {
                let died = || Err("a publisher's thread died; please report this".into());
                thread.join().unwrap_or_else(|_| died())?;
            }
            Ok(outcome)
        })
    }

    fn publish(
        &self,
        publisher: &mut Publisher,
        number: usize,
        of_all: usize,
        choose: &impl Fn(usize, u64) -> usize,
    ) -> Result<(), String> {
        let mut pace = self.pace(number, of_all);
        let mut made = 0;
        while let Some(planned) = self.next(&mut pace) {
            publisher.publish(choose(number, made), planned)?;
            self.count();
            made += 1;
        }
        Ok(())
    }

    /// Waits until `publishers` of them are done, and tells how far it is.
    pub fn wait(&self, publishers: usize, progress: &dyn Progress, words: &str) {
        // Every publisher gives up some time.
        self.done.wait(publishers as u64, Duration::MAX, |_| {
            let (done, of_all) = self.progress();
            progress.report(done, of_all, words);
        });
    }
}

/// Counts a publisher as done, however it ends.
struct Done<'a>(&'a Tally);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::scenario::Name;

    /// Less than one in a day.
    const SELDOM: Option<f64> = Some(1e-5);

    fn load(rate: Option<f64>, seconds: f64) -> Load {
        Load { rate, seconds, publishes: None, ..Load::usual(Name::Fanout) }
    }

    #[test]
    fn a_moment_is_waited_for() {
        let volley = Volley::of(&load(Some(100.0), 0.025));
        let mut pace = volley.pace(0, 1);
        let mut moments = vec![];

        while let Some(planned) = volley.next(&mut pace) {
            assert!(now_ns() >= planned);
            moments.push(planned - volley.start_ns);
        }

        assert_eq!(moments, [0, 10_000_000, 20_000_000]);
        assert!(now_ns() >= volley.end_ns, "the last moment has its time, too");
    }

    #[test]
    fn a_moment_after_the_end_is_not_waited_for() {
        let volley = Volley::of(&load(SELDOM, 0.01));
        let mut pace = volley.pace(0, 1);
        assert_eq!(volley.next(&mut pace), Some(volley.start_ns));

        assert_eq!(volley.next(&mut pace), None);
    }

    #[test]
    fn who_waits_for_a_moment_is_stopped() {
        let volley = Volley::until_stopped(&load(SELDOM, 1.0));
        let mut pace = volley.pace(1, 2);

        thread::scope(|scope| {
            let waiting = scope.spawn(|| volley.next(&mut pace));
            volley.stop();
            assert_eq!(waiting.join().unwrap(), None);
        });
    }
}
