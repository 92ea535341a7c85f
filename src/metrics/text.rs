//! Writes metrics in the two forms that Prometheus and its kin read: OpenMetrics 1.0, and the
//! older text format (version 0.0.4).
//!
//! By hand, because the crate there is for it writes the first alone and would keep the names in a
//! registry of its own, where the documentation and the tests could not look them up.

use std::fmt::Write as _;

use super::families::{Family, Kind, Sample};

/// A form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4.
    Text,
}

impl Format {
    /// Its content type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The form for who sends `accept`: OpenMetrics, unless only plain text is taken.
    pub fn accepted<'a>(accept: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut plain = false;
        for range in accept.flat_map(|value| value.split(|byte| *byte == b',')) {
            let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let media_type = parts.next().unwrap_or_default();
            let refused = parts.any(is_nothing);
            if media_type.eq_ignore_ascii_case(b"application/openmetrics-text") && !refused {
                return Self::OpenMetrics;
            }
            plain |= media_type.eq_ignore_ascii_case(b"text/plain") && !refused;
        }
        if plain { Self::Text } else { Self::OpenMetrics }
    }
}

/// Whether a parameter of a media type says that it is not taken: `q=0`, `q=0.000`.
fn is_nothing(parameter: &[u8]) -> bool {
    let quality = parameter.strip_prefix(b"q=").or(parameter.strip_prefix(b"Q="));
    quality.is_some_and(|digits| digits.iter().all(|digit| matches!(digit, b'0' | b'.')))
}

/// Writes `families` as a whole page.
pub fn write(families: &[Family], format: Format) -> String {
    let mut page = String::with_capacity(16 * 1024);
    for family in families {
        write_family(&mut page, family, format);
    }
    if format == Format::OpenMetrics {
        page.push_str("# EOF\n");
    }
    page
}

fn write_family(page: &mut String, family: &Family, format: Format) {
    let full_name = family.full_name();
    let (name, kind) = match (format, family.kind) {
        (Format::OpenMetrics, Kind::Info) => (family.name, "info"),
        (Format::Text, Kind::Info) => (&*full_name, "gauge"),
        (Format::OpenMetrics, Kind::Counter) => (family.name, "counter"),
        (Format::Text, Kind::Counter) => (&*full_name, "counter"),
        (_, Kind::Gauge) => (family.name, "gauge"),
        (_, Kind::Histogram) => (family.name, "histogram"),
    };
    // To write into a string does not fail.
    let _ = writeln!(page, "# TYPE {name} {kind}");
    if let (Format::OpenMetrics, Some(unit)) = (format, family.unit()) {
        let _ = writeln!(page, "# UNIT {name} {unit}");
    }
    let _ = writeln!(page, "# HELP {name} {}", family.help);
    for sample in &family.samples {
        let _ = match sample {
            Sample::Whole(number) => writeln!(page, "{full_name} {number}"),
            Sample::Seconds(number) => writeln!(page, "{full_name} {}", decimal(*number)),
            Sample::Labelled(label, value, number) => {
                writeln!(page, "{full_name}{{{label}=\"{value}\"}} {number}")
            }
            Sample::Durations(snapshot) => {
                for (bound_us, count) in snapshot.cumulative() {
                    let bound = decimal(bound_us as f64 / 1e6);
                    let _ = writeln!(page, "{name}_bucket{{le=\"{bound}\"}} {count}");
                }
                let (count, sum) = (snapshot.count(), snapshot.sum_us() as f64 / 1e6);
                let _ = writeln!(page, "{name}_bucket{{le=\"+Inf\"}} {count}");
                let _ = writeln!(page, "{name}_count {count}");
                writeln!(page, "{name}_sum {}", decimal(sum))
            }
        };
    }
}

/// `number` with a point in it and no exponent: a bound reads the same in both forms.
fn decimal(number: f64) -> String {
    let mut text = number.to_string();
    if !text.contains('.') {
        text.push_str(".0");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Histogram;

    fn accepted(accept: &[&str]) -> Format {
        Format::accepted(accept.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn it_is_openmetrics_unless_only_plain_text_is_taken() {
        for accept in [
            &[][..],
            &["*/*"],
            &["application/openmetrics-text"],
            &["text/plain;q=0.9, application/openmetrics-text;version=1.0.0;q=0.1"],
            &["text/plain", "Application/OpenMetrics-Text"],
            &["text/html,*/*;q=0.8"],
            &["text/plain;q=0"],
            &["text/plain; Q=0.000, */*"],
            &[""],
        ] {
            assert_eq!(accepted(accept), Format::OpenMetrics, "{accept:?}");
        }
        for accept in [
            &["text/plain"][..],
            &["text/plain; version=0.0.4, */*;q=0.1"],
            &["TEXT/PLAIN"],
            &["text/plain, application/openmetrics-text;q=0"],
        ] {
            assert_eq!(accepted(accept), Format::Text, "{accept:?}");
        }
    }

    #[test]
    fn the_two_forms_differ_in_names_of_types_and_in_the_end() {
        let families = [
            Family {
                name: "worker_pushed_bytes",
                kind: Kind::Counter,
                help: "Bytes.",
                samples: vec![Sample::Whole(7)],
            },
            Family {
                name: "worker_build",
                kind: Kind::Info,
                help: "Version.",
                samples: vec![Sample::Labelled("version", "1.0", 1)],
            },
        ];

        assert_eq!(
            write(&families, Format::OpenMetrics),
            "# TYPE worker_pushed_bytes counter\n# UNIT worker_pushed_bytes bytes\n\
             # HELP worker_pushed_bytes Bytes.\nworker_pushed_bytes_total 7\n\
             # TYPE worker_build info\n# HELP worker_build Version.\n\
             worker_build_info{version=\"1.0\"} 1\n# EOF\n"
        );
        assert_eq!(
            write(&families, Format::Text),
            "# TYPE worker_pushed_bytes_total counter\n\
             # HELP worker_pushed_bytes_total Bytes.\nworker_pushed_bytes_total 7\n\
             # TYPE worker_build_info gauge\n# HELP worker_build_info Version.\n\
             worker_build_info{version=\"1.0\"} 1\n"
        );
    }

    #[test]
    fn a_histogram_has_all_its_bounds_as_decimals_and_ends_with_the_infinite_one() {
        let histogram = Histogram::default();
        [40, 700, 2_000_000, 20_000_000].into_iter().for_each(|us| histogram.observe_us(us));
        let samples = vec![Sample::Durations(Box::new(histogram.snapshot()))];
        let family =
            Family { name: "worker_x_seconds", kind: Kind::Histogram, help: "Time.", samples };

        let page = write(&[family], Format::Text);

        for line in [
            "worker_x_seconds_bucket{le=\"0.00005\"} 1",
            "worker_x_seconds_bucket{le=\"0.0005\"} 1",
            "worker_x_seconds_bucket{le=\"0.001\"} 2",
            "worker_x_seconds_bucket{le=\"1.0\"} 2",
            "worker_x_seconds_bucket{le=\"10.0\"} 3",
            "worker_x_seconds_bucket{le=\"+Inf\"} 4",
            "worker_x_seconds_count 4",
            "worker_x_seconds_sum 22.00074",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in {page}");
        }
    }
}
