//! WebSocket frames as a server sends them (RFC 6455 section 5): not masked, one after the other.
//!
//! Reads from a slice and copies nothing. `protocol::frame` reads what browsers send, which are
//! masked and small; this is the other direction, for a client of many sockets. And the few
//! frames that such a client sends itself.

/// A frame, whole.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A text message in one frame.
    Text(&'a [u8]),
    /// A ping, to be answered with the same bytes.
    Ping(&'a [u8]),
    /// The answer to a ping of ours.
    Pong(&'a [u8]),
    /// The end, with its code if it has one.
    Close(Option<u16>),
}

/// What stands at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A frame, and how many bytes it takes.
    Frame(Frame<'a>, usize),
    /// A part of a frame, or nothing.
    Incomplete,
    /// Nothing that a worker may send; where the next frame begins is not known.
    Broken,
}

/// The longest frame that is waited for. A push has at most 1 MiB and its envelope.
const MOST_BYTES: u64 = 2 << 20;

/// What stands at the start of `input`.
pub fn next(input: &[u8]) -> Next<'_> {
    let &[first, second, ..] = input else {
        return Next::Incomplete;
    };
    let (head, length) = match second {
        0..=125 => (2, u64::from(second)),
        126 => match input.get(2..4) {
            Some(bytes) => (4, big_endian(bytes)),
            None => return Next::Incomplete,
        },
        127 => match input.get(2..10) {
            Some(bytes) => (10, big_endian(bytes)),
            None => return Next::Incomplete,
        },
        // Masked.
        _ => return Next::Broken,
    };
    // Final, and none of the reserved bits.
    let is_control = matches!(first, 0x88..=0x8A);
    if !(first == 0x81 || is_control && second <= 125) || length > MOST_BYTES {
        return Next::Broken;
    }
    let end = head + length as usize;
    let Some(payload) = input.get(head..end) else {
        return Next::Incomplete;
    };
    let frame = match (first, payload) {
        (0x88, [high, low, ..]) => Frame::Close(Some(u16::from_be_bytes([*high, *low]))),
        (0x88, _) => Frame::Close(None),
        (0x89, _) => Frame::Ping(payload),
        (0x8A, _) => Frame::Pong(payload),
        _ => Frame::Text(payload),
    };
    Next::Frame(frame, end)
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// A text frame of ours; at most 65,535 bytes.
pub fn text(message: &[u8]) -> Vec<u8> {
    masked(0x81, message)
}

/// A ping of ours; at most 125 bytes.
pub fn ping(payload: &[u8]) -> Vec<u8> {
    masked(0x89, payload)
}

/// Our answer to a ping; at most 125 bytes.
pub fn pong(payload: &[u8]) -> Vec<u8> {
    masked(0x8A, payload)
}

/// The close frame of a browser whose page is left.
pub fn going_away() -> Vec<u8> {
    masked(0x88, &1001_u16.to_be_bytes())
}

/// Clients have to mask. The mask is there against proxies that a page could fool, of which there
/// are none here, so any will do.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
    let mut frame = Vec::with_capacity(8 + payload.len());
    frame.push(first);
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(long as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::close::CloseCode;
    use crate::protocol::frame::{self, Decoder, Incoming};

    #[test]
    fn what_the_worker_makes_is_read() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
            let message = "x".repeat(length);
            let frame = frame::text(&[&message]);

            assert_eq!(next(&frame), Next::Frame(Frame::Text(message.as_bytes()), frame.len()));
            assert_eq!(next(&frame[..frame.len() - 1]), Next::Incomplete);
        }
        assert_eq!(next(frame::PING), Next::Frame(Frame::Ping(b""), 2));
        assert_eq!(next(&frame::pong(b"abc")), Next::Frame(Frame::Pong(b"abc"), 5));
        let close = frame::close(CloseCode::Slow);
        assert_eq!(next(&close), Next::Frame(Frame::Close(Some(4008)), close.len()));
        assert_eq!(next(&[0x88, 0]), Next::Frame(Frame::Close(None), 2));
    }

    #[test]
    fn what_no_worker_sends_is_broken() {
        for bytes in [
            [0x82, 0, 0, 0],     // Binary.
            [0x01, 0, 0, 0],     // A first fragment.
            [0x80, 0, 0, 0],     // A continuation.
            [0xC1, 0, 0, 0],     // A reserved bit.
            [0x81, 0x80, 0, 0],  // Masked.
            [0x89, 126, 0, 126], // A long ping.
            *b"HTTP",
        ] {
            assert_eq!(next(&bytes), Next::Broken, "{bytes:?}");
        }
        assert_eq!(next(&[0x81, 127, 0xFF, 0, 0, 0, 0, 0, 0, 0]), Next::Broken);
    }

    #[test]
    fn the_worker_reads_what_is_made() {
        let mut heard = vec![];
        for mut frame in
            [text(&[b'x'; 300]), text(b"short"), ping(b"12345678"), pong(b""), going_away()]
        {
            let read = Decoder::default().feed(&mut frame, |incoming| {
                heard.push(match incoming {
                    Incoming::Message(message) => (message.len(), message.to_vec()),
                    Incoming::Ping(payload) => (9, payload.to_vec()),
                    Incoming::Pong => (10, vec![]),
                    Incoming::Close(code) => (8, code.code().unwrap().to_be_bytes().to_vec()),
                });
                frame::Flow::Continue(())
            });
            assert_eq!(read, Ok(()));
        }

        let expected = [(300, vec![b'x'; 300]), (5, b"short".to_vec()), (9, b"12345678".to_vec())];
        assert_eq!(heard[..3], expected);
        assert_eq!(heard[3..], [(10, vec![]), (8, vec![0x03, 0xE9])]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(input in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = next(&input);
        }
    }
}
