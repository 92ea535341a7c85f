//! What a browser does once it has a WebSocket: a token, pushes, silence.
//!
//! Start reading at [`Public::use_it`].

use jiff::Timestamp;
use tokio::time::Instant;

use super::Public;
use crate::doctor::finding::{Finding, Step};
use crate::doctor::node::{Node, shown};
use crate::doctor::proxy::Wrong;
use crate::doctor::push::{self, Delivery, Flight};
use crate::doctor::route::NoSocket;
use crate::doctor::socket::{PAGE_PATIENCE, Refused, Socket};
use crate::doctor::upgrade::Fault;
use crate::doctor::{Facts, Findings, idle};
use crate::token::{self, Grant};

impl Public {
    /// Token, pushes, silence.
    pub(super) async fn use_it(&mut self, facts: &Facts, findings: &mut Findings<'_>) {
        let (topic, token) = match (&self.token, &facts.node) {
            (Some(token), _) => match topic_of(token) {
                Ok(topic) => (topic, token.clone()),
                Err(finding) => {
                    findings.take(finding);
                    findings.leave_out(
                        &[Step::Push, Step::Buffering, Step::Idle],
                        "the token is no good",
                    );
                    return;
                }
            },
            (None, Some(node)) => (facts.topic.clone(), facts.token(&node.secret)),
            (None, None) => {
                let why = "no secret and no token: run it where the configuration is, or with --token-file";
                findings.leave_out(&[Step::Auth, Step::Push, Step::Buffering, Step::Idle], why);
                return;
            }
        };
        let Some(mut socket) = self.authenticate(&topic, &token, facts, findings).await else {
            findings.leave_out(&[Step::Push, Step::Buffering, Step::Idle], "no socket is let in");
            return;
        };
        match &facts.node {
            Some(node) if topic == facts.topic => {
                socket = self.push(socket, node, facts, findings).await;
            }
            _ => {
                let why = "to publish takes the secret and the internal port, and a topic of the doctor's own: leave --token-file away";
                findings.leave_out(&[Step::Push, Step::Buffering], why);
            }
        }
        self.hold(&mut socket, facts, findings).await;
        socket.close().await;
    }

    async fn authenticate(
        &self,
        topic: &str,
        token: &str,
        facts: &Facts,
        findings: &mut Findings<'_>,
    ) -> Option<Socket> {
        let step = Step::Auth;
        findings.begin(step);
        let begin = Instant::now();
        let raw = match self.route.upgrade(topic).await {
            Ok((raw, _)) => raw,
            Err(NoSocket::Answered(Fault::UnknownTopic, _)) => {
                findings.take(self.unknown_topic(facts));
                return None;
            }
            Err(NoSocket::Answered(fault, heard)) => {
                findings.take(self.judge(&fault, &heard, facts));
                return None;
            }
            Err(NoSocket::Unheard(why)) => {
                findings.take(Finding::failed(step, why).expected("a second WebSocket").change(
                    "run the doctor again; if it stays so, see the proxy's limits for one address",
                ));
                return None;
            }
        };
        let mut socket = Socket::over(raw).await;
        match socket.authenticate(token).await {
            Ok(()) => {
                let took = begin.elapsed();
                let found = format!("auth_ok {} after the page began to connect", shown(took));
                findings.take(match took <= PAGE_PATIENCE {
                    true => Finding::ok(step, found),
                    false => Finding::failed(step, found)
                        .expected("1.5 s at most: the application's page gives up then")
                        .change("see what is slow on the way: the name, TLS, or the proxy"),
                });
                Some(socket)
            }
            Err(Refused::Token) => {
                findings.take(self.refused_token(token, facts));
                None
            }
            Err(refused) => {
                let found = match refused {
                    Refused::Silent => "no answer to the token".to_owned(),
                    _ => "the socket ended instead of auth_ok".to_owned(),
                };
                findings.take(
                    Finding::failed(step, found)
                        .expected("auth_ok")
                        .changes(self.place(facts).lines(Wrong::Buffering)),
                );
                None
            }
        }
    }

    fn unknown_topic(&self, facts: &Facts) -> Finding {
        let finding = Finding::failed(
            Step::Auth,
            "404 \"topic not registered\": the worker behind this address does not know the topic",
        );
        match (&self.token, &facts.node) {
            (None, Some(node)) => finding
                .expected(format!("the worker that PHP calls at {}", node.address))
                .change("let PHP's address and the proxy lead to the same worker")
                .change(
                    "or make the workers a cluster: the same redis_url and redis_prefix in each",
                ),
            _ => finding
                .expected("the topic of the token: PHP registers it when its page is loaded")
                .change("load the page once, and run the doctor again"),
        }
    }

