//! A run as it could have been, with every scenario, for tests and for looking at the page.

use crate::bench::results::{
    Extra, Faults, Figures, Latency, Machine, Memory, Results, Round, Scenario, Unit,
};

/// What makes a scenario of the sample.
struct Plan {
    name: &'static str,
    title: &'static str,
    unit: Unit,
    sockets: usize,
    seconds: f64,
    units: u64,
    /// Deliveries of each unit.
    deliveries: f64,
    /// CPU of the floor for each unit; 0 if there is no floor.
    floor_ns: f64,
    /// CPU of the server, in floors, or in nanoseconds where there is none.
    cost: f64,
    /// The fastest delivery or answer.
    fastest_ns: f64,
    extra: &'static [(&'static str, f64, &'static str)],
}

#[rustfmt::skip]
const PLANS: &[Plan] = &[
    Plan { name: "idle", title: "10,000 sockets that say nothing, 64 connecting at once", unit: Unit::Connect,
        sockets: 10_000, seconds: 3.2, units: 10_000, deliveries: 0.0, floor_ns: 41_000.0, cost: 1.62,
        fastest_ns: 310_000.0, extra: &[] },
    Plan { name: "idle", title: "19,000 sockets that say nothing, 2,000 connecting at once", unit: Unit::Connect,
        sockets: 19_000, seconds: 6.1, units: 19_000, deliveries: 0.0, floor_ns: 43_000.0, cost: 1.71,
        fastest_ns: 4_800_000.0, extra: &[] },
    Plan { name: "fanout", title: "each publish to 1,000 sockets, 100 bytes", unit: Unit::Delivery,
        sockets: 1_000, seconds: 2.53, units: 2_940_000, deliveries: 1.0, floor_ns: 812.0, cost: 1.06,
        fastest_ns: 38_000.0, extra: &[] },
    Plan { name: "fanout", title: "each publish to 10,000 sockets, 1,024 bytes", unit: Unit::Delivery,
        sockets: 10_000, seconds: 3.04, units: 2_480_000, deliveries: 1.0, floor_ns: 1_030.0, cost: 1.09,
        fastest_ns: 95_000.0, extra: &[] },
    Plan { name: "burst", title: "1,000 publishes back to back over 4 connections, to 1,000 sockets", unit: Unit::Delivery,
        sockets: 1_000, seconds: 0.47, units: 1_000_000, deliveries: 1.0, floor_ns: 800.0, cost: 0.41,
        fastest_ns: 900_000.0, extra: &[("frames in each write", 11.4, "")] },
    Plan { name: "topics", title: "publishes to 1,000 topics with 5 sockets each, over 4 connections", unit: Unit::Publish,
        sockets: 5_000, seconds: 3.0, units: 61_200, deliveries: 5.0, floor_ns: 9_800.0, cost: 2.34,
        fastest_ns: 44_000.0, extra: &[] },
    Plan { name: "publish", title: "publishes to nobody over 4 connections", unit: Unit::Publish,
        sockets: 0, seconds: 3.0, units: 118_000, deliveries: 0.0, floor_ns: 4_900.0, cost: 2.9,
        fastest_ns: 21_000.0, extra: &[] },
    Plan { name: "churn", title: "sockets come and go while 200 others listen", unit: Unit::Connect,
        sockets: 200, seconds: 5.0, units: 20_000, deliveries: 12.0, floor_ns: 0.0, cost: 71_000.0,
        fastest_ns: 280_000.0, extra: &[("memory grown", 212_992.0, "bytes"), ("connects each second", 4_000.0, "")] },
    Plan { name: "slow", title: "100 of 1,000 sockets read nothing, 4,096 bytes", unit: Unit::Delivery,
        sockets: 1_000, seconds: 4.0, units: 1_620_000, deliveries: 1.0, floor_ns: 0.0, cost: 1_900.0,
        fastest_ns: 61_000.0, extra: &[("slow sockets closed", 100.0, ""), ("backlog at most", 104_857_600.0, "bytes")] },
    Plan { name: "neighbours", title: "5 sockets on a topic of their own, beside one of 10,000 that never rests", unit: Unit::Delivery,
        sockets: 10_005, seconds: 6.0, units: 3_750, deliveries: 1.0, floor_ns: 0.0, cost: 48_000.0,
        fastest_ns: 88_000.0, extra: &[("1,000 sockets connected within", 412.0, "ms"),
            ("connect, p50", 188.0, "ms"), ("ping to pong, p99", 6.2, "ms"), ("the big topic's 200, p99", 9.8, "ms")] },
];

/// The whole run.
pub fn results() -> Results {
    Results {
        version: "0.4.0".to_owned(),
        began: "2026-01-31T12:34:56Z".to_owned(),
        seconds: 412.0,
        machine: Machine {
            processor: "Raspberry Pi 5 Model B, Cortex-A76".to_owned(),
            cores: 4,
            memory_bytes: 8_455_716_864,
            kernel: "Linux 6.12.25+rpt-rpi-2712".to_owned(),
            open_files: 524_288,
            possible_sockets: 262_000,
        },
        target: "a worker of its own".to_owned(),
        threads: Some(2),
        scenarios: PLANS.iter().map(|plan| made(plan, 5)).collect(),
    }
}

/// The first scenario of this name.
pub fn scenario(name: &str) -> Scenario {
    made(PLANS.iter().find(|plan| plan.name == name).unwrap(), 3)
}

