//! The topics of a node, sorted and searched: registered, subscribed, or only published to.
//!
//! There may be a million, of which a page shows a hundred: each is looked at once, and copied
//! only if it is among the first. Start reading at [`Broker::topics`].

use std::cmp::Ordering;
use std::collections::HashMap;

use serde::Serialize;

use super::super::Broker;
use crate::hub::tap::Rate;
use crate::registry::TopicMeta;
use crate::topic::Topic;

/// By what topics are sorted; those that are alike, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// By name.
    Topic,
    /// By the number of subscribers.
    #[default]
    Subscribers,
    /// By publishes in a minute.
    Rate,
}

/// Which topics are asked for.
#[derive(Debug, Clone, Default)]
pub struct TopicsAsked {
    /// A part of the name, in any case; empty for all. The topic of exactly this name comes first,
    /// however they are sorted, so that it is shown however many others there are.
    pub search: String,
    /// By what they are sorted.
    pub sort: Sort,
    /// Whether the highest comes first.
    pub descending: bool,
    /// How many.
    pub limit: usize,
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct TopicsSeen {
    /// How many topics there are that match.
    pub total: usize,
    /// The first of them.
    pub shown: Vec<TopicSeen>,
    /// Since when publishes are counted by topic, in Unix milliseconds.
    pub counting_since: i64,
    /// Publishes in a minute to topics that are too many to be counted apart.
    pub others_per_minute: f64,
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopicSeen {
    /// Its name.
    pub topic: String,
    /// Browsers of this node.
    pub subscribers: usize,
    /// Whether browsers need a token; not known of a topic that another node registered, or that
    /// is not registered.
    pub require_token: Option<bool>,
    /// Publishes in a minute; not known just after counting began.
    pub publishes_per_minute: Option<f64>,
    /// The same times the subscribers that were there.
    pub deliveries_per_minute: Option<f64>,
    /// Time until it ends unless it is registered again; not known of a topic that another node
    /// registered, or that is not registered.
    pub expires_seconds: Option<u64>,
}

/// What is known of a topic but for the registry.
#[derive(Debug, Clone, Copy, Default)]
struct Traffic {
    subscribers: usize,
    rate: Option<Rate>,
    is_registered: bool,
}

impl Broker {
    /// The topics that `asked` means. Counts publishes by topic from now on, until nobody has asked
    /// for 10 s. Takes a while if there are many: less than a second for a million.
    pub fn topics(&self, asked: &TopicsAsked) -> TopicsSeen {
        let now_ms = self.clock.now_ms();
        let rates = self.hub.taps().rates();
        let mut traffic: HashMap<Topic, Traffic> = HashMap::new();
        for (topic, subscribers) in self.hub.active() {
            traffic.entry(topic).or_default().subscribers = subscribers;
        }
        for (topic, rate) in rates.topics {
            traffic.entry(topic).or_default().rate = Some(rate);
        }
        let mut top = Top::new(asked, rates.is_warm);
        self.registry.each(now_ms, |name, known| {
            let traffic = match traffic.get_mut(name) {
                Some(traffic) => {
                    traffic.is_registered = true;
                    *traffic
                }
                None => Traffic::default(),
            };
            let expires = known
                .filter(|_| name != Topic::STATUS) // It renews itself.
                .map(|(_, ends_ms)| ends_ms.saturating_sub(now_ms) / 1000);
            top.offer(name, traffic, known.map(|(meta, _)| meta), expires);
        });
        for (topic, traffic) in traffic.iter().filter(|(_, traffic)| !traffic.is_registered) {
            top.offer(topic.as_str(), *traffic, None, None);
        }
        TopicsSeen {
            total: top.total,
            shown: top.finish(),
            counting_since: rates.since,
            others_per_minute: rates.others.publishes,
        }
    }
}

/// The first of the topics that were offered.
struct Top<'a> {
    asked: &'a TopicsAsked,
    search: String,
    /// Whether a topic without a rate has that of 0.
    is_warm: bool,
    total: usize,
    /// The first, in order, and behind them others that came since they were put in order.
    best: Vec<(f64, TopicSeen)>,
    /// Whether there are as many in order as are asked for.
    is_full: bool,
}

impl<'a> Top<'a> {
    fn new(asked: &'a TopicsAsked, is_warm: bool) -> Self {
        let search = asked.search.to_lowercase();
        Self { asked, search, is_warm, total: 0, best: Vec::new(), is_full: false }
    }

    fn offer(
        &mut self,
        name: &str,
        traffic: Traffic,
        meta: Option<TopicMeta>,
        expires_seconds: Option<u64>,
    ) {
        if !is_found(name, &self.search) {
            return;
        }
        self.total += 1;
        let limit = self.asked.limit;
        let by = match self.asked.sort {
            Sort::Topic => 0.0,
            Sort::Subscribers => traffic.subscribers as f64,
            Sort::Rate => traffic.rate.map_or(0.0, |rate| rate.publishes),
        };
        let is_behind = |(last_by, last): &(f64, TopicSeen)| {
            self.asked.order((by, name), (*last_by, &last.topic)) == Ordering::Greater
        };
        if limit == 0 || (self.is_full && self.best.get(limit - 1).is_some_and(is_behind)) {
            return;
        }
        let of_rate =
            |figure: fn(Rate) -> f64| self.is_warm.then(|| traffic.rate.map_or(0.0, figure));
        let seen = TopicSeen {
            topic: name.to_owned(),
            subscribers: traffic.subscribers,
            require_token: meta.map(|meta| meta.require_token),
            publishes_per_minute: of_rate(|rate| rate.publishes),
            deliveries_per_minute: of_rate(|rate| rate.deliveries),
            expires_seconds,
        };
        self.best.push((by, seen));
        if self.best.len() >= 2 * limit {
            self.put_in_order();
        }
    }

