//! A small topic beside a very large one that is published to all the time: what its few sockets
//! notice of it is the figure. Then many sockets connect at once, and pings are sent.
//!
//! The large topic's sockets, the small one's and those that come later are in herds of their
//! own, so that reading the one does not delay the clock of the other.

use std::sync::Arc;
use std::time::Duration;
use std::{mem, thread};

use super::follow::Follow;
use super::stage::{Stage, millis};
use super::volley::Volley;
use super::{Load, Name, Progress};
use crate::bench::herd::{Batch, Group, Herd};
use crate::bench::moment::now_ns;
use crate::bench::results::Figures;
use crate::bench::target::{Kind, Target};
use crate::bench::window::Window;

/// The topics: with very many sockets, with few, and with those that come later.
const LARGE: usize = 0;
const SMALL: usize = 1;
const LATER: usize = 2;

/// Sockets of the small topic, and publishes to it in a second.
const SMALL_SOCKETS: usize = 5;
const SMALL_RATE: f64 = 150.0;

/// Sockets that come later, all at once.
const LATER_SOCKETS: usize = 1_000;

/// Pings in all: so many over each socket of the small topic, after such a pause.
const PING_ROUNDS: u64 = 100;
const PING_PAUSE: Duration = Duration::from_millis(10);

/// How long an answer to a ping may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Measures it.
pub fn measure(load: &Load, target: &Target, progress: &dyn Progress) -> Result<Figures, String> {
    let mut stage = Stage::set(load, target, progress, 3, 2)?;
    stage.connect(LARGE..LARGE + 1, load.sockets)?;
    let small = stage.other_herd(SMALL_SOCKETS, &stage.window)?;
    stage.connect_to(&small, Batch::of(Group::Steady, SMALL..SMALL + 1, SMALL_SOCKETS))?;
    stage.warm_up()?;

    stage.open();
    let paced = Load { rate: Some(SMALL_RATE), publishes: None, ..load.clone() };
    publish_to_both(&mut stage, &Volley::of(&paced), |stage, volley| {
        volley.wait(1, stage.progress, "published to the small topic");
    })?;
    stage.wait_for_all();
    wait_for_small(&stage, &small);
    stage.close();

    let later_window = Arc::new(Window::default());
    let later = stage.other_herd(LATER_SOCKETS, &later_window)?;
    let took_ns = publish_to_both(&mut stage, &Volley::until_stopped(&paced), |stage, volley| {
        let began = later_window.open();
        let batch = Batch::of(Group::Steady, LATER..LATER + 1, LATER_SOCKETS);
        let joined = stage.connect_to(&later, batch);
        let took = now_ns() - began;
        if joined.is_ok() && stage.target.kind == Kind::Worker {
            ping(&small);
        }
        volley.stop();
        joined.map(|()| took)
    })??;
    stage.wait_for_all();
    wait_for_small(&stage, &small);

    let [large_answers, small_answers] =
        [LARGE, SMALL].map(|number| stage.publishers[number].answers().clone());
    let (small, later) = (small.finish()?, later.finish()?);
    let (latency, pings, connects) =
        (small.latency.summary(), small.pings.clone(), later.connects.clone());
    let mut figures = stage.figures(Name::Neighbours, vec![small, later])?;
    figures.latency = latency;
    figures.answer = small_answers.summary();
    figures.extra.push(millis("publish to the large topic answered, p99", large_answers.at(0.99)));
    figures.extra.push(millis("1,000 more sockets authenticated within", took_ns));
    figures.extra.push(millis("one of them, p50", connects.at(0.5)));
    figures.extra.push(millis("one of them, longest", connects.at(1.0)));
    if pings.count() > 0 {
        figures.extra.push(millis("ping answered, p99", pings.at(0.99)));
    }
    Ok(figures)
}

/// Publishes to the large topic in a closed loop, and to the small one as `volley` says, while
/// `meanwhile` runs in this thread; ends with it, or with `volley`.
fn publish_to_both<R>(
    stage: &mut Stage<'_>,
    volley: &Volley,
    meanwhile: impl FnOnce(&Stage<'_>, &Volley) -> R,
) -> Result<R, String> {
    let mut publishers = mem::take(&mut stage.publishers);
    let (large, small) = publishers.split_at_mut(SMALL);
    let endless =
        Volley::until_stopped(&Load { rate: None, publishes: None, ..stage.load.clone() });
    let herd = &stage.herd;
    let outcome = thread::scope(|scope| {
        let follower = scope.spawn(|| {
            let result = Follow::steady(herd).run(&mut large[0], LARGE, &endless, |_| {});
            if result.is_err() {
                volley.stop();
            }
            result
        });
        let outcome = volley.run(small, &|_, _| SMALL, |volley| meanwhile(stage, volley));
        endless.stop();
        let died = || Err("a publisher's thread died; please report this".into());
        follower.join().unwrap_or_else(|_| died())?;
        outcome
    });
    stage.publishers = publishers;
    outcome
}

/// Waits until the sockets of the small topic have all that was accepted.
fn wait_for_small(stage: &Stage<'_>, small: &Herd) {
    let accepted = stage.publishers[SMALL].accepted_by(SMALL);
    let sockets = small.shared().settled.count();
    small.shared().arrived(Group::Steady).wait(accepted * sockets, PATIENCE, |_| {});
}

/// Sends pings over the sockets of the small topic, some at a time.
fn ping(small: &Herd) {
    for round in 1..=PING_ROUNDS {
        small.ping(SMALL_SOCKETS);
        let goal = round * SMALL_SOCKETS as u64;
        if !small.shared().pongs.wait(goal, PATIENCE, |_| {}) {
            return;
        }
        thread::sleep(PING_PAUSE);
    }
}
