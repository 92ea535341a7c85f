//! How far a scenario is, for whoever shows it.

/// Hears how far a scenario is. Called from the thread that called [`measure`](super::measure),
/// some ten times a second.
pub trait Progress {
    /// `done` of `of_all` are done; `words` say of what: `sockets connected`. What is counted
    /// changes in the course of a scenario; time that is published for is told in milliseconds.
    fn report(&self, done: u64, of_all: u64, words: &str);
}

/// Nobody wants to know.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _done: u64, _of_all: u64, _words: &str) {}
}

impl<F: Fn(u64, u64, &str)> Progress for F {
    fn report(&self, done: u64, of_all: u64, words: &str) {
        self(done, of_all, words);
    }
}
