//! A topic: the name under which PHP publishes and browsers subscribe.
//!
//! Any string is a topic, of any length; the worker gives it no meaning, but for
//! [`Topic::STATUS`]. Cloning costs one counter.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The name of a topic.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

impl Topic {
    /// The topic that every node registers itself and on which it answers status requests.
    pub const STATUS: &'static str = "worker.status";

    /// Makes a topic of `name`.
    pub fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is [`Topic::STATUS`].
    pub fn is_status(&self) -> bool {
        &*self.0 == Self::STATUS
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
