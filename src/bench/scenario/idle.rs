//! Sockets that do nothing: what one costs in memory, and what letting it in costs in CPU.

use super::stage::Stage;
use super::{Load, Name, Progress};
use crate::bench::results::Figures;
use crate::bench::target::Target;

/// Measures it.
pub fn measure(load: &Load, target: &Target, progress: &dyn Progress) -> Result<Figures, String> {
    let mut stage = Stage::set(load, target, progress, 1, 1)?;

    stage.open();
    stage.connect(0..1, load.sockets)?;
    stage.close();

    stage.figures(Name::Idle, vec![])
}
