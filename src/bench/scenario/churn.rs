//! Sockets come and go while others listen and publishing goes on: those that stay miss nothing,
//! those that pass get everything from `auth_ok` until they leave, and nothing is left behind.

use std::time::Duration;

use super::stage::{Stage, millis};
use super::volley::Volley;
use super::{Load, Name, Progress};
use crate::bench::herd::{Batch, Group};
use crate::bench::results::{Extra, Figures};
use crate::bench::target::Target;

/// Passing sockets that are in at the same time.
const STAY: u64 = 64;

/// How long no socket may come or go before the rest is given up.
const PATIENCE: Duration = Duration::from_secs(40);

/// Measures it.
pub fn measure(load: &Load, target: &Target, progress: &dyn Progress) -> Result<Figures, String> {
    let mut stage = Stage::set(load, target, progress, 1, load.connections)?;
    stage.connect(0..1, load.sockets)?;
    stage.warm_up()?;
    stage.measure_memory_from_here();

    stage.open();
    let volley = Volley::until_stopped(load);
    let (herd, cycles) = (&stage.herd, load.cycles);
    let (group, topics) = (Group::Passing, 0..1);
    let all_passed = volley.run(&mut stage.publishers, &|_, _| 0, |volley| {
        herd.connect(Batch { group, topics, sockets: cycles, stay: STAY });
        let all_passed = herd.shared().passed.wait(cycles, PATIENCE, |count| {
            progress.report(count, cycles, "sockets came and went");
        });
        if load.publishes.is_none() {
            volley.stop();
        }
        volley.wait(load.connections, progress, "published");
        all_passed
    })?;
    if !all_passed {
        return Err("the server lets no more sockets in; see its log".into());
    }
    stage.wait_for_all();
    stage.close();

    let answered: u64 =
        stage.publishers.iter().map(|publisher| publisher.answers().at(0.99)).max().unwrap_or(0);
    let mut figures = stage.figures(Name::Churn, vec![])?;
    figures.extra.push(millis("publish answered, p99 of the slowest connection", answered));
    if let Some(memory) = figures.memory {
        let grown = memory.after_bytes as f64 - memory.before_bytes as f64;
        let name = "memory grown".into();
        figures.extra.push(Extra { name, value: grown, unit: "bytes".into() });
    }
    Ok(figures)
}
