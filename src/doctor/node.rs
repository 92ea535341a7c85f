//! The worker's internal port, called as PHP calls it: a connection for each call, 500 ms to
//! connect, 1 s in all.
//!
//! Start reading at [`Node::call`].

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::finding::{Finding, Step};
use super::http::{self, Unheard};
use super::upgrade::Heard;
use crate::client::address::{Address, CONNECT_TIMEOUT, ConnectError};
use crate::client::tls::{self, Stream};
use crate::protocol::json;
use crate::secret::Secret;

/// Time that PHP gives a whole call.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(1);

/// Where PHP calls, and what it shows.
#[derive(Debug, Clone)]
pub struct Node {
    /// The internal port.
    pub address: Address,
    /// The secret.
    pub secret: Secret,
}

/// A call that was answered.
#[derive(Debug)]
pub struct Called {
    /// Time until it was connected.
    pub connected: Duration,
    /// Time until it was answered.
    pub whole: Duration,
    /// The answer.
    pub heard: Heard,
}

/// A call that was not.
#[derive(Debug, thiserror::Error)]
pub enum NoCall {
    /// Nobody is there.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Nothing came back.
    #[error(transparent)]
    Unheard(#[from] Unheard),
}

impl Node {
    /// One call: `POST` with a body, `GET` without.
    ///
    /// # Errors
    ///
    /// [`NoCall`], within the time that PHP has.
    pub async fn call(&self, path: &str, body: Option<String>) -> Result<Called, NoCall> {
        let begin = Instant::now();
        let host = self.address.to_string();
        let mut request = match body {
            Some(body) => http::post(&host, path, body),
            None => http::get(&host, path),
        };
        http::show(&mut request, &self.secret)?;
        let stream = self.address.connect(CONNECT_TIMEOUT).await?;
        let connected = begin.elapsed();
        let stream = match self.address.is_tls() {
            false => Stream::Plain(stream),
            true => {
                let greeting = tls::greet(stream, self.address.host());
                let left = CALL_TIMEOUT.saturating_sub(connected);
                let greeted = timeout(left, greeting).await;
                let greeted = greeted.map_err(|_| Unheard::Silent(CALL_TIMEOUT))?;
                greeted.map_err(|error| ConnectError::Tls(self.address.clone(), error))?
            }
        };
        let left = CALL_TIMEOUT.saturating_sub(begin.elapsed());
        let (heard, _) = http::ask(stream, request, left).await.map_err(|error| match error {
            Unheard::Silent(_) => Unheard::Silent(CALL_TIMEOUT),
            error => error,
        })?;
        Ok(Called { connected, whole: begin.elapsed(), heard })
    }

    /// Registers `topic`, for browsers with a token alone.
    ///
    /// # Errors
    ///
    /// As [`Node::call`].
    pub async fn register(&self, topic: &str) -> Result<Called, NoCall> {
        let body = format!("{},\"meta\":{{\"require_token\":true}}}}", naming(topic));
        self.call("/internal/register", Some(body)).await
    }

    /// Takes `topic` away again.
    pub async fn unregister(&self, topic: &str) {
        // It would be gone by itself when its time is over.
        let _ = self.call("/internal/unregister", Some(naming(topic) + "}")).await;
    }

    /// Publishes the number `number` to `topic`.
    ///
    /// # Errors
    ///
    /// As [`Node::call`].
    pub async fn publish(&self, topic: &str, number: usize) -> Result<Called, NoCall> {
        let body = format!("{},\"payload\":{{\"doctor\":{number}}}}}", naming(topic));
        self.call("/internal/publish", Some(body)).await
    }
}

/// The beginning of a body that names `topic`.
fn naming(topic: &str) -> String {
    let mut body = String::from("{\"topic\":");
    json::write_string(topic, &mut body);
    body
}

/// What a call of PHP's to `node` says about it; `secret_is` says where the secret is from.
pub fn judge(step: Step, node: &Node, called: &Result<Called, NoCall>, secret_is: &str) -> Finding {
    /// Of a second: a visitor waits for it.
    const SLOW: Duration = Duration::from_millis(250);

    let address = &node.address;
    let failed = |found: String| {
        Finding::failed(step, found).expected("an answer within 1 s, connected within 500 ms")
    };
    let called = match called {
        Ok(called) => called,
        Err(NoCall::Connect(ConnectError::Refused(_))) => {
            return failed(format!("nothing listens at {address}"))
                .change("start the worker: systemctl start wavelog_worker")
                .change("if it ends again, its log says why: journalctl -u wavelog_worker -n 20")
                .change("if it runs, compare internal_bind and internal_port in its config.yaml with this address");
        }
        Err(NoCall::Connect(error @ ConnectError::Silent(_))) => {
            return failed(format!("{error} within 500 ms")).change(format!(
                "let the firewall pass port {} from PHP's machine, or correct the address",
                address.port()
            ));
        }
        Err(NoCall::Connect(error)) => {
            return failed(error.to_string())
                .change("correct the address: it is that of internal_bind and internal_port");
        }
        Err(NoCall::Unheard(error @ Unheard::Silent(_))) => {
            return failed(format!("{address} is connected and gives {error}"))
                .change("see what keeps the worker, or whoever has this port, from answering: its log, and top");
        }
        Err(NoCall::Unheard(Unheard::Secret)) => {
            return failed("the secret has characters that HTTP cannot carry".to_owned())
                .change("make another with: openssl rand -hex 32");
        }
        Err(NoCall::Unheard(error)) => {
            return failed(format!("{address} gives {error}"))
                .change("is it the internal port of a worker? It is internal_port in config.yaml");
        }
    };
    let Called { connected, whole, heard } = called;
    let times = format!("{} to connect, {} in all", shown(*connected), shown(*whole));
    match heard.status {
        200 if *whole > SLOW => {
            Finding::warning(step, format!("{address} answers, but slowly: {times}"))
                .expected(
                    "a few milliseconds: a visitor waits for each call, PHP gives up after 1 s",
                )
                .change("see what keeps the machine busy, or how far PHP is from the worker")
        }
        200 => Finding::ok(step, format!("{address} takes the secret; {times}")),
        403 => Finding::failed(
            step,
            format!("the worker at {address} has another secret than {secret_is}"),
        )
        .expected(
            "the same secret in the worker's config.yaml and in PHP's worker.php, to the letter",
        )
        .change("write the same worker_secret into both, then: systemctl restart wavelog_worker")
        .change("WORKER_SECRET in the worker's environment goes over its file: look there, too"),
        404 => Finding::failed(
            step,
            format!("{address} answers {}: it is not the internal port of a worker", heard.brief()),
        )
        .expected("internal_port; browsers' port is another one")
        .change(
            "write internal_port of config.yaml into the address (9001, unless it was changed)",
        ),
        _ => Finding::failed(step, format!("{address} answers {}", heard.brief()))
            .expected("200 from a worker")
            .change("see whether another program has this port: ss -ltnp; and the worker's log"),
    }
}

/// A time for a person.
pub fn shown(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    match ms {
        ..10.0 => format!("{ms:.1} ms"),
        ..10_000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.0} s", ms / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_with_as_many_digits_as_matter() {
        let of = |us| shown(Duration::from_micros(us));

        assert_eq!(
            [of(840), of(12_300), of(1_500_000), of(65_000_000)],
            ["0.8 ms", "12 ms", "1500 ms", "65 s"]
        );
    }
}
