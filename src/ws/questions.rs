//! Handshakes that wait for Redis: questions whether a topic is registered, and their answers.
//!
//! Every question is a task on the runtime, so that the event loop never waits; its answer is put
//! into a queue, and the loop is woken. Start reading at [`Questions::ask`].

use std::sync::Arc;

use mio::Waker;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::WsContext;
use crate::registry::Lookup;

/// The questions of the event loop.
pub(super) struct Questions {
    answers: Arc<Answers>,
    runtime: Handle,
    /// Questions so far.
    asked: u64,
    /// Questions without an answer.
    open: usize,
}

/// What became of a question.
#[derive(Debug)]
pub(super) struct Answer {
    /// Where the connection was that asked. Another may be there now.
    pub(super) place: u32,
    /// The number of the question.
    pub(super) number: u64,
    /// What is known of the topic.
    pub(super) lookup: Lookup,
}

/// Answers that the loop has not taken.
struct Answers {
    given: Mutex<Vec<Answer>>,
    waker: Arc<Waker>,
}

/// A question under way. It is answered whatever becomes of its task, with
/// [`Lookup::Away`] if nothing better was found.
struct Question {
    answer: Option<Answer>,
    answers: Arc<Answers>,
}

impl Questions {
    /// None yet. They are asked on `runtime`, and `waker` wakes the loop.
    pub(super) fn new(waker: Arc<Waker>, runtime: Handle) -> Self {
        let answers = Arc::new(Answers { given: Mutex::default(), waker });
        Self { answers, runtime, asked: 0, open: 0 }
    }

    /// Asks for the connection at `place` what is known of `topic`; returns the number of the
    /// question, from 1. `None`: so many are open that it is not asked. As connections may go
    /// before their answers come, that they are bounded is not enough.
    pub(super) fn ask(&mut self, place: u32, topic: String, context: &WsContext) -> Option<u64> {
        if self.open >= context.max_connections {
            return None;
        }
        self.open += 1;
        self.asked += 1;
        let answer = Answer { place, number: self.asked, lookup: Lookup::Away };
        let mut question = Question { answer: Some(answer), answers: Arc::clone(&self.answers) };
        let broker = Arc::clone(&context.broker);
        let asking = async move {
            let lookup = broker.find(&topic).await;
            if let Some(answer) = &mut question.answer {
                answer.lookup = lookup;
            }
        };
        context.requests.spawn_on(asking, &self.runtime);
        Some(self.asked)
    }

    /// The answers that came since the last call.
    pub(super) fn take(&mut self) -> Vec<Answer> {
        let answers = std::mem::take(&mut *self.answers.given.lock());
        self.open -= answers.len();
        answers
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let mut given = self.answers.given.lock();
        given.extend(self.answer.take());
        if given.len() == 1 {
            // Fails if the loop is woken more often than 2^64 times before it runs.
            let _ = self.answers.waker.wake();
        }
    }
}
