//! `/client.js`: the browser client, which the build has put into this program (`build/`).
//!
//! So a site needs no build step for it, and what it loads is always the client that goes with its
//! worker. The answer is pure; `handshake` sends it (docs/protocol.md, "Client script").

use std::io::{self, IoSlice, Write};

use super::request;
use crate::protocol::query;
use crate::status::VERSION;

/// Where it is served.
pub(super) const PATH: &str = "/client.js";

const PLAIN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/client.js"));
const GZIP: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/client.js.gz"));

/// Tells this content from any other.
const HASH: &str = include_str!(concat!(env!("OUT_DIR"), "/client.js.hash"));

/// A request for the script, by a method that is fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    takes_gzip: bool,
    /// Whether whoever asks has this very content.
    has_it: bool,
    cache: Cache,
}

/// How long the answer may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cache {
    /// No version was named: an hour.
    Hour,
    /// Our version was named, whose script never changes.
    ForEver,
    /// Another version was named. While a cluster is being upgraded, the node that has it may be
    /// the next to be asked: caches must not keep our script as that version's.
    No,
}

/// The answer on its way.
#[derive(Debug)]
pub(super) struct Answer {
    head: Vec<u8>,
    body: &'static [u8],
    /// Bytes of both that were sent.
    sent: usize,
}

impl Asked {
    /// Reads what is asked for: the query, and the values of the headers that matter.
    pub(super) fn read<'a>(
        query: &str,
        accept_encoding: impl Iterator<Item = &'a [u8]>,
        if_none_match: impl Iterator<Item = &'a [u8]>,
    ) -> Self {
        let takes_gzip = takes_gzip(accept_encoding);
        let own = tag(takes_gzip);
        let is_own = |tag: &[u8]| {
            let tag = tag.trim_ascii();
            // Compared weakly, as RFC 9110 section 13.1.2 has it.
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == own.as_bytes()
        };
        let cache = match query::first(query, "v") {
            None => Cache::Hour,
            Some(version) if version == VERSION.as_bytes() => Cache::ForEver,
            Some(_) => Cache::No,
        };
        let has_it = items(if_none_match).any(is_own);
        Self { takes_gzip, has_it, cache }
    }

    /// The whole answer.
    pub(super) fn answer(self, keep_alive: bool, without_body: bool) -> Answer {
        let cache = match self.cache {
            Cache::Hour => "public, max-age=3600",
            Cache::ForEver => "public, max-age=31536000, immutable",
            Cache::No => "no-cache",
        };
        let body = if self.takes_gzip { GZIP } else { PLAIN };
        let (status, about_body, body) = if self.has_it {
            ("304 Not Modified", String::new(), &[][..])
        } else {
            let encoding = if self.takes_gzip { "Content-Encoding: gzip\r\n" } else { "" };
            let about = format!(
                "Content-Type: text/javascript; charset=utf-8\r\n{encoding}Content-Length: {}\r\n",
                body.len()
            );
            ("200 OK", about, if without_body { &[][..] } else { body })
        };
        let connection = if keep_alive { "" } else { "Connection: close\r\n" };
        let head = format!(
            "HTTP/1.1 {status}\r\n{about_body}ETag: {}\r\nCache-Control: {cache}\r\n\
             Vary: Accept-Encoding\r\nAccess-Control-Allow-Origin: *\r\n\
             Cross-Origin-Resource-Policy: cross-origin\r\nX-Content-Type-Options: nosniff\r\n\
             Date: {}\r\n{connection}\r\n",
            tag(self.takes_gzip),
            request::date(),
        );
        Answer { head: head.into_bytes(), body, sent: 0 }
    }
}

