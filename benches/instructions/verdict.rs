//! Judges what was counted: which cases grew over the baseline, and how that is told.
//!
//! Pure. `tests/it/instructions.rs` takes this file in, so that its tests run without valgrind.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

/// Growth in percent that fails a case.
pub const LIMIT_PERCENT: f64 = 5.0;

/// The same where the baseline is of another toolchain: that moves counts by some percent, but a
/// loop too many moves them by more.
pub const COARSE_LIMIT_PERCENT: f64 = 25.0;

/// What to do about a count that is meant to be as it is.
const RENEW: &str = "make instructions-baseline, and say why in the commit";

/// What was counted on one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// What made and what counted the instructions, by name: versions, and the processor's kind.
    pub toolchain: BTreeMap<String, String>,
    /// Instructions of one call of each case.
    pub cases: BTreeMap<String, u64>,
}

/// What a comparison found. As text: the table, what is wrong with what to do about it, and a
/// closing line.
#[derive(Debug)]
pub struct Report {
    rows: Vec<Row>,
    limit_percent: f64,
    /// What a person should know who sees no fault.
    notes: Vec<String>,
}

/// One case.
#[derive(Debug)]
struct Row {
    name: String,
    before: Option<u64>,
    now: Option<u64>,
    verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Within the limit.
    Passed,
    /// So much less that the baseline should be lowered.
    Fell,
    /// Over the limit.
    Grew,
    /// Not in the baseline, which has others of this target.
    New,
    /// In the baseline alone.
    Gone,
    /// There is nothing to compare with.
    Skipped,
}

/// Compares with the baseline of the same target; without one, nothing fails.
pub fn compare(baseline: Option<&Measured>, now: &Measured) -> Report {
    let mut notes = Vec::new();
    let mut limit_percent = LIMIT_PERCENT;
    match baseline {
        None => notes.push(format!(
            "no baseline for this kind of machine: counted, not compared. To add one: {RENEW}"
        )),
        Some(baseline) if baseline.toolchain != now.toolchain => {
            limit_percent = COARSE_LIMIT_PERCENT;
            notes.push(format!(
                "the baseline is of {}, this is {}: the limit is {COARSE_LIMIT_PERCENT} % instead \
                 of {LIMIT_PERCENT} %. If the project moves to this toolchain: {RENEW}",
                describe(&baseline.toolchain),
                describe(&now.toolchain)
            ));
        }
        Some(_) => {}
    }
    let names: BTreeSet<&String> = baseline
        .iter()
        .flat_map(|baseline| baseline.cases.keys())
        .chain(now.cases.keys())
        .collect();
    let row = |name: &String| {
        let before = baseline.and_then(|baseline| baseline.cases.get(name).copied());
        let now = now.cases.get(name).copied();
        let verdict = match (before, now) {
            _ if baseline.is_none() => Verdict::Skipped,
            (_, None) => Verdict::Gone,
            (None, Some(_)) => Verdict::New,
            (Some(before), Some(now)) => match change_percent(before, now) {
                change if change > limit_percent => Verdict::Grew,
                change if change < -limit_percent => Verdict::Fell,
                _ => Verdict::Passed,
            },
        };
        Row { name: name.clone(), before, now, verdict }
    };
    Report { rows: names.into_iter().map(row).collect(), limit_percent, notes }
}

/// From `before` to `now`, in percent of `before`.
fn change_percent(before: u64, now: u64) -> f64 {
    (now as f64 - before as f64) / before as f64 * 100.0
}

/// A toolchain in one line.
fn describe(toolchain: &BTreeMap<String, String>) -> String {
    let parts: Vec<String> =
        toolchain.iter().map(|(name, version)| format!("{name} {version}")).collect();
    parts.join(", ")
}

impl Report {
    /// How many cases fail.
    pub fn failed(&self) -> usize {
        self.rows.iter().filter(|row| row.fault(self.limit_percent).is_some()).count()
    }

    /// Each case with its baseline, its count now, and the change.
    pub fn table(&self) -> String {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        let mut table =
            format!("{:width$} {:>12} {:>12} {:>9}", "case", "baseline", "now", "change");
        for row in &self.rows {
            let count = |count: Option<u64>| count.map_or("-".to_owned(), grouped);
            let change = match (row.before, row.now) {
                (Some(before), Some(now)) => format!("{:+.2} %", change_percent(before, now)),
                _ => "-".to_owned(),
            };
            let (before, now) = (count(row.before), count(row.now));
            let _ = write!(table, "\n{:width$} {before:>12} {now:>12} {change:>9}", row.name);
        }
        table
    }
}

impl Row {
    /// What is wrong, and what to do about it.
    fn fault(&self, limit_percent: f64) -> Option<String> {
        let name = &self.name;
        match (self.verdict, self.before, self.now) {
            (Verdict::Grew, Some(before), Some(now)) => Some(format!(
                "{name} grew by {:.2} %, from {} to {} instructions; the limit is \
                 {limit_percent} %. Where they are: callgrind_annotate \
                 target/release/instructions/{name}.out. If it has to be: {RENEW}",
                change_percent(before, now),
                grouped(before),
                grouped(now),
            )),
            (Verdict::New, ..) => Some(format!("{name} has no baseline: {RENEW}")),
            (Verdict::Gone, ..) => {
                Some(format!("{name} is in the baseline, but is no case any more: {RENEW}"))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.table())?;
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        for row in &self.rows {
            if row.verdict == Verdict::Fell {
                writeln!(f, "note: {} fell, and its baseline can be lowered: {RENEW}", row.name)?;
            }
            if let Some(fault) = row.fault(self.limit_percent) {
                writeln!(f, "FAILED: {fault}")?;
            }
        }
        let failed = self.failed();
        let skipped = self.rows.iter().filter(|row| row.verdict == Verdict::Skipped).count();
        let passed = self.rows.len() - failed - skipped;
        write!(f, "{passed} passed, {failed} failed")?;
        if skipped > 0 { write!(f, ", {skipped} skipped") } else { Ok(()) }
    }
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