    fn refused_token(&self, token: &str, facts: &Facts) -> Finding {
        let finding = Finding::failed(Step::Auth, "the worker refuses the token (unauthorized)");
        let finding = finding.expected("auth_ok for a token that was just made with the secret");
        if self.token.is_some() {
            let late = token::peek(token)
                .ok()
                .map(|claims| Timestamp::now().as_second().saturating_sub(claims.expires));
            return match late {
                Some(late @ 1..) => Finding::failed(Step::Auth, format!("the token expired {late} s ago"))
                    .expected("one that is still good")
                    .change("take a fresh one from the page, or raise worker_token_expiration in worker.php"),
                _ => finding
                    .change("compare worker_secret in config.yaml and worker.php: tokens are signed with it")
                    .change("and the clocks of both machines"),
            };
        }
        if facts.direct_works {
            finding
                .change("the worker itself takes such a token, so another worker answers at this address: let the proxy lead to the one that PHP calls")
                .change("or give all workers the same worker_secret")
        } else {
            finding.change("compare the clocks (above): a token ends by the worker's clock").change(
                "let PHP's address and the proxy lead to the same worker, with one worker_secret",
            )
        }
    }

    /// Pushes over this way and, to compare, over the worker's own port.
    async fn push(
        &self,
        socket: Socket,
        node: &Node,
        facts: &Facts,
        findings: &mut Findings<'_>,
    ) -> Socket {
        findings.begin(Step::Push);
        let mut sockets = vec![socket];
        if let Some(route) = facts.direct.as_ref().filter(|_| facts.direct_works)
            && let Ok((raw, _)) = route.upgrade(&facts.topic).await
        {
            let mut direct = Socket::over(raw).await;
            if direct.authenticate(&facts.token(&node.secret)).await.is_ok() {
                sockets.push(direct);
            }
        }
        match push::send(node, &facts.topic, &mut sockets).await {
            Ok(flights) => self.judge_flights(&flights, facts, findings),
            Err(why) => {
                findings.take(
                    Finding::failed(Step::Push, why)
                        .expected("a publish that is taken")
                        .change("look at the worker's log"),
                );
                findings.take(Finding::left_out(Step::Buffering, "no push came"));
            }
        }
        let mut sockets = sockets.into_iter();
        let socket = sockets.next();
        for direct in sockets {
            direct.close().await;
        }
        // There is one: it was put in above, and none was taken out.
        #[expect(clippy::expect_used, reason = "the list begins with the socket")]
        socket.expect("the socket that was given")
    }

    fn judge_flights(&self, flights: &[Vec<Flight>], facts: &Facts, findings: &mut Findings<'_>) {
        let delivery = |at: usize| flights.get(at).map(|flights| push::judge(flights));
        let compared = match delivery(1) {
            Some(Delivery::Good { middle, .. }) => {
                format!(", {} to the worker's own port", shown(middle))
            }
            _ => String::new(),
        };
        let place = self.place(facts);
        let all = push::EVENTS;
        let (push, buffering) = match delivery(0).unwrap_or(Delivery::Missing { count: all }) {
            Delivery::Good { middle, longest } => (
                Finding::ok(Step::Push, format!("{all} of {all}, {} after PHP's call{compared}", shown(middle))),
                Finding::ok(Step::Buffering, format!("each push comes for itself, the slowest after {}", shown(longest))),
            ),
            Delivery::Late { longest } => (
                Finding::warning(Step::Push, format!("{all} of {all}, but up to {} late{compared}", shown(longest)))
                    .expected("less than a second")
                    .change("see what is slow between browser and worker: the network, the proxy, another proxy"),
                Finding::ok(Step::Buffering, "each push comes for itself"),
            ),
            Delivery::Bunched { together, longest } => (
                Finding::ok(Step::Push, format!("{all} of {all}{compared}")),
                Finding::failed(Step::Buffering, format!("{together} pushes came at once, up to {} late, though they were sent apart", shown(longest)))
                    .expected("each push for itself, at once")
                    .changes(place.lines(Wrong::Buffering)),
            ),
            Delivery::Missing { count } => (
                Finding::failed(Step::Push, format!("{count} of {all} pushes never came{compared}"))
                    .expected("all of them, within a second")
                    .changes(place.lines(Wrong::Buffering)),
                Finding::left_out(Step::Buffering, "not all pushes came"),
            ),
        };
        findings.take(push);
        findings.take(buffering);
    }

    async fn hold(&self, socket: &mut Socket, facts: &Facts, findings: &mut Findings<'_>) {
        let step = Step::Idle;
        let interval = facts.ping_interval;
        if self.quick {
            findings.take(Finding::left_out(
                step,
                "takes as long as two pings of the worker: leave --quick away",
            ));
            return;
        }
        if interval > idle::LONGEST_INTERVAL {
            findings.take(
                Finding::warning(step, format!("not held: ping_interval is {}", shown(interval)))
                    .expected("less than a minute: many proxies and routers cut what is silent for so long")
                    .change("ping_interval: \"30s\""),
            );
            return;
        }
        findings.begin(step);
        let held = idle::hold(socket, interval, findings).await;
        findings.take(idle::judge(held, interval, &self.place(facts)));
    }
}

/// The topic that `token` is for.
fn topic_of(token: &str) -> Result<String, Finding> {
    match token::peek(token) {
        Ok(claims) => Ok(match claims.grant {
            Grant::Topic(topic) => topic,
            Grant::Session(id) => format!("session.{id}"),
        }),
        Err(error) => Err(Finding::failed(Step::Auth, error.to_string())
            .expected("a token as PHP makes it")
            .change("see what it says: wavelog_worker token --decode < FILE")),
    }
}
