//! Publishing in step with the sockets: the next one when every socket has the last.

use std::time::Duration;

use super::volley::Volley;
use crate::bench::herd::{Group, Herd};
use crate::bench::publisher::Publisher;

/// How long nothing may come before the rest is taken for lost.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// The same, once that has happened: the run is spoilt already, and must still come to an end.
const IMPATIENCE: Duration = Duration::from_millis(100);

/// Waits for the frames of one publish after the other.
#[derive(Debug)]
pub struct Follow<'a> {
    herd: &'a Herd,
    goal: u64,
    patience: Duration,
}

impl<'a> Follow<'a> {
    /// The steady sockets of `herd`, to which nothing is under way.
    pub fn steady(herd: &'a Herd) -> Self {
        let goal = herd.shared().arrived(Group::Steady).count();
        Self { herd, goal, patience: PATIENCE }
    }

    /// Publishes to `topic`, on which all of them are, and waits until they have it.
    ///
    /// # Errors
    ///
    /// The publisher gave up.
    pub fn publish(
        &mut self,
        publisher: &mut Publisher,
        topic: usize,
        planned_ns: u64,
    ) -> Result<(), String> {
        let sockets = self.herd.shared().open(Group::Steady);
        if publisher.publish(topic, planned_ns)? {
            let arrived = self.herd.shared().arrived(Group::Steady);
            self.goal += sockets;
            if !arrived.wait(self.goal, self.patience, |_| {}) {
                (self.goal, self.patience) = (arrived.count(), IMPATIENCE);
            }
        }
        Ok(())
    }

    /// Publishes to `topic` until `volley` is over. `look` runs after each.
    ///
    /// # Errors
    ///
    /// The publisher gave up.
    pub fn run(
        &mut self,
        publisher: &mut Publisher,
        topic: usize,
        volley: &Volley,
        mut look: impl FnMut(&Volley),
    ) -> Result<(), String> {
        let mut pace = volley.pace(0, 1);
        while let Some(planned) = volley.next(&mut pace) {
            self.publish(publisher, topic, planned)?;
            volley.count();
            look(volley);
        }
        Ok(())
    }
}