/// A run in which things went wrong: frames lost, a floor that closed, no second round.
pub fn faulty() -> Results {
    let mut results = results();
    results.threads = None;
    results.target = "ws://127.0.0.1:9000".to_owned();
    results.scenarios.retain(|scenario| ["fanout", "slow"].contains(&scenario.name.as_str()));
    for scenario in &mut results.scenarios {
        scenario.rounds.truncate(1);
    }
    let round = &mut results.scenarios[0].rounds[0];
    round.server.faults = Faults { lost: 1_204, disordered: 3, ..Faults::default() };
    round.floor.as_mut().unwrap().faults.closed = 2;
    results.scenarios[2].rounds[0].server.faults.failed_publishes = 17;
    results
}

fn made(plan: &Plan, rounds: u32) -> Scenario {
    let rounds: Vec<Round> = (0..rounds).map(|round| made_round(plan, round)).collect();
    let with_floor = plan.floor_ns > 0.0;
    Scenario {
        name: plan.name.to_owned(),
        title: plan.title.to_owned(),
        unit: plan.unit,
        sockets: plan.sockets,
        rounds,
        cost_ratio: with_floor.then_some(plan.cost),
        p99_ratio: (with_floor && plan.deliveries > 0.0).then_some(1.16),
    }
}

fn made_round(plan: &Plan, round: u32) -> Round {
    let drift = 1.0 + 0.03 * f64::from((round * 7 + 2) % 5) - 0.06;
    let with_floor = plan.floor_ns > 0.0;
    let server_ns = if with_floor { plan.cost * plan.floor_ns } else { plan.cost };
    let server = figures(plan, server_ns * drift, plan.fastest_ns * drift, round);
    let floor = with_floor.then(|| {
        let mut floor = figures(plan, plan.floor_ns, plan.fastest_ns * 0.88, round + 10);
        floor.memory = floor.memory.map(|memory| Memory {
            before_bytes: 2_100_000,
            after_bytes: 2_100_000 + 120 * plan.sockets as u64,
            per_socket_bytes: memory.per_socket_bytes.map(|_| 120.0),
        });
        floor.extra.clear();
        floor
    });
    Round { server, floor }
}

fn figures(plan: &Plan, cpu_ns: f64, fastest_ns: f64, seed: u32) -> Figures {
    let deliveries = (plan.units as f64 * plan.deliveries) as u64;
    let connects = plan.unit == Unit::Connect;
    let publishes = match plan.unit {
        Unit::Publish => plan.units,
        _ if connects && deliveries == 0 => 0,
        _ => deliveries / plan.sockets.max(1) as u64,
    };
    let answered = if connects { plan.units } else { publishes };
    let faster = if plan.unit == Unit::Publish { 1.0 } else { 0.6 };
    Figures {
        seconds: plan.seconds,
        units: plan.units,
        cpu_ns: Some(cpu_ns),
        publishes,
        deliveries,
        latency: (deliveries > 0).then(|| latency(deliveries, fastest_ns, seed)),
        answer: (answered > 0).then(|| latency(answered, fastest_ns * faster, seed + 3)),
        memory: Some(Memory {
            before_bytes: 5_600_000,
            after_bytes: 5_600_000 + 2_650 * plan.sockets as u64,
            per_socket_bytes: (plan.name == "idle").then_some(2_650.0),
        }),
        timeline: timeline(deliveries, plan.seconds, seed),
        faults: Faults::default(),
        extra: plan
            .extra
            .iter()
            .map(|(name, value, unit)| Extra {
                name: (*name).to_owned(),
                value: *value,
                unit: (*unit).to_owned(),
            })
            .collect(),
    }
}

/// A curve that rises slowly at first, has a step where the scheduler looked in, and a tail.
fn latency(count: u64, fastest_ns: f64, seed: u32) -> Latency {
    let last = (count as f64).log10();
    let at = |nines: f64| {
        let step = 1.0 / (1.0 + (-(nines - 2.6 - f64::from(seed % 3) * 0.2) * 5.0).exp());
        let tail = (nines - 3.0).max(0.0).powi(2) * (0.5 + 0.2 * f64::from(seed % 4));
        (fastest_ns * (1.0 + nines * 0.9 + step * 4.0 + tail * 2.0)) as u64
    };
    let curve = (0..=60).map(|n| {
        let nines = last * f64::from(n) / 60.0;
        (if n == 60 { 1.0 } else { 1.0 - 10_f64.powf(-nines) }, at(nines))
    });
    let share = |share: f64| at((-(1.0 - share).log10()).min(last));
    Latency {
        count,
        p50: share(0.5),
        p99: share(0.99),
        p999: share(0.999),
        max: at(last),
        curve: curve.collect(),
    }
}

fn timeline(deliveries: u64, seconds: f64, seed: u32) -> Vec<u64> {
    if deliveries == 0 {
        return Vec::new();
    }
    let steps = (seconds * 10.0).ceil() as u32;
    let each = deliveries as f64 / (seconds * 10.0);
    let wave = |n: u32| 1.0 + 0.06 * f64::from((n * 5 + seed * 3) % 7) - 0.18;
    let share = |n: u32| (seconds * 10.0 - f64::from(n)).clamp(0.0, 1.0);
    (0..steps).map(|n| (each * wave(n) * share(n)) as u64).collect()
}
