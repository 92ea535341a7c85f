//! Counts the instructions of the hot paths with callgrind and compares them with the baseline.
//!
//! Instructions do not depend on a noisy machine as times do, so a small loss of speed shows in
//! every run. It knows nothing of how long anything takes, or of what the kernel does: callgrind
//! sees the program alone. `make instructions` runs it and `make instructions-baseline` rewrites
//! `benches/instructions.json`. Start reading at [`cases`], which says what is counted; each case
//! runs in a process of its own, which is this program again, under valgrind.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a case that cannot be set up has nothing to count, and says so by panicking"
)]

mod audience;
mod baseline;
mod callgrind;
mod cases;
mod cluster;
mod verdict;

use std::process::ExitCode;

use self::baseline::Baseline;
use self::verdict::Measured;

/// What to do if arguments make no sense.
const USAGE: &str = "usage: cargo run --release --example instructions [-- --baseline]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        [] => compare(),
        ["--baseline"] => rewrite_baseline(),
        [callgrind::CASE, name] => cases::run(name).map(|()| ExitCode::SUCCESS),
        _ => Err(USAGE.to_owned()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("instructions: {error}");
        ExitCode::FAILURE
    })
}

/// Counts, and shows what became more and what less.
fn compare() -> Result<ExitCode, String> {
    let baseline = Baseline::load()?;
    let measured = measure()?;
    let report = verdict::compare(baseline.targets.get(&callgrind::target()), &measured);
    println!("{report}");
    Ok(if report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Counts, and makes what was found the baseline of this target. The others keep theirs.
fn rewrite_baseline() -> Result<ExitCode, String> {
    let mut baseline = Baseline::load()?;
    let measured = measure()?;
    let before = baseline.targets.insert(callgrind::target(), measured.clone());
    println!("{}", verdict::compare(before.as_ref(), &measured).table());
    baseline.save()?;
    println!("rewrote {}; the commit says why", baseline::PATH);
    Ok(ExitCode::SUCCESS)
}

fn measure() -> Result<Measured, String> {
    let toolchain = callgrind::toolchain()?;
    callgrind::let_open_many_files()?;
    let names = cases::ALL.iter().map(|case| case.name);
    let counted = names.map(|name| Ok((name.to_owned(), callgrind::count(name)?)));
    Ok(Measured { toolchain, cases: counted.collect::<Result<_, String>>()? })
}
