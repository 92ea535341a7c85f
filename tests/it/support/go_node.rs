//! A Go worker as seen from Redis: what it writes there and what it hears, in exactly its form.

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::{Redis, Reply, Resp};

/// The channel of all envelopes.
pub const EVENTS: &str = "wavelog:events";
/// The hash of all nodes.
pub const NODES: &str = "wavelog:nodes";

/// A Go worker on one Redis. Dropping it ends its connections, without taking its entry off the
/// roster.
pub struct GoNode {
    /// Its node id, which is the origin of its envelopes as well.
    pub id: String,
    commands: Mutex<Resp>,
    heard: Arc<Mutex<Vec<String>>>,
    listening: TcpStream,
    thread: Option<JoinHandle<()>>,
}

impl GoNode {
    /// One that listens to the envelopes of all nodes, like a 0.2.4, which has no roster.
    pub fn join(redis: &Redis, id: &str) -> Self {
        let mut listener = redis.connect();
        listener.ask(&["SUBSCRIBE", EVENTS]).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listening = listener.handle();
        let to = Arc::clone(&heard);
        let thread = thread::spawn(move || listen(listener, &to));
        Self {
            id: id.to_owned(),
            commands: Mutex::new(redis.connect()),
            heard,
            listening,
            thread: Some(thread),
        }
    }

    /// Enters itself in the roster, as a 0.3.0 called `name` does every 5 s.
    pub fn enter(&self, name: &str, seen_at: &str) {
        let entry = roster_entry(&self.id, name, seen_at);
        self.ask(&["HSET", NODES, &self.id, &entry]);
    }

    /// Publishes `payload`, given as JSON text.
    pub fn publish(&self, topic: &str, payload: &str) {
        let topic = serde_json::to_string(topic).unwrap();
        let envelope =
            format!(r#"{{"origin_id":"{}","topic":{topic},"payload":{payload}}}"#, self.id);
        self.ask(&["PUBLISH", EVENTS, &envelope]);
    }

    /// Registers `topic` for a day.
    pub fn register(&self, topic: &str, require_token: bool) {
        let value = format!(r#"{{"require_token":{require_token}}}"#);
        self.ask(&["SET", &topic_key(topic), &value, "EX", "86400"]);
    }

    /// Unregisters `topic`.
    pub fn unregister(&self, topic: &str) {
        self.ask(&["DEL", &topic_key(topic)]);
    }

    /// Every envelope that it heard so far, its own ones included.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// The envelopes that it heard of `topic`.
    pub fn heard_of(&self, topic: &str) -> Vec<String> {
        let part = format!(r#""topic":{},"#, serde_json::to_string(topic).unwrap());
        self.heard().into_iter().filter(|envelope| envelope.contains(&part)).collect()
    }

    fn ask(&self, command: &[&str]) {
        let reply = self.commands.lock().unwrap().ask(command).unwrap();
        assert!(!matches!(reply, Reply::Error(_)), "{command:?}: {reply:?}");
    }
}

impl Drop for GoNode {
    fn drop(&mut self) {
        let _ = self.listening.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The key of a topic.
pub fn topic_key(topic: &str) -> String {
    format!("wavelog:topic:{topic}")
}

/// An entry of the roster as 0.3.0 writes it.
pub fn roster_entry(id: &str, name: &str, seen_at: &str) -> String {
    format!(
        r#"{{"id":"{id}","name":"{name}","version":"0.3.0","started_at":"2026-11-22T12:48:24.676533782Z","seen_at":"{seen_at}","active_topics":0,"connected_clients":0,"connected_sockets":0,"alive":true,"uptime":"0s","uptime_seconds":0}}"#
    )
}

/// Takes down messages until the connection ends.
fn listen(mut listener: Resp, to: &Mutex<Vec<String>>) {
    loop {
        match listener.read() {
            Ok(Reply::List(parts)) => {
                if let [kind, _, Reply::Text(message)] = parts.as_slice()
                    && kind.text() == "message"
                {
                    to.lock().unwrap().push(String::from_utf8_lossy(message).into_owned());
                }
            }
            Ok(other) => panic!("not a message: {other:?}"),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
