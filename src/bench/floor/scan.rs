//! What the floor reads: requests as the bench writes them, and nothing else.
//!
//! Pure. Start reading at [`request`] and [`upgrade`].

use memchr::{memchr, memchr_iter, memmem, memrchr};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// What was found at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scan<T> {
    /// Not all of it has come.
    Partial,
    /// Not what the bench writes.
    Strange,
    /// All of it.
    Whole(T),
}

/// A request to the internal port.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    /// How long it is, body included.
    pub(super) bytes: usize,
    /// What is to be published; without, it is a registration, of which the floor knows nothing.
    pub(super) publish: Option<Publish<'a>>,
}

/// What is to be published.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Publish<'a> {
    pub(super) topic: &'a [u8],
    pub(super) payload: &'a str,
}

/// A browser's request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Upgrade<'a> {
    pub(super) topic: &'a [u8],
    pub(super) key: &'a [u8],
}

/// Reads the request at the start of `bytes`. The body of a publish is
/// `{"topic":"T","payload":P}`, to the byte, and T has no escapes.
pub(super) fn request(bytes: &[u8]) -> Scan<Request<'_>> {
    let Some(head_bytes) = head_bytes(bytes) else {
        return Scan::Partial;
    };
    let (head, rest) = bytes.split_at(head_bytes);
    let length = last_header(head).or_else(|| header(head, b"content-length")).unwrap_or(b"0");
    let Some(length) = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok()) else {
        return Scan::Strange;
    };
    let Some(body) = rest.get(..length) else {
        return Scan::Partial;
    };
    let publish = if head.starts_with(b"POST /internal/publish ") {
        let Some(publish) = publish(body) else {
            return Scan::Strange;
        };
        Some(publish)
    } else {
        None
    };
    Scan::Whole(Request { bytes: head_bytes + length, publish })
}

fn publish(body: &[u8]) -> Option<Publish<'_>> {
    let rest = body.strip_prefix(b"{\"topic\":\"")?;
    let topic = rest.get(..memchr(b'"', rest)?)?;
    let payload = rest.get(topic.len()..)?.strip_prefix(b"\",\"payload\":")?.strip_suffix(b"}")?;
    Some(Publish { topic, payload: std::str::from_utf8(payload).ok()? })
}

/// Reads the request for a WebSocket that `bytes` are. What a browser sends behind it is ignored.
pub(super) fn upgrade(bytes: &[u8]) -> Scan<Upgrade<'_>> {
    let Some(head) = head_bytes(bytes).map(|end| &bytes[..end]) else {
        return Scan::Partial;
    };
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or(head);
    let topic = memmem::find(line, b"topic=").map(|at| &line[at + b"topic=".len()..]);
    match (topic, header(head, b"sec-websocket-key")) {
        (Some(topic), Some(key)) => {
            let end = topic.iter().position(|byte| b" &".contains(byte)).unwrap_or(topic.len());
            Scan::Whole(Upgrade { topic: &topic[..end], key })
        }
        _ => Scan::Strange,
    }
}

/// The answer that makes a connection a WebSocket, as a worker gives it.
pub(super) fn switching(key: &[u8]) -> Vec<u8> {
    let accept = derive_accept_key(key);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

/// Length of the head that `bytes` begin with, its empty line included.
fn head_bytes(bytes: &[u8]) -> Option<usize> {
    let mut lines = memchr_iter(b'\n', bytes).map(|at| at + 1);
    lines.find(|end| bytes[*end..].starts_with(b"\r\n")).map(|end| end + 2)
}

/// The length of the body where the bench says it: in the last header, in this very case.
fn last_header(head: &[u8]) -> Option<&[u8]> {
    let lines = head.strip_suffix(b"\r\n\r\n")?;
    lines[memrchr(b'\n', lines)? + 1..].strip_prefix(b"Content-Length: ")
}

/// The value of the header `name`, which is given in lower case, without white space around it.
fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|&byte| byte == b'\n').find_map(|line| {
        let (own, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        own.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PUBLISH: &str = "POST /internal/publish HTTP/1.1\r\nHost: h\r\nContent-Length: 33\r\n\r\n{\"topic\":\"a.1\",\"payload\":[1,\"}\"]}";

    #[test]
    fn a_publish_is_read_in_whole_only_and_what_follows_is_left() {
        let publish = Publish { topic: b"a.1", payload: "[1,\"}\"]" };
        let whole = Scan::Whole(Request { bytes: PUBLISH.len(), publish: Some(publish) });

        assert_eq!(request(PUBLISH.as_bytes()), whole);
        assert_eq!(request(format!("{PUBLISH}POST /").as_bytes()), whole);
        for end in 0..PUBLISH.len() {
            assert_eq!(request(&PUBLISH.as_bytes()[..end]), Scan::Partial, "{end}");
        }
    }

    #[test]
    fn everything_else_but_a_strange_publish_is_taken_for_a_registration() {
        let register =
            "POST /internal/register HTTP/1.1\r\ncontent-length:2\r\nX-Worker-Secret: s\r\n\r\n{}";

        let bytes = register.len();
        assert_eq!(request(register.as_bytes()), Scan::Whole(Request { bytes, publish: None }));
        for strange in [
            PUBLISH.replace("payload", "pavload"),
            PUBLISH.replace("Length: 33", "Length: many"),
            PUBLISH.replace("{\"topic\"", "[\"topic\""),
        ] {
            assert_eq!(request(strange.as_bytes()), Scan::Strange, "{strange}");
        }
    }

    #[test]
    fn an_upgrade_has_a_topic_and_a_key() {
        let head = "GET /ws?topic=a.1 HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let found = Scan::Whole(Upgrade { topic: b"a.1", key: b"dGhlIHNhbXBsZSBub25jZQ==" });

        assert_eq!(upgrade(head.as_bytes()), found);
        assert_eq!(upgrade(head.replace("a.1", "a.1&x=1").as_bytes()), found);
        assert_eq!(upgrade(&head.as_bytes()[..head.len() - 1]), Scan::Partial);
        assert_eq!(upgrade(head.replace("topic", "tropic").as_bytes()), Scan::Strange);
        assert_eq!(upgrade(head.replace("-Key", "-Kex").as_bytes()), Scan::Strange);
        let answer = String::from_utf8(switching(b"dGhlIHNhbXBsZSBub25jZQ==")).unwrap();
        assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = request(&bytes);
            let _ = upgrade(&bytes);
            let mut body = b"POST /internal/publish \r\n\r\n".to_vec();
            body.extend(&bytes);
            let _ = (request(&body), publish(&bytes), upgrade(&body));
        }
    }
}
