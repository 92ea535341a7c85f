//! Which scenarios are run, one after the other, and with which sizes.
//!
//! Pure. Start reading at [`steps`].

use super::results::Scenario;
use super::scenario::{Load, Name};
use super::words;

/// A scenario and its sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What is done.
    pub name: Name,
    /// With how much.
    pub load: Load,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice<'a> {
    /// These, each with its usual sizes.
    Some(&'a [Name]),
    /// All of them, and those that depend on a size with several.
    All,
}

/// Sizes that were asked for; they go over the usual ones.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sizes {
    /// Sockets in all.
    pub sockets: Option<usize>,
    /// Topics that are published to.
    pub topics: Option<usize>,
    /// Bytes of a payload.
    pub payload_bytes: Option<usize>,
    /// Connections that publish.
    pub connections: Option<usize>,
    /// Publishes in all.
    pub publishes: Option<u64>,
    /// Publishes in a second.
    pub rate: Option<f64>,
    /// How long to publish.
    pub seconds: Option<f64>,
    /// Handshakes at the same time.
    pub at_once: Option<usize>,
    /// Sockets that come and go.
    pub cycles: Option<u64>,
    /// Small sizes where nothing else is asked for: all of it takes 15 seconds.
    pub quick: bool,
}

/// The steps for `choice`, with `sizes`, and with no more than `possible` sockets; and what has
/// to be said of those that were cut down or left out.
pub fn steps(choice: Choice<'_>, sizes: &Sizes, possible: u64) -> (Vec<Step>, Option<String>) {
    let wanted = match choice {
        Choice::Some(names) => names.iter().map(|&name| Step::usual(name)).collect(),
        Choice::All => all(),
    };
    let possible = usize::try_from(possible).unwrap_or(usize::MAX);
    let mut steps: Vec<Step> = Vec::new();
    let mut most_wanted = 0;
    for mut step in wanted {
        sizes.apply(&mut step.load);
        most_wanted = most_wanted.max(step.load.sockets + step.beside());
        let Some(most) = possible.checked_sub(step.beside()) else { continue };
        if most == 0 && step.load.sockets > 0 {
            continue;
        }
        step.load.sockets = step.load.sockets.min(most);
        // Sizes of one's own, or a low limit, make several of `all` the same.
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    let note = (most_wanted > possible).then(|| {
        format!(
            "{} of {} sockets are possible here: each takes a file at both ends, and their number is limited; raise it with `ulimit -n`",
            words::count(possible as u64),
            words::count(most_wanted as u64),
        )
    });
    (steps, note)
}

impl Step {
    /// The scenario, before anything is measured.
    pub fn without_rounds(&self) -> Scenario {
        Scenario {
            name: self.name.as_str().to_owned(),
            title: self.load.title(self.name),
            unit: self.name.unit(),
            sockets: self.load.sockets,
            rounds: Vec::new(),
            cost_ratio: None,
            p99_ratio: None,
        }
    }

    /// Sockets that a scenario has beside those of its load.
    fn beside(&self) -> usize {
        match self.name {
            Name::Neighbours => 1_100,
            _ => 0,
        }
    }

    fn usual(name: Name) -> Self {
        Self { name, load: Load::usual(name) }
    }
}

fn all() -> Vec<Step> {
    let step = |name, change: fn(&mut Load)| {
        let mut step = Step::usual(name);
        change(&mut step.load);
        step
    };
    let mut steps = vec![
        step(Name::Idle, |load| load.sockets = 2_000),
        step(Name::Idle, |load| load.sockets = 10_000),
        step(Name::Idle, |load| load.sockets = 19_000),
        step(Name::Idle, |load| (load.sockets, load.at_once) = (10_000, 2_000)),
        step(Name::Fanout, |_| {}),
        step(Name::Fanout, |load| load.payload_bytes = 1_024),
        step(Name::Fanout, |load| load.sockets = 10_000),
        step(Name::Fanout, |load| load.rate = Some(50.0)),
    ];
    let once = Name::ALL.into_iter().filter(|name| !matches!(name, Name::Idle | Name::Fanout));
    steps.extend(once.map(Step::usual));
    steps
}

impl Sizes {
    fn apply(&self, load: &mut Load) {
        if self.quick {
            make_small(load);
        }
        set(&mut load.sockets, self.sockets);
        set(&mut load.topics, self.topics);
        set(&mut load.payload_bytes, self.payload_bytes);
        set(&mut load.connections, self.connections);
        set(&mut load.seconds, self.seconds);
        set(&mut load.at_once, self.at_once);
        set(&mut load.cycles, self.cycles);
        load.rate = self.rate.or(load.rate);
        // So many seconds are asked for, not as long as the usual number of publishes takes.
        load.publishes = load.publishes.filter(|_| self.seconds.is_none());
        load.publishes = self.publishes.or(load.publishes);
    }
}

fn set<T: Copy>(place: &mut T, wanted: Option<T>) {
    *place = wanted.unwrap_or(*place);
}

/// Sizes for a look.
fn make_small(load: &mut Load) {
    load.sockets = load.sockets.min(500);
    load.topics = load.topics.min(100);
    load.publishes = load.publishes.map(|publishes| publishes.min(100));
    load.seconds = load.seconds.min(0.5);
    load.at_once = load.at_once.min(100);
    load.cycles = load.cycles.min(200);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: u64 = 1_000_000;

    #[test]
    fn a_choice_is_made_in_the_order_it_is_asked_for_with_usual_sizes() {
        let names = [Name::Publish, Name::Idle];
        let (steps, note) = steps(Choice::Some(&names), &Sizes::default(), MANY);

        assert_eq!(steps, names.map(Step::usual));
        assert_eq!(note, None);
    }

    #[test]
    fn all_of_them_are_there_and_some_with_several_sizes() {
        let (steps, _) = steps(Choice::All, &Sizes::default(), MANY);

        assert!(Name::ALL.iter().all(|name| steps.iter().any(|step| step.name == *name)));
        assert!(steps.len() > Name::ALL.len());
    }

    #[test]
    fn sizes_that_are_asked_for_go_over_the_usual_and_the_small_ones() {
        let sizes = Sizes { sockets: Some(7), seconds: Some(9.0), quick: true, ..Sizes::default() };
        let (steps, _) = steps(Choice::Some(&[Name::Burst]), &sizes, MANY);

        let load = &steps[0].load;
        assert_eq!((load.sockets, load.seconds, load.publishes), (7, 9.0, None));
    }

    #[test]
    fn sockets_are_cut_down_to_what_is_possible_and_this_is_said() {
        let (steps, note) = steps(Choice::All, &Sizes::default(), 900);

        assert!(steps.iter().all(|step| step.load.sockets + step.beside() <= 900));
        assert!(steps.iter().all(|step| step.name != Name::Neighbours), "it needs more");
        let idle = steps.iter().filter(|step| step.name == Name::Idle).count();
        assert_eq!(idle, 2, "the three sizes have become one, beside the one with more at once");
        assert!(note.unwrap().starts_with("900 of 19,000 sockets are possible here: "));
    }

    #[test]
    fn without_a_socket_only_that_is_left_which_needs_none() {
        let (steps, note) = steps(Choice::All, &Sizes::default(), 0);

        assert_eq!(steps, [Step::usual(Name::Publish)]);
        assert!(note.is_some());
    }
}
