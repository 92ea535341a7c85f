//! An operator at the live view: signed in, asking what its page asks.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::{Answer, Http, SECRET, Worker, request, until};

/// Somebody who is signed in.
pub struct Viewer {
    internal: SocketAddr,
    cookie: String,
}

/// The bytes of a `POST` as the page sends it, with more headers.
pub fn json_post(path: &str, more: &[(&str, &str)], body: &str) -> Vec<u8> {
    let headers = [&[("Content-Type", "application/json"), ("X-Live-View", "1")], more].concat();
    request("POST", path, &headers, body.as_bytes())
}

impl Viewer {
    /// Signs in to `worker`, whose secret is the usual one.
    pub fn sign_in(worker: &Worker) -> Self {
        let body = format!(r#"{{"secret":"{SECRET}"}}"#);
        let answer = worker.internal().ask(&json_post("/live/sign-in", &[], &body));
        assert_eq!(answer.brief(), (204, ""));
        let cookie = answer.header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned();
        Self { internal: worker.internal, cookie }
    }

    /// The session, as a browser sends it.
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    /// The bytes of a `GET`.
    pub fn get_request(&self, path: &str) -> Vec<u8> {
        request("GET", path, &[("Cookie", &self.cookie)], b"")
    }

    /// Gets `path`.
    pub fn get(&self, path: &str) -> Answer {
        Http::connect(self.internal).ask(&self.get_request(path))
    }

    /// Gets `path`, which has to be there.
    pub fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Posts `body`.
    pub fn post(&self, path: &str, body: &str) -> Answer {
        let bytes = json_post(path, &[("Cookie", &self.cookie)], body);
        Http::connect(self.internal).ask(&bytes)
    }

    /// What the page shows of a topic, once `wanted` holds of it.
    pub fn wait_for_topic(&self, topic: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(&format!("the topic {topic}"), || {
            let state = self.json("/live/state?topics=1&limit=500");
            let shown = state["topics"]["shown"].as_array().unwrap();
            shown.iter().find(|shown| shown["topic"] == topic && wanted(shown)).cloned()
        })
    }

    /// A problem, once it was noticed so often.
    pub fn wait_for_problem(&self, kind: &str, least: u64) -> Value {
        until(&format!("the problem {kind}"), || {
            let state = self.json("/live/state?after=1000000");
            let problems = state["problems"].as_array().unwrap();
            let noticed = |problem: &&Value| {
                problem["kind"] == kind && problem["count"].as_u64().unwrap() >= least
            };
            problems.iter().find(noticed).cloned()
        })
    }

    /// Begins to follow `topic`, which has to be registered: publishes to it by `worker` until the
    /// first events come. What to ask for next.
    pub fn begin_tail(&self, worker: &Worker, topic: &str) -> u64 {
        let mut following = Http::connect(self.internal);
        following.send(&self.get_request(&format!("/live/tail?topic={topic}")));
        while !following.answers_within(Duration::from_millis(20)) {
            worker.publish(topic, r#""does anybody follow?""#);
        }
        // What was published meanwhile may be in the next answer; nothing is published after it.
        let mut next = following.answer().json()["next"].as_u64().unwrap();
        worker.publish(topic, r#""the beginning""#);
        loop {
            let events = self.tail(topic, next);
            next = events["next"].as_u64().unwrap();
            let last = events["events"].as_array().unwrap().last().unwrap()["payload"].clone();
            if last == r#""the beginning""# {
                return next;
            }
        }
    }

    /// The events of `topic` above `after`, as soon as there are some, and what to ask for next.
    pub fn tail(&self, topic: &str, after: u64) -> Value {
        self.json(&format!("/live/tail?topic={topic}&after={after}"))
    }
}
