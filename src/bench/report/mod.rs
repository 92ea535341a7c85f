//! The page of a run: what `bench --report FILE` writes, one HTML file that needs nothing else.
//!
//! No scripts, no fonts, nothing from elsewhere: a page that was mailed or put away still opens
//! in ten years. All text goes through [`maud`], which escapes it; the plots are SVG of our own
//! ([`plot`]). Start reading at [`html`], then [`page`], then [`section`].

mod axis;
mod cost;
mod latency;
mod page;
mod plot;
mod section;
mod throughput;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod wellformed;

use crate::bench::results::Results;

/// The page that shows `results`, complete.
pub fn html(results: &Results) -> String {
    page::page(results).into_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::{Figures, Round, Scenario, Unit};

    /// Every way in which a page can look.
    fn pages() -> Vec<(&'static str, String)> {
        let mut none = sample::results();
        none.scenarios.clear();
        let mut bare = sample::results();
        let round = Round { server: Figures::default(), floor: None };
        bare.scenarios = [vec![], vec![round.clone()], vec![round.clone(), round]]
            .into_iter()
            .map(|rounds| Scenario {
                name: "bare".to_owned(),
                title: "nothing was counted".to_owned(),
                unit: Unit::Delivery,
                sockets: 0,
                rounds,
                cost_ratio: None,
                p99_ratio: None,
            })
            .collect();
        let results = [
            ("full", sample::results()),
            ("faulty", sample::faulty()),
            ("bare", bare),
            ("none", none),
        ];
        results.map(|(name, results)| (name, html(&results))).into()
    }

    #[test]
    fn every_page_is_well_formed() {
        for (name, page) in pages() {
            assert_eq!(wellformed::check(&page), Ok(()), "{name}");
        }
    }

    #[test]
    fn no_page_says_what_only_a_computer_would() {
        for (name, page) in pages() {
            let body = &page[page.find("<body>").unwrap()..];
            for word in ["NaN", "inf", "None", "Some("] {
                assert!(!body.contains(word), "{name}: {word}");
            }
        }
    }

    #[test]
    fn a_page_needs_nothing_from_elsewhere() {
        for (name, page) in pages() {
            let page = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
            for word in ["http://", "https://", "src=", "@import", "url(", "<script", "<link"] {
                assert!(!page.contains(word), "{name}: {word}");
            }
        }
    }

    #[test]
    fn what_is_text_stays_text() {
        let evil = "\"><script>alert('&')</script>";
        let mut results = sample::results();
        results.version = evil.to_owned();
        results.began = evil.to_owned();
        results.target = evil.to_owned();
        results.machine.processor = evil.to_owned();
        results.machine.kernel = evil.to_owned();
        for scenario in &mut results.scenarios {
            scenario.name = evil.to_owned();
            scenario.title = evil.to_owned();
            for extra in scenario.rounds.iter_mut().flat_map(|round| &mut round.server.extra) {
                extra.name = evil.to_owned();
                extra.unit = evil.to_owned();
            }
        }

        let page = html(&results);

        assert!(!page.contains("<script"));
        assert_eq!(wellformed::check(&page), Ok(()));
    }

    #[test]
    fn the_verdict_is_good_only_if_nothing_was_wrong() {
        let verdicts: Vec<(&str, bool)> = pages()
            .iter()
            .map(|(name, page)| (*name, page.contains("class=\"verdict good\"")))
            .collect();

        assert_eq!(verdicts, [("full", true), ("faulty", false), ("bare", false), ("none", false)]);
    }

    #[test]
    fn faults_are_named_with_their_number() {
        let page = html(&sample::faulty());

        for words in ["<b>1,204</b> lost", "1,204 lost, 3 out of order", "17 failed to publish"] {
            assert!(page.contains(words), "{words}");
        }
        assert!(page.contains("The floor had faults of its own (2 closed)"));
    }

    #[test]
    fn every_line_of_the_summary_leads_to_its_section() {
        let page = html(&sample::results());

        for number in 1..=sample::results().scenarios.len() {
            assert!(page.contains(&format!("href=\"#scenario-{number}\"")));
            assert!(page.contains(&format!("id=\"scenario-{number}\"")));
        }
    }

    #[test]
    fn a_page_is_small_enough_to_mail() {
        let page = html(&sample::results());

        assert!(page.len() < 1_000_000, "{} bytes", page.len());
    }
}
