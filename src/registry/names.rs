//! What the keys and the channel of the registry are called.

/// Makes names that begin with the configured prefix.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
    topics: String,
    /// A value that all nodes share and that nobody changes: another one, or none, means that the
    /// data was lost.
    pub(super) epoch: String,
    /// When this node last knew that Redis has everything that it acknowledged.
    pub(super) seen: String,
    /// The channel of changes.
    pub(super) changes: String,
}

impl Names {
    /// Names for a node that calls itself `node` here.
    pub(super) fn new(prefix: &str, node: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            topics: format!("{prefix}topic:"),
            epoch: format!("{prefix}epoch"),
            seen: format!("{prefix}seen:{node}"),
            changes: format!("{prefix}topics"),
        }
    }

    /// The key of a topic.
    pub(super) fn topic(&self, topic: &str) -> String {
        format!("{}{topic}", self.topics)
    }

    /// The topic of a key.
    pub(super) fn topic_of<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(&*self.topics)
    }

    /// The key that says when a topic was unregistered. In a Redis Cluster it is kept where the
    /// topic's key is, which is decided by the text between its first braces, or by the whole key:
    /// so it has the same text between them, or the whole key. A few odd names cannot have such a
    /// key (a closing brace, and none before it that opens); they have another, and do without a
    /// script in a Redis Cluster.
    pub(super) fn gone(&self, topic: &str) -> String {
        let key = self.topic(topic);
        if hash_tag(&key).is_none() && !key.contains('}') && !self.prefix.contains('{') {
            return format!("{}gone:{{{key}}}", self.prefix);
        }
        format!("{}gone::{topic}", self.prefix) // No topic's name makes this one of the above.
    }

    /// A pattern that the keys of all topics match, and no other.
    pub(super) fn all_topics(&self) -> String {
        let mut pattern = String::with_capacity(self.topics.len() + 1);
        for letter in self.topics.chars() {
            if matches!(letter, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        pattern.push('*');
        pattern
    }
}

/// The part of a key that decides where a Redis Cluster keeps it, if that is not the whole key.
fn hash_tag(key: &str) -> Option<&str> {
    let (_, rest) = key.split_once('{')?;
    let (tag, _) = rest.split_once('}')?;
    Some(tag).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What decides where a key is kept.
    fn place(key: &str) -> &str {
        hash_tag(key).unwrap_or(key)
    }

    #[test]
    fn names_are_those_of_the_protocol() {
        let names = Names::new("wavelog:", "n");

        assert_eq!(names.topic("session.42"), "wavelog:topic:session.42");
        assert_eq!(names.topic_of("wavelog:topic:a:b"), Some("a:b"));
        assert_eq!(names.gone("a"), "wavelog:gone:{wavelog:topic:a}");
        assert_eq!((&*names.epoch, &*names.changes), ("wavelog:epoch", "wavelog:topics"));
    }

    #[test]
    fn a_topic_and_its_unregistration_are_kept_in_one_place() {
        for prefix in ["wavelog:", "{wavelog}:", "a{b}{c}"] {
            let names = Names::new(prefix, "n");
            for topic in ["a", "", "{a}", "x{a}y{b}", "{", "a{b", "{{a}}", "a b"] {
                let (key, gone) = (names.topic(topic), names.gone(topic));
                assert_eq!(place(&key), place(&gone), "{key} {gone}");
            }
        }
    }

    #[test]
    fn no_two_topics_share_a_name() {
        let names = Names::new("w:", "n");
        let topics = ["a", "{w:topic:a}", ":{w:topic:a}", "}", "{}", "{a}", "::a"];
        let mut gone: Vec<String> = topics.iter().map(|topic| names.gone(topic)).collect();

        gone.sort();
        gone.dedup();

        assert_eq!(gone.len(), topics.len());
    }

    #[test]
    fn a_prefix_is_no_pattern() {
        assert_eq!(Names::new("a*[b]:", "n").all_topics(), "a\\*\\[b\\]:topic:*");
    }
}
