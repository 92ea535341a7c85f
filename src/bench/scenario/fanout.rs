//! One publisher, one topic, many sockets: the next publish when every socket has the last, or at
//! planned moments.

use super::stage::Stage;
use super::volley::Volley;
use super::{Load, Name, Progress};
use crate::bench::results::Figures;
use crate::bench::target::Target;

/// Measures it.
pub fn measure(load: &Load, target: &Target, progress: &dyn Progress) -> Result<Figures, String> {
    let mut stage = Stage::set(load, target, progress, 1, 1)?;
    stage.connect(0..1, load.sockets)?;
    stage.warm_up()?;

    stage.open();
    let volley = Volley::of(load);
    if load.rate.is_some() {
        // The sockets are not waited for, or a slow one would hold up the plan.
        volley.run(&mut stage.publishers, &|_, _| 0, |volley| {
            volley.wait(1, progress, "published");
        })?;
    } else {
        stage.follow(&volley)?;
    }
    stage.wait_for_all();
    stage.close();

    stage.figures(Name::Fanout, vec![])
}
