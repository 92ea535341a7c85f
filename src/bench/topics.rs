//! The topics of one scenario: names that nobody else has, all of one length.

use super::moment::now_ns;

/// Digits of a topic's number in its name.
const DIGITS: usize = 6;

/// A row of topics, numbered from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// Differs from scenario to scenario and from run to run, so that what one left behind in a
    /// worker is nothing to the next.
    prefix: String,
    count: usize,
}

impl Topics {
    /// `count` fresh ones, at most a million.
    pub fn fresh(count: usize) -> Self {
        let prefix = format!("bench.{:x}.{:x}.", std::process::id(), now_ns());
        Self { prefix, count: count.min(10_usize.pow(DIGITS as u32)) }
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The name of one. Needs no escapes in a query or in JSON.
    pub fn name(&self, number: usize) -> String {
        format!("{}{number:0DIGITS$}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_have_one_length() {
        let (one, other) = (Topics::fresh(1_000), Topics::fresh(1_000));

        assert_ne!(one.name(0), other.name(0));
        assert_ne!(one.name(0), one.name(1));
        assert_eq!(one.name(0).len(), one.name(999).len());
        assert!(one.name(7).bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'.'));
    }
}
