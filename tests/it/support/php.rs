//! PHP publishing all the time, a new connection for each publish as it does, with the time that
//! each took.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::worker::PublishRequest;
use super::{Http, Worker, until};

/// A site's PHP that publishes to one node at a steady pace. Dropping it stops it.
pub struct Php {
    published: Arc<Mutex<Vec<Published>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// One publish, whose payload is `[from,number]`.
#[derive(Debug, Clone)]
pub struct Published {
    /// Which of several sites' PHP it came from.
    pub from: usize,
    pub topic: String,
    /// Counted from 1 in each topic.
    pub number: usize,
    pub started: Instant,
    pub took: Duration,
    pub status: u16,
}

impl Php {
    /// Publishes to `topics` in turns, `per_second` in all, until it is stopped. `from` stands in
    /// each payload.
    pub fn publishing(worker: &Worker, from: usize, topics: &[String], per_second: u32) -> Self {
        Self::publishing_at(worker.internal, worker, from, topics, per_second)
    }

    /// The same by way of a proxy at `address`; `worker` has the secret.
    pub fn publishing_at(
        address: SocketAddr,
        worker: &Worker,
        from: usize,
        topics: &[String],
        per_second: u32,
    ) -> Self {
        let requests =
            Requests { address, from, topics: topics.to_vec(), request: worker.publisher() };
        let published = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (to, stopped) = (Arc::clone(&published), Arc::clone(&stop));
        let pace = Duration::from_secs(1) / per_second;
        let thread = thread::spawn(move || requests.run(pace, &to, &stopped));
        Self { published, stop, thread: Some(thread) }
    }

    /// Everything so far.
    pub fn published(&self) -> Vec<Published> {
        self.published.lock().unwrap().clone()
    }

    /// Waits until as many more were published.
    pub fn wait_for_more(&self, count: usize) {
        let before = self.published.lock().unwrap().len();
        until(&format!("{count} more publishes"), || {
            (self.published.lock().unwrap().len() >= before + count).then_some(())
        });
    }

    /// Stops after the publish that is under way.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a publish went wrong");
        }
    }
}

impl Drop for Php {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Requests {
    address: SocketAddr,
    from: usize,
    topics: Vec<String>,
    request: PublishRequest,
}

impl Requests {
    fn run(&self, pace: Duration, to: &Mutex<Vec<Published>>, stopped: &AtomicBool) {
        let mut due = Instant::now();
        let turns = (1..).flat_map(|number| self.topics.iter().map(move |topic| (number, topic)));
        for (number, topic) in turns {
            if stopped.load(Ordering::Relaxed) {
                return;
            }
            // Its own pace, not a wait for anything; who is late does not hurry.
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due = Instant::now().max(due) + pace;
            let payload = format!("[{},{number}]", self.from);
            let request = (self.request)(topic, &payload);
            let started = Instant::now();
            let status = Http::connect(self.address).ask(&request).status;
            let took = started.elapsed();
            let (from, topic) = (self.from, topic.clone());
            let done = Published { from, topic, number, started, took, status };
            to.lock().unwrap().push(done);
        }
    }
}
