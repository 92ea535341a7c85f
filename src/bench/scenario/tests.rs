//! That every fault of a server is counted, and nothing else: with a server that does one thing
//! wrong, once.

mod faulty;

use faulty::{Fault, Faulty};

use super::*;
use crate::bench::results::Faults;

/// A little of a scenario.
fn little(name: Name) -> Load {
    Load { sockets: 5, topics: 3, publishes: Some(20), cycles: 50, ..Load::usual(name) }
}

fn measured(name: Name, fault: Fault) -> Figures {
    let server = Faulty::start(fault);
    measure(name, &little(name), &server.target(), &Silent).unwrap()
}

#[test]
fn a_good_server_has_no_faults_and_everything_is_counted() {
    for (name, units, deliveries) in [
        (Name::Idle, 5, 0),
        (Name::Fanout, 100, 100),
        (Name::Burst, 100, 100),
        (Name::Publish, 20, 0),
    ] {
        let figures = measured(name, Fault::None);

        assert_eq!(figures.faults, Faults::default(), "{name:?}");
        assert_eq!((figures.units, figures.deliveries), (units, deliveries), "{name:?}");
        assert_eq!(figures.latency.map_or(0, |latency| latency.count), deliveries, "{name:?}");
        assert_eq!(figures.timeline.iter().sum::<u64>(), deliveries, "{name:?}");
        let answers = if name == Name::Idle { 5 } else { 20 };
        assert_eq!(figures.answer.map_or(0, |answer| answer.count), answers, "{name:?}");
        assert!(figures.seconds > 0.0 && figures.cpu_ns.is_none(), "{name:?}");
    }
}

#[test]
fn every_fault_is_counted_and_nothing_else() {
    let none = Faults::default();
    let expected = [
        (Fault::Loses, Faults { lost: 1, ..none }),
        (Fault::Doubles, Faults { doubled: 1, ..none }),
        (Fault::Swaps, Faults { disordered: 1, ..none }),
        // It came, but not as it was.
        (Fault::Alters, Faults { altered: 1, ..none }),
        // What came was never sent, and what was sent never came.
        (Fault::Renumbers, Faults { altered: 1, lost: 1, ..none }),
        (Fault::Chatters, Faults { altered: 1, ..none }),
        (Fault::Closes, Faults { closed: 1, ..none }),
        (Fault::Cuts, Faults { closed: 1, ..none }),
        (Fault::IsBusy, Faults { failed_publishes: 1, ..none }),
        (Fault::HangsUp, Faults { failed_publishes: 1, ..none }),
        (Fault::Refuses, Faults { refused: 1, ..none }),
    ];

    std::thread::scope(|scope| {
        for (fault, faults) in expected {
            scope.spawn(move || {
                let load = Load { connections: 1, ..little(Name::Burst) };
                let server = Faulty::start(fault);
                let figures = measure(Name::Burst, &load, &server.target(), &Silent).unwrap();

                assert_eq!(figures.faults, faults, "{fault:?}");
            });
        }
    });
}

#[test]
fn a_frame_that_is_lost_does_not_stop_the_loop_that_waits_for_it() {
    let figures = measured(Name::Fanout, Fault::Loses);

    assert_eq!(figures.faults, Faults { lost: 1, ..Faults::default() });
    assert_eq!(figures.publishes, 20);
}

#[test]
fn sockets_that_come_and_go_are_counted() {
    let figures = measured(Name::Churn, Fault::None);

    assert_eq!(figures.faults, Faults::default());
    assert_eq!(figures.units, 50);
    assert_eq!(figures.publishes, 20);
}

#[test]
fn a_plan_that_the_server_cannot_keep_up_with_is_told_as_latency() {
    let server = Faulty::start(Fault::None);
    // All planned for the first microseconds, and answered one after the other.
    let load = Load { rate: Some(1e9), publishes: Some(200), ..little(Name::Fanout) };

    let figures = measure(Name::Fanout, &load, &server.target(), &Silent).unwrap();

    // The last waits for 199 others, each of which takes a few microseconds at the very least. How
    // long a busy machine made one of them wait does not matter.
    let answer = figures.answer.unwrap();
    assert!(answer.max > 500_000, "{answer:?}");
    assert!(answer.p50 > answer.max / 20, "{answer:?}");
}

#[test]
fn progress_is_told() {
    let server = Faulty::start(Fault::None);
    let told = std::cell::RefCell::new(vec![]);
    let progress = |done, of_all, words: &str| told.borrow_mut().push((done, of_all, words.into()));

    measure(Name::Fanout, &little(Name::Fanout), &server.target(), &progress).unwrap();

    let told: Vec<(u64, u64, String)> = told.into_inner();
    assert!(!told.is_empty());
    assert!(told.iter().all(|(done, of_all, _)| done <= of_all), "{told:?}");
}

#[test]
fn what_cannot_be_measured_is_said_in_one_line() {
    let server = Faulty::start(Fault::Refuses);
    let one = Load { sockets: 1, ..little(Name::Fanout) };
    let short = Load { payload_bytes: 10, ..one.clone() };

    let refused = measure(Name::Fanout, &one, &server.target(), &Silent).unwrap_err();
    let senseless = measure(Name::Fanout, &short, &server.target(), &Silent).unwrap_err();

    assert!(refused.contains("no socket came in: the auth frame is answered with"), "{refused}");
    assert!(senseless.contains("10 bytes of payload: give 64 to"), "{senseless}");
    assert!(!refused.contains('\n'), "{refused}");
}

#[test]
fn names_are_found_as_they_are_written() {
    for name in Name::ALL {
        assert_eq!(Name::find(name.as_str()), Some(name));
    }
    assert_eq!(Name::find("fan-out"), None);
}
