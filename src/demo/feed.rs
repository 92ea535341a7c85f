//! Plays the PHP application: registers the demo's topic and publishes contest contacts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::value::to_raw_value;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::TOPIC;
use crate::client::{Worker, WorkerError};

/// Countries, with how their calls begin, and their CQ zone, which is what contesters exchange.
const COUNTRIES: &[(&str, &str, &str, u8)] = &[
    ("Germany", "EU", "DL", 14),
    ("Austria", "EU", "OE", 15),
    ("Italy", "EU", "IK", 15),
    ("England", "EU", "G", 14),
    ("Finland", "EU", "OH", 15),
    ("Poland", "EU", "SP", 15),
    ("United States", "NA", "K", 5),
    ("Canada", "NA", "VE", 4),
    ("Brazil", "SA", "PY", 11),
    ("Argentina", "SA", "LU", 13),
    ("Japan", "AS", "JA", 25),
    ("Kazakhstan", "AS", "UN", 17),
    ("South Africa", "AF", "ZS", 38),
    ("Morocco", "AF", "CN", 33),
    ("Australia", "OC", "VK", 30),
    ("New Zealand", "OC", "ZL", 32),
];

/// Bands of contests, with where each begins and how wide it is, in kHz.
const BANDS: &[(&str, u64, u64)] = &[
    ("80m", 3_500, 100),
    ("40m", 7_000, 150),
    ("20m", 14_000, 300),
    ("15m", 21_000, 400),
    ("10m", 28_000, 700),
];

/// The stations of the club that is in the contest.
const OPERATORS: &[&str] = &["club-1", "club-2", "club-3"];

/// One contact, as the page shows it.
#[derive(Debug, Serialize)]
struct Contact {
    kind: &'static str,
    n: u64,
    sent_at_ms: f64,
    call: String,
    by: &'static str,
    band: &'static str,
    mode: &'static str,
    freq_khz: f64,
    rst: &'static str,
    exchange: String,
    country: &'static str,
    continent: &'static str,
    points: u8,
}

/// Publishes contacts at the pace of a busy contest until `end` is cancelled.
pub(super) async fn play(worker: Worker, end: CancellationToken) {
    for n in 1.. {
        let contact = contact(n);
        if let Err(error) = publish(&worker, &contact).await {
            warn!(%error, "the demo could not publish");
        }
        let pause = Duration::from_millis(250 + random(700));
        tokio::select! {
            () = end.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Publishes `event` as the PHP application does: on 404 registers the topic and tries once more.
pub(super) async fn publish(worker: &Worker, event: &impl Serialize) -> Result<(), PublishError> {
    let payload = to_raw_value(event)?;
    match worker.publish(TOPIC, &payload).await {
        Err(WorkerError::UnknownTopic { .. }) => {
            worker.register(TOPIC, true).await?;
            Ok(worker.publish(TOPIC, &payload).await?)
        }
        published => Ok(published?),
    }
}

/// Why the demo could not publish.
#[derive(Debug, thiserror::Error)]
pub(super) enum PublishError {
    #[error(transparent)]
    Worker(#[from] WorkerError),
    #[error("event is no JSON: {0}")]
    Event(#[from] serde_json::Error),
}

/// Unix time in milliseconds, with the fraction that a latency on one machine needs.
pub(super) fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1000.0
}

fn contact(n: u64) -> Contact {
    let (country, continent, prefix, zone) = pick(COUNTRIES);
    let (band, start, width) = pick(BANDS);
    let is_cw = random(2) == 0;
    Contact {
        kind: "qso",
        n,
        sent_at_ms: now_ms(),
        call: call_sign(prefix),
        by: pick(OPERATORS),
        band,
        mode: if is_cw { "CW" } else { "SSB" },
        freq_khz: start as f64 + random(width * 10) as f64 / 10.0,
        rst: if is_cw { "599" } else { "59" },
        exchange: format!("{zone:02}"),
        country,
        continent,
        points: if continent == "EU" { 1 } else { 3 },
    }
}

fn call_sign(prefix: &str) -> String {
    let letter = || char::from(b'A' + random(26) as u8);
    format!("{prefix}{}{}{}{}", random(10), letter(), letter(), letter())
}

fn pick<T: Copy>(choices: &[T]) -> T {
    choices[random(choices.len() as u64) as usize]
}

/// A number below `bound`; not for secrets.
fn random(bound: u64) -> u64 {
    getrandom::u64().unwrap_or_default() % bound
}