    fn put_in_order(&mut self) {
        let asked = self.asked;
        self.best.sort_by(|a, b| asked.order((a.0, &a.1.topic), (b.0, &b.1.topic)));
        self.best.truncate(asked.limit);
        self.is_full = self.best.len() == asked.limit;
    }

    fn finish(mut self) -> Vec<TopicSeen> {
        self.put_in_order();
        self.best.into_iter().map(|(_, seen)| seen).collect()
    }
}

/// Whether `search`, in lower case, is a part of `name` in any case.
fn is_found(name: &str, search: &str) -> bool {
    if search.is_empty() {
        return true;
    }
    if search.is_ascii() {
        // Without a copy: it is asked under a lock of the registry.
        let mut parts = name.as_bytes().windows(search.len());
        return parts.any(|part| part.eq_ignore_ascii_case(search.as_bytes()));
    }
    name.to_lowercase().contains(search)
}

impl TopicsAsked {
    /// Which of two comes first.
    fn order(&self, a: (f64, &str), b: (f64, &str)) -> Ordering {
        let exactly = (b.1 == self.search).cmp(&(a.1 == self.search));
        let by_name = a.1.cmp(b.1);
        exactly.then_with(|| match (self.sort, self.descending) {
            (Sort::Topic, true) => by_name.reverse(),
            (Sort::Topic, false) => by_name,
            (_, true) => b.0.total_cmp(&a.0).then(by_name),
            (_, false) => a.0.total_cmp(&b.0).then(by_name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(search: &str, sort: Sort, descending: bool, limit: usize) -> TopicsAsked {
        TopicsAsked { search: search.to_owned(), sort, descending, limit }
    }

    /// The names that come first of 1,000 topics, of which every tenth has subscribers.
    fn first(asked: &TopicsAsked) -> (usize, Vec<String>) {
        let mut top = Top::new(asked, true);
        for n in 0..1000_usize {
            let n = n * 7 % 1000; // In no order.
            let subscribers = if n.is_multiple_of(10) { n } else { 0 };
            let publishes = if n.is_multiple_of(100) { 1000.0 - n as f64 } else { 0.0 };
            let rate = Some(Rate { publishes, deliveries: 0.0 });
            let traffic = Traffic { subscribers, rate, is_registered: true };
            top.offer(&format!("Session.{n:03}"), traffic, None, None);
        }
        let total = top.total;
        (total, top.finish().into_iter().map(|seen| seen.topic).collect())
    }

    #[test]
    fn topics_are_sorted_by_name_by_subscribers_and_by_rate() {
        for (sort, descending, expected) in [
            (Sort::Topic, false, ["Session.000", "Session.001", "Session.002"]),
            (Sort::Topic, true, ["Session.999", "Session.998", "Session.997"]),
            (Sort::Subscribers, true, ["Session.990", "Session.980", "Session.970"]),
            (Sort::Subscribers, false, ["Session.000", "Session.001", "Session.002"]),
            (Sort::Rate, true, ["Session.000", "Session.100", "Session.200"]),
        ] {
            let (total, names) = first(&asked("", sort, descending, 3));
            assert_eq!((total, names), (1000, expected.map(str::to_owned).to_vec()), "{sort:?}");
        }
    }

    #[test]
    fn a_search_finds_a_part_of_the_name_in_any_case_and_counts_what_it_found() {
        let (total, names) = first(&asked("SESSION.99", Sort::Topic, false, 2));

        assert_eq!((total, names), (10, vec!["Session.990".to_owned(), "Session.991".to_owned()]));
        assert_eq!(first(&asked("x", Sort::Topic, false, 2)), (0, vec![]));
        for (name, search) in [("Größe", "grö"), ("GRÖSSE", "ö"), ("ÄöÜ b", "B"), ("ÄöÜ", "äöü")]
        {
            assert!(is_found(name, &search.to_lowercase()), "{search} in {name}");
        }
        assert!(!is_found("a", "ab") && !is_found("", "a") && is_found("", ""));
    }

    #[test]
    fn the_topic_that_is_searched_by_its_whole_name_comes_first() {
        for (sort, descending) in
            [(Sort::Topic, false), (Sort::Subscribers, true), (Sort::Subscribers, false)]
        {
            let asked = asked("log", sort, descending, 2);
            let mut top = Top::new(&asked, true);
            for (n, name) in ["a log", "blog", "catalog", "log", "log 2", "Log"].iter().enumerate()
            {
                let traffic = Traffic { subscribers: n % 3, ..Traffic::default() };
                top.offer(name, traffic, None, None);
            }
            assert_eq!(top.finish()[0].topic, "log", "{sort:?} {descending}");
        }
    }

    #[test]
    fn as_many_as_are_asked_for_are_shown() {
        for limit in [0, 1, 2, 499, 500, 1000, 2000] {
            let (_, names) = first(&asked("", Sort::Rate, true, limit));
            assert_eq!(names.len(), limit.min(1000));
        }
    }

    #[test]
    fn there_is_no_rate_until_it_was_counted_for_a_while() {
        let asked = asked("", Sort::Rate, true, 5);
        let mut top = Top::new(&asked, false);
        top.offer("a", Traffic::default(), Some(TopicMeta { require_token: true }), Some(7));

        let shown = top.finish();

        assert_eq!(shown[0].publishes_per_minute, None);
        assert_eq!((shown[0].require_token, shown[0].expires_seconds), (Some(true), Some(7)));
    }
}
