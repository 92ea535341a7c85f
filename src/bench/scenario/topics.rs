//! Publishes spread over many topics with a few sockets each, as an application of many users
//! makes them.

use super::stage::Stage;
use super::volley::Volley;
use super::{Load, Name, Progress};
use crate::bench::results::Figures;
use crate::bench::target::Target;

/// Measures it.
pub fn measure(load: &Load, target: &Target, progress: &dyn Progress) -> Result<Figures, String> {
    let mut stage = Stage::set(load, target, progress, load.topics, load.connections)?;
    stage.connect(0..load.topics, load.sockets)?;
    stage.warm_up()?;

    stage.open();
    let choose = |publisher, made| scattered(publisher, made) % load.topics;
    Volley::of(load).run(&mut stage.publishers, &choose, |volley| {
        volley.wait(load.connections, progress, "published");
    })?;
    stage.wait_for_all();
    stage.close();

    stage.figures(Name::Topics, vec![])
}

/// A number that looks like chance and is the same in every run, so that the floor is asked for
/// what the worker was asked for.
fn scattered(publisher: usize, made: u64) -> usize {
    let mut mixed = made.wrapping_add((publisher as u64) << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ mixed >> 31) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_chosen_alike_often_and_the_same_again() {
        let mut times = [0; 10];
        for publisher in 0..4 {
            for made in 0..2_500 {
                times[scattered(publisher, made) % 10] += 1;
                assert_eq!(scattered(publisher, made), scattered(publisher, made));
            }
        }

        assert!(times.iter().all(|times| (850..1_150).contains(times)), "{times:?}");
    }
}
