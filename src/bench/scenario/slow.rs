//! A tenth of the sockets read nothing: the others must not notice.
//!
//! Afterwards the slow ones read what waits for them, so that it is known which of them the
//! server ended (it should, when too much waits), and that those it did not have missed nothing.

use std::time::Duration;

use super::stage::{Stage, number};
use super::volley::Volley;
use super::{Load, Name, Progress};
use crate::bench::herd::{Batch, Group};
use crate::bench::results::Figures;
use crate::bench::target::Target;

/// How long nothing more may come to the slow sockets before they are taken to have it all.
const QUIET: Duration = Duration::from_secs(1);

/// Measures it.
pub fn measure(load: &Load, target: &Target, progress: &dyn Progress) -> Result<Figures, String> {
    let slow = (load.sockets / 10).max(1);
    let mut stage = Stage::set(load, target, progress, 1, 1)?;
    stage.connect(0..1, load.sockets.saturating_sub(slow).max(1))?;
    stage.warm_up()?;
    stage.connect_to(&stage.herd, Batch::of(Group::Slow, 0..1, slow))?;

    stage.open();
    let volley = Volley::of(load);
    stage.follow(&volley)?;
    stage.wait_for_all();
    stage.close();

    stage.herd.read_slow();
    let shared = stage.herd.shared();
    // It ends when nothing more comes: nobody knows how much there is.
    shared.arrived(Group::Slow).wait(u64::MAX, QUIET, |_| {
        let open = shared.open(Group::Slow);
        stage.tell(slow as u64 - open.min(slow as u64), slow as u64, "slow sockets ended");
    });
    let open = shared.open(Group::Slow);
    let mut figures = stage.figures(Name::Slow, vec![])?;
    figures.extra.push(number("slow sockets closed by the server", slow as u64 - open));
    figures.extra.push(number("slow sockets that caught up", open));
    Ok(figures)
}