impl Answer {
    /// Sends what is left; whether that was all. If not, there has to be room first.
    pub(super) fn send(&mut self, stream: &mut impl Write) -> io::Result<bool> {
        loop {
            let head = self.head.get(self.sent..).unwrap_or_default();
            let body = &self.body[self.sent.saturating_sub(self.head.len())..];
            if head.is_empty() && body.is_empty() {
                return Ok(true);
            }
            match stream.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The `ETag`: plain and packed are two representations, and so have two.
fn tag(is_gzip: bool) -> String {
    if is_gzip { format!("\"{HASH}-gzip\"") } else { format!("\"{HASH}\"") }
}

/// The items of comma-separated header values.
fn items<'a>(values: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a [u8]> {
    values.flat_map(|value| value.split(|byte| *byte == b','))
}

/// Whether `Accept-Encoding` takes gzip (RFC 9110 section 12.5.3).
fn takes_gzip<'a>(values: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut others = false;
    for item in items(values) {
        let mut parts = item.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let coding = parts.next().unwrap_or_default();
        let wanted = parts.all(|parameter| {
            let quality = parameter.strip_prefix(b"q=").or(parameter.strip_prefix(b"Q="));
            quality.is_none_or(|q| q.iter().any(|digit| (b'1'..=b'9').contains(digit)))
        });
        if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") {
            return wanted;
        }
        others |= coding == b"*" && wanted;
    }
    others
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn asked(query: &str, accept_encoding: &str, if_none_match: &str) -> Asked {
        let header = |value: &str| value.as_bytes().to_vec();
        let (accept, none_match) = (header(accept_encoding), header(if_none_match));
        Asked::read(query, [&accept[..]].into_iter(), [&none_match[..]].into_iter())
    }

    #[test]
    fn gzip_is_sent_to_whoever_takes_it() {
        for accept in ["gzip", "gzip, deflate, br", "br;q=1, GZip;q=0.2", "x-gzip", "*", "*;q=0.1"]
        {
            assert!(asked("", accept, "").takes_gzip, "{accept}");
        }
        for accept in ["", "br", "identity", "gzip;q=0", "gzip;q=0.000, *", "*;q=0", "gzipped"] {
            assert!(!asked("", accept, "").takes_gzip, "{accept}");
        }
    }

    #[test]
    fn who_has_the_content_in_this_encoding_is_told_so() {
        let (plain, packed) = (tag(false), tag(true));

        for tags in [&plain, "*", &format!("\"x\" , W/{plain}"), &format!("{packed},{plain}")] {
            assert!(asked("", "", tags).has_it, "{tags}");
        }
        for tags in ["", "\"x\"", &packed, plain.trim_matches('"'), &format!("w/{plain}")] {
            assert!(!asked("", "", tags).has_it, "{tags}");
        }
        assert!(asked("", "gzip", &packed).has_it);
    }

    #[test]
    fn only_our_own_version_is_kept_for_ever() {
        let cache = |query: &str| asked(query, "", "").cache;

        assert_eq!(cache(""), Cache::Hour);
        assert_eq!(cache("x=1"), Cache::Hour);
        assert_eq!(cache(&format!("v={VERSION}")), Cache::ForEver);
        for query in ["v=", "v", "v=0.0.0", &format!("v={VERSION}0"), &format!("v=1&v={VERSION}")] {
            assert_eq!(cache(query), Cache::No, "{query}");
        }
    }

    proptest! {
        #[test]
        fn any_headers_and_any_query_are_read_without_a_panic(
            query in ".{0,60}",
            accept in vec(vec(any::<u8>(), 0..40), 0..4),
            tags in vec(vec(any::<u8>(), 0..40), 0..4),
        ) {
            let asked =
                Asked::read(&query, accept.iter().map(Vec::as_slice), tags.iter().map(Vec::as_slice));
            let head = asked.answer(true, true).head;
            prop_assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n") || asked.has_it);
        }
    }

    /// Takes `room` bytes, then has none.
    struct Narrow {
        taken: Vec<u8>,
        room: usize,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            self.taken.extend_from_slice(&bytes[..count]);
            self.room -= count;
            if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_answer_that_is_taken_in_pieces_arrives_whole() {
        let mut answer = asked("", "", "").answer(true, false);
        let mut peer = Narrow { taken: Vec::new(), room: 0 };

        while !answer.send(&mut peer).unwrap() {
            peer.room = 100;
        }

        assert_eq!(peer.taken, [&answer.head[..], PLAIN].concat());
    }
}
