//! The page of metrics, as whoever reads it by eye would: lines with a name and a number.

use std::collections::BTreeMap;

use super::{Answer, Worker, request, until};

/// What Prometheus asks with.
pub const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";

/// All numbers of one page, by name and labels as they are written.
#[derive(Debug, Clone, PartialEq)]
pub struct Scrape(pub BTreeMap<String, f64>);

impl Worker {
    /// Asks for metrics from this machine, with further headers and without the secret.
    pub fn ask_for_metrics(&self, headers: &[(&str, &str)]) -> Answer {
        self.internal().ask(&request("GET", "/metrics", headers, b""))
    }

    /// The metrics now.
    pub fn metrics(&self) -> Scrape {
        let answer = self.ask_for_metrics(&[("Accept", OPENMETRICS)]);
        assert_eq!(answer.status, 200, "{answer:?}");
        Scrape::read(answer.text())
    }

    /// Waits until a number is as it should be.
    pub fn wait_for_metric(&self, name: &str, wanted: impl Fn(f64) -> bool) {
        until(name, || self.metrics().0.get(name).copied().filter(|number| wanted(*number)));
    }
}

impl Scrape {
    /// Reads a page.
    pub fn read(page: &str) -> Self {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let number = |line: &str| {
            let (name, number) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), number.parse().unwrap())
        };
        Self(lines.map(number).collect())
    }

    /// A number that has to be there.
    pub fn get(&self, name: &str) -> f64 {
        *self.0.get(name).unwrap_or_else(|| panic!("no {name} in {:#?}", self.0.keys()))
    }

    /// The values of a metric's only label, with their numbers, but for those that are 0.
    pub fn by_label(&self, metric: &str) -> Vec<(String, u64)> {
        let labelled = |(name, number): (&String, &f64)| {
            let label = name.strip_prefix(metric)?.strip_prefix('{')?.strip_suffix("\"}")?;
            let (_, value) = label.split_once("=\"")?;
            (*number > 0.0).then(|| (value.to_owned(), *number as u64))
        };
        self.0.iter().filter_map(labelled).collect()
    }
}
