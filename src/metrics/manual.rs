//! The tables of metrics in `docs/metrics.md`, made from [`sections`] so that they cannot be wrong.
//!
//! `make docs-tables` writes them; a test fails when that has been forgotten. It is compiled for
//! tests alone.

use super::families::{ClusterFigures, Family, Figures, Kind, Sample, sections};
use super::{Metrics, ProcessFigures};

/// What stands behind a table in the page.
const END: &str = "<!-- The table ends here. -->\n";

/// What stands before the table of a section.
fn begin(section: &str) -> String {
    format!("<!-- The table of {section} is made from src/metrics by `make docs-tables`. -->\n")
}

/// A node of a cluster, which has all there is.
fn all() -> [(&'static str, Vec<Family>); 5] {
    let cluster =
        ClusterFigures { redis_up: true, nodes: Some(3), waiting_envelopes: 0, waiting_bytes: 0 };
    let figures = Figures {
        version: "1.2.3",
        ready: true,
        sockets: 0,
        clients: 0,
        registered_topics: 1,
        active_topics: 0,
        cluster: Some(cluster),
    };
    sections(&Metrics::default(), &figures, &ProcessFigures::read())
}

/// The table, in Markdown.
fn table(families: &[Family]) -> String {
    let row = |family: &Family| {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Info => "info",
        };
        let label = family.label().map_or(String::new(), |label| format!("`{label}`"));
        format!("| `{}` | {kind} | {label} | {} |\n", family.full_name(), family.help)
    };
    let rows: String = families.iter().map(row).collect();
    format!("\n| metric | type | label | meaning |\n|---|---|---|---|\n{rows}\n")
}

/// `page` with the tables as they should be, or nothing without their marks.
fn with_tables(page: &str) -> Option<String> {
    all().iter().try_fold(page.to_owned(), |page, (section, families)| {
        let begin = begin(section);
        let start = page.find(&begin)? + begin.len();
        let end = start + page[start..].find(END)?;
        Some(format!("{}{}{}", &page[..start], table(families), &page[end..]))
    })
}

mod tests {
    use std::collections::HashSet;
    use std::{env, fs};

    use super::*;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");

    fn families() -> Vec<Family> {
        all().into_iter().flat_map(|(_, families)| families).collect()
    }

    #[test]
    fn the_tables_of_the_manual_are_what_the_worker_says() {
        let page = fs::read_to_string(PAGE).unwrap();
        let right = with_tables(&page).expect("docs/metrics.md has the marks of the tables");

        if env::var_os("UPDATE_DOCS").is_some() {
            fs::write(PAGE, right).unwrap();
        } else {
            assert!(page == right, "the tables of metrics are not up to date: make docs-tables");
        }
    }

    #[test]
    fn the_manual_explains_every_value_of_every_label() {
        let page = fs::read_to_string(PAGE).unwrap();

        for family in families().iter().filter(|family| family.kind == Kind::Counter) {
            for sample in &family.samples {
                if let Sample::Labelled(_, value, _) = sample {
                    assert!(page.contains(&format!("\n- `{value}`: ")), "{}: {value}", family.name);
                }
            }
        }
    }

    #[test]
    fn names_are_unique_in_base_units_and_texts_are_sentences() {
        let all = families();
        let names: HashSet<&str> = all.iter().map(|family| family.name).collect();

        assert_eq!(names.len(), all.len());
        for Family { name, kind, help, .. } in &all {
            assert!(name.starts_with("worker_") || name.starts_with("process_"), "{name}");
            assert!(!name.ends_with("_total") && !name.ends_with("_info"), "{name}");
            assert!(*kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
            assert!(help.ends_with('.') && !help.contains(['\n', '"', '\\', '|']), "{name}");
        }
    }
}
