//! What a cluster costs: Redis for each publish and node, a node for each event of another, and
//! what would be gained if nodes heard only what concerns them.
//!
//! `make bench-cluster` runs it, in less than two minutes, on loopback, with a real `redis-server`
//! and a real worker. The tables go to standard output; `docs/clustering.md` shows some and draws
//! the conclusions. Everything is measured in rounds and shown as their median, for machines are
//! noisy; CPU time is much less so than latency. Start reading at [`measure`].

mod buckets;
mod fanout;
mod node;
mod server;
mod source;

use std::process::ExitCode;

use wavelog_worker::bench::machine;

/// Rounds of each measurement.
const ROUNDS: usize = 3;

/// Bytes of a payload.
const PAYLOAD_BYTES: usize = 100;

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures each part and prints what was found.
fn measure() -> Result<(), String> {
    let machine = machine::examine(None);
    println!(
        "{} cores of {}, Linux {}; {}; payloads of {PAYLOAD_BYTES} bytes; medians of {ROUNDS} rounds",
        machine.cores,
        machine.processor,
        machine.kernel,
        server::version()?
    );
    println!("\nRedis: CPU of a publish, by the number of nodes that hear it\n");
    let fanout = fanout::measure()?;
    println!("{fanout}");
    println!("\nA node: what it costs to hear what others publish\n");
    println!("{}", node::measure()?);
    println!("\nNodes that hear an event, if channels were divided (computed)\n");
    println!("{}", buckets::table(&fanout));
    Ok(())
}

/// The median.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
