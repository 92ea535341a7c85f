//! Publishes that nobody hears: what taking one costs, without any delivery.

use super::stage::Stage;
use super::volley::Volley;
use super::{Load, Name, Progress};
use crate::bench::results::Figures;
use crate::bench::target::Target;

/// Measures it.
pub fn measure(load: &Load, target: &Target, progress: &dyn Progress) -> Result<Figures, String> {
    let mut stage = Stage::set(load, target, progress, 1, load.connections)?;
    stage.warm_up()?;

    stage.open();
    Volley::of(load).run(&mut stage.publishers, &|_, _| 0, |volley| {
        volley.wait(load.connections, progress, "published");
    })?;
    stage.close();

    stage.figures(Name::Publish, vec![])
}
