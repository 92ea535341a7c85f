//! What `make instructions` fails on, without counting anything: its own table of made-up counts.

use std::collections::BTreeMap;

#[path = "../../benches/instructions/verdict.rs"]
mod verdict;

use self::verdict::{Measured, Report, compare};

fn measured(rustc: &str, cases: &[(&str, u64)]) -> Measured {
    Measured {
        toolchain: BTreeMap::from([("rustc".to_owned(), rustc.to_owned())]),
        cases: cases.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
    }
}

/// The report of one case that went from `before` to `now`.
fn report(before: u64, now: u64) -> Report {
    let baseline = measured("1.95.0", &[("case", before)]);
    compare(Some(&baseline), &measured("1.95.0", &[("case", now)]))
}

#[test]
fn a_case_that_grew_over_the_limit_fails_and_says_from_where_to_where() {
    let report = report(10_000, 10_501);

    assert_eq!(report.failed(), 1);
    let text = report.to_string();
    assert!(text.contains("case grew by 5.01 %, from 10,000 to 10,501 instructions"), "{text}");
    assert!(text.contains("make instructions-baseline, and say why"), "{text}");
    assert!(text.ends_with("\n0 passed, 1 failed"), "{text}");
}

#[test]
fn a_case_within_the_limit_passes() {
    for now in [9_500, 10_000, 10_500] {
        let text = report(10_000, now).to_string();

        assert!(text.ends_with("\n1 passed, 0 failed"), "{text}");
        assert!(!text.contains("note"), "{text}");
    }
}

#[test]
fn a_case_that_fell_passes_and_asks_for_a_lower_baseline() {
    let report = report(10_000, 9_000);

    assert_eq!(report.failed(), 0);
    assert!(report.to_string().contains("note: case fell, and its baseline can be lowered"));
    assert!(report.table().contains("-10.00 %"));
}

#[test]
fn a_case_that_only_the_baseline_or_only_the_program_knows_fails() {
    let baseline = measured("1.95.0", &[("both", 7), ("gone", 7)]);
    let now = measured("1.95.0", &[("both", 7), ("new", 7)]);

    let report = compare(Some(&baseline), &now);

    assert_eq!(report.failed(), 2);
    let text = report.to_string();
    assert!(text.contains("FAILED: gone is in the baseline, but is no case any more"), "{text}");
    assert!(text.contains("FAILED: new has no baseline"), "{text}");
    assert!(text.ends_with("\n1 passed, 2 failed"), "{text}");
}

#[test]
fn without_a_baseline_of_this_kind_of_machine_nothing_is_compared_and_it_says_so() {
    let report = compare(None, &measured("1.95.0", &[("case", 7)]));

    assert_eq!(report.failed(), 0);
    let text = report.to_string();
    assert!(text.contains("counted, not compared"), "{text}");
    assert!(text.ends_with("\n0 passed, 0 failed, 1 skipped"), "{text}");
}

#[test]
fn another_toolchain_widens_the_limit_and_it_says_so() {
    let baseline = measured("1.95.0", &[("case", 1_000)]);
    let of = |now| compare(Some(&baseline), &measured("1.96.0", &[("case", now)]));

    assert_eq!(of(1_250).failed(), 0);
    assert_eq!(of(1_251).failed(), 1);
    let text = of(1_250).to_string();
    assert!(text.contains("of rustc 1.95.0, this is rustc 1.96.0: the limit is 25 %"), "{text}");
}
