//! What a socket has to say to get in: the upgrade, and the auth frame.
//!
//! Made once for each topic. Knows the protocol of a worker and of a floor, which has no auth
//! step: there the answer to the upgrade is all.

use std::net::SocketAddr;

use super::frames;
use crate::bench::target::{Kind, Target};
use crate::bench::topics::Topics;
use crate::clock::unix_now;
use crate::protocol::message;
use crate::token::{self, Claims, Grant};

/// The key of RFC 6455 section 1.3, and what it is answered with. One for all: it is there
/// against caches, of which there are none here.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// How long a token is good; no run takes as long.
const TOKEN_SECONDS: i64 = 24 * 3600;

/// The way in to one topic.
#[derive(Debug)]
pub struct Door {
    /// The request for an upgrade.
    pub upgrade: Vec<u8>,
    /// The auth frame; `None` where nobody asks for one.
    pub auth: Option<Vec<u8>>,
}

impl Door {
    /// The doors of all topics at `target`, in their order.
    pub fn all(target: &Target, topics: &Topics) -> Vec<Self> {
        (0..topics.count()).map(|number| Self::to(target, topics.name(number))).collect()
    }

    fn to(target: &Target, topic: String) -> Self {
        let upgrade = upgrade(target.ws, &topic);
        let auth = (target.kind == Kind::Worker).then(|| {
            let expires = unix_now().saturating_add(TOKEN_SECONDS);
            let claims = Claims { user_id: 1, grant: Grant::Topic(topic), expires };
            let token = token::mint(&claims, &target.secret);
            frames::text(format!(r#"{{"type":"auth","token":"{token}"}}"#).as_bytes())
        });
        Self { upgrade, auth }
    }

    /// How many bytes the head of an answer to the upgrade has, if it lets us in; `None`: it is
    /// not all there yet.
    ///
    /// # Errors
    ///
    /// What it says instead, in a few words.
    pub fn answered(&self, input: &[u8]) -> Result<Option<usize>, String> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut answer = httparse::Response::new(&mut headers);
        let head = match answer.parse(input) {
            Ok(httparse::Status::Complete(head)) => head,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err("the upgrade is answered with something that is not HTTP".into()),
        };
        match answer.code {
            Some(101) => {}
            code => {
                return Err(format!("the upgrade is answered with {}", code.unwrap_or_default()));
            }
        }
        let accept = answer.headers.iter().find(|header| {
            header.name.eq_ignore_ascii_case("sec-websocket-accept") && header.value == ACCEPT
        });
        // The floor is spared the arithmetic.
        if self.auth.is_some() && accept.is_none() {
            return Err("the upgrade is answered with a wrong Sec-WebSocket-Accept".into());
        }
        Ok(Some(head))
    }
}

/// Whether `message` lets a socket in.
pub fn is_auth_ok(message: &[u8]) -> bool {
    message == message::AUTH_OK.as_bytes()
}

fn upgrade(address: SocketAddr, topic: &str) -> Vec<u8> {
    format!(
        "GET /ws?topic={topic} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker() -> Door {
        Door { upgrade: vec![], auth: Some(vec![]) }
    }

    const GOOD: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
                        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    #[test]
    fn a_good_answer_is_taken_when_it_is_whole() {
        let with_more = [GOOD, "\u{81}"].concat();

        assert_eq!(worker().answered(with_more.as_bytes()), Ok(Some(GOOD.len())));
        for end in 0..GOOD.len() {
            assert_eq!(worker().answered(&GOOD.as_bytes()[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn another_answer_is_told() {
        let floor = Door { upgrade: vec![], auth: None };
        let other_key = GOOD.replace("s3p", "S3p");

        let refused = worker().answered(b"HTTP/1.1 404 Not Found\r\n\r\n").unwrap_err();
        assert_eq!(refused, "the upgrade is answered with 404");
        assert!(worker().answered(b"hello\r\n\r\n").unwrap_err().contains("not HTTP"));
        assert!(worker().answered(other_key.as_bytes()).unwrap_err().contains("Accept"));
        assert!(floor.answered(other_key.as_bytes()).is_ok());
    }
}
