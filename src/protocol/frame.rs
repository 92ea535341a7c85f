//! WebSocket frames (RFC 6455 section 5): made for browsers, read from browsers.
//!
//! Frames to browsers are made once and shared, so making them is apart from sending them. Frames
//! from browsers are small (4 KiB) and rare, and most sockets have none under way: a [`Decoder`]
//! between two frames is one null pointer. A crate's codec would keep a read buffer per socket,
//! which is most of what an idle socket may cost.

use bytes::{BufMut, Bytes, BytesMut};

use super::close::{self, CloseCode};

/// Bytes that a browser's message may have, in one frame or in several.
pub const MAX_MESSAGE_BYTES: usize = 4096;

/// An empty ping.
pub const PING: &[u8] = &[0x89, 0];

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const RESERVED: u8 = 0x70;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING_CODE: u8 = 0x9;
const PONG: u8 = 0xA;

/// A text frame whose text is `parts`, one after the other.
pub fn text(parts: &[&str]) -> Bytes {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut frame = BytesMut::with_capacity(10 + length);
    put_header(&mut frame, TEXT, length);
    for part in parts {
        frame.put_slice(part.as_bytes());
    }
    frame.freeze()
}

/// The pong that answers a ping with the same bytes, at most 125.
pub fn pong(payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(2 + payload.len());
    put_header(&mut frame, PONG, payload.len());
    frame.put_slice(payload);
    frame.freeze()
}

/// A close frame.
pub fn close(code: CloseCode) -> Bytes {
    let reason = code.reason();
    let mut frame = BytesMut::with_capacity(4 + reason.len());
    match code.code() {
        Some(number) => {
            put_header(&mut frame, CLOSE, 2 + reason.len());
            frame.put_u16(number);
            frame.put_slice(reason.as_bytes());
        }
        None => put_header(&mut frame, CLOSE, 0),
    }
    frame.freeze()
}

fn put_header(out: &mut BytesMut, opcode: u8, length: usize) {
    out.put_u8(FINAL | opcode);
    match length {
        0..=125 => out.put_u8(length as u8),
        126..=0xFFFF => {
            out.put_u8(126);
            out.put_u16(length as u16);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(length as u64);
        }
    }
}

/// Where the frame ends that is under way after `written` bytes of `frames`, a row of whole
/// frames of ours. At a boundary nothing is under way: the answer is `written` itself.
pub fn end_of_frame_at(frames: &[u8], written: usize) -> usize {
    let mut end = 0;
    while end < written {
        let rest = &frames[end..];
        end += match rest[1] {
            126 => 4 + usize::from(u16::from_be_bytes([rest[2], rest[3]])),
            127 => {
                let mut length = [0; 8];
                length.copy_from_slice(&rest[2..10]);
                10 + u64::from_be_bytes(length) as usize
            }
            short => 2 + usize::from(short),
        };
    }
    end
}

/// What a browser sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A whole message, text or binary; text is UTF-8.
    Message(&'a [u8]),
    /// A ping, to be answered with the same bytes.
    Ping(&'a [u8]),
    /// A pong.
    Pong,
    /// A close frame; the code is the one to answer with.
    Close(CloseCode),
}

/// Whether to go on reading.
pub type Flow = std::ops::ControlFlow<()>;

/// How a browser broke the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Reserved bits, unknown opcodes, missing masks, bad control frames, bad close codes.
    #[error("frame breaks RFC 6455")]
    Protocol,
    /// A text message that is not UTF-8.
    #[error("text is not UTF-8")]
    InvalidText,
    /// A message over [`MAX_MESSAGE_BYTES`].
    #[error("message is over {MAX_MESSAGE_BYTES} bytes")]
    TooBig,
}

impl FrameError {
    /// The code to close with.
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::Protocol => CloseCode::Protocol,
            Self::InvalidText => CloseCode::InvalidText,
            Self::TooBig => CloseCode::TooBig,
        }
    }
}

/// Reads a browser's frames, however they are cut into pieces.
#[derive(Debug, Default)]
pub struct Decoder(Option<Box<Partial>>);

/// What is kept while a frame or a message is incomplete.
#[derive(Debug, Default)]
struct Partial {
    /// An incomplete frame, as it came.
    frame: Vec<u8>,
    /// The fragments of a message so far, unmasked.
    message: Option<Fragments>,
}

#[derive(Debug)]
struct Fragments {
    is_text: bool,
    bytes: Vec<u8>,
}

/// A frame's header, judged.
struct Header {
    is_final: bool,
    opcode: u8,
    /// Bytes of the header and of the payload.
    size: usize,
    payload: usize,
}

impl Decoder {
    /// Whether neither a frame nor a message is under way, so that nothing is kept.
    pub fn is_idle(&self) -> bool {
        self.0.is_none()
    }

    /// Reads `input` and hands everything that is complete to `handle`, in order, until that says
    /// stop. Unmasks in place. What is incomplete, or was not reached, is kept for the next call.
    ///
    /// # Errors
    ///
    /// [`FrameError`] at the first byte that shows it, a huge length before anything is set aside
    /// for it. The connection cannot go on.
    pub fn feed(
        &mut self,
        input: &mut [u8],
        handle: impl FnMut(Incoming<'_>) -> Flow,
    ) -> Result<(), FrameError> {
        match self.0.take() {
            None => self.read(input, None, handle),
            Some(mut partial) if partial.frame.is_empty() => {
                self.read(input, partial.message.take(), handle)
            }
            Some(mut partial) => {
                partial.frame.extend_from_slice(input);
                self.read(&mut partial.frame, partial.message.take(), handle)
            }
        }
    }

    fn read(
        &mut self,
        input: &mut [u8],
        mut message: Option<Fragments>,
        mut handle: impl FnMut(Incoming<'_>) -> Flow,
    ) -> Result<(), FrameError> {
        let mut at = 0;
        while let Some(header) = read_header(&input[at..], message.as_ref())? {
            let Some(frame) = input.get_mut(at..at + header.size) else {
                break;
            };
            at += header.size;
            let payload = unmask(frame, header.payload);
            let flow = match header.opcode {
                CLOSE => handle(Incoming::Close(read_close(payload)?)),
                PING_CODE => handle(Incoming::Ping(payload)),
                PONG => handle(Incoming::Pong),
                TEXT | BINARY if header.is_final => {
                    check_text(header.opcode == TEXT, payload)?;
                    handle(Incoming::Message(payload))
                }
                opcode => {
                    let fragments = message.get_or_insert_with(|| Fragments {
                        is_text: opcode == TEXT,
                        bytes: vec![],
                    });
                    fragments.bytes.extend_from_slice(payload);
                    match message.take_if(|_| header.is_final) {
                        Some(whole) => {
                            check_text(whole.is_text, &whole.bytes)?;
                            handle(Incoming::Message(&whole.bytes))
                        }
                        None => Flow::Continue(()),
                    }
                }
            };
            if flow.is_break() {
                break;
            }
        }
        if at < input.len() || message.is_some() {
            self.0 = Some(Box::new(Partial { frame: input[at..].to_vec(), message }));
        }
        Ok(())
    }
}

/// Judges the header at the start of `input`, as far as it has come; `None`: not all there yet.
fn read_header(input: &[u8], message: Option<&Fragments>) -> Result<Option<Header>, FrameError> {
    let &[first, second, ..] = input else {
        return Ok(None);
    };
    let (is_final, opcode) = (first & FINAL != 0, first & 0x0F);
    let short = second & !MASKED;
    let in_order = match opcode {
        TEXT | BINARY => message.is_none(),
        CONTINUATION => message.is_some(),
        CLOSE | PING_CODE | PONG => is_final && short <= 125,
        _ => false,
    };
    if !in_order || first & RESERVED != 0 || second & MASKED == 0 {
        return Err(FrameError::Protocol);
    }
    let (length_bytes, length) = match short {
        126 => {
            let Some(bytes) = input.get(2..4) else {
                return Ok(None);
            };
            (2, bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)))
        }
        127 => {
            let Some(bytes) = input.get(2..10) else {
                return Ok(None);
            };
            (8, bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)))
        }
        _ => (0, u64::from(short)),
    };
    if length > i64::MAX as u64 {
        return Err(FrameError::Protocol); // Section 5.2: the most significant bit must be 0.
    }
    let so_far = if opcode < CLOSE { message.map_or(0, |m| m.bytes.len()) } else { 0 };
    if length > (MAX_MESSAGE_BYTES - so_far) as u64 {
        return Err(FrameError::TooBig);
    }
    let payload = length as usize;
    Ok(Some(Header { is_final, opcode, size: 2 + length_bytes + 4 + payload, payload }))
}

/// Unmasks a whole frame's payload, the last `length` bytes, in place.
fn unmask(frame: &mut [u8], length: usize) -> &[u8] {
    let (header, payload) = frame.split_at_mut(frame.len() - length);
    let mask = &header[header.len() - 4..];
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    payload
}

fn check_text(is_text: bool, payload: &[u8]) -> Result<(), FrameError> {
    if is_text && std::str::from_utf8(payload).is_err() {
        return Err(FrameError::InvalidText);
    }
    Ok(())
}

fn read_close(payload: &[u8]) -> Result<CloseCode, FrameError> {
    match payload {
        [] => Ok(CloseCode::NoStatus),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if close::may_be_sent(code) && std::str::from_utf8(reason).is_ok() {
                Ok(CloseCode::Echo(code))
            } else {
                Err(FrameError::Protocol)
            }
        }
        [_] => Err(FrameError::Protocol),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A browser's frame: `first` is the byte with FIN, reserved bits and opcode.
    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = BytesMut::new();
        put_header(&mut frame, 0, payload.len());
        frame[0] = first;
        frame[1] |= MASKED;
        let mask = [0x11, 0xA2, 0x33, 0x44];
        frame.put_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        frame.to_vec()
    }

    /// Feeds `input` in pieces of `piece` bytes and writes down what comes out.
    fn decode(input: &[u8], piece: usize) -> (Vec<String>, Option<FrameError>, bool) {
        let (mut decoder, mut seen) = (Decoder::default(), Vec::new());
        for part in input.chunks(piece) {
            let result = decoder.feed(&mut part.to_vec(), |incoming| {
                seen.push(match incoming {
                    Incoming::Message(bytes) => format!("message {}", bytes.escape_ascii()),
                    Incoming::Ping(bytes) => format!("ping {}", bytes.escape_ascii()),
                    Incoming::Pong => "pong".into(),
                    Incoming::Close(code) => format!("close {:?}", code.code()),
                });
                Flow::Continue(())
            });
            if let Err(error) = result {
                return (seen, Some(error), decoder.is_idle());
            }
        }
        (seen, None, decoder.is_idle())
    }

    fn error_of(input: &[u8]) -> Option<FrameError> {
        decode(input, input.len().max(1)).1
    }

    #[test]
    fn frames_are_read_however_they_are_cut() {
        let mut input = masked(0x81, b"hello");
        input.extend(masked(0x01, b"in "));
        input.extend(masked(0x89, b"now"));
        input.extend(masked(0x00, b"three "));
        input.extend(masked(0x80, b"parts"));
        input.extend(masked(0x82, &[b'x'; 300]));
        input.extend(masked(0x88, &[0x0F, 0xA0, b'b', b'y', b'e']));

        let whole = decode(&input, input.len());

        assert_eq!(whole.0[..3], ["message hello", "ping now", "message in three parts"]);
        assert_eq!(whole.0[4], "close Some(4000)");
        assert_eq!((whole.1, whole.2), (None, true));
        for piece in 1..20 {
            assert_eq!(decode(&input, piece), whole, "pieces of {piece}");
        }
    }

    #[test]
    fn what_breaks_the_rfc_is_refused() {
        for (name, frame) in [
            ("reserved bit", masked(0xC1, b"x")),
            ("unknown data opcode", masked(0x83, b"x")),
            ("unknown control opcode", masked(0x8B, b"")),
            ("fragmented ping", masked(0x09, b"")),
            ("long ping", masked(0x89, &[0; 126])),
            ("continuation of nothing", masked(0x80, b"x")),
            ("new message inside another", [masked(0x01, b"x"), masked(0x81, b"y")].concat()),
            ("no mask", vec![0x81, 1, b'x']),
            ("close of one byte", masked(0x88, &[3])),
            ("close code 1005", masked(0x88, &[0x03, 0xED])),
            ("close reason not UTF-8", masked(0x88, &[0x03, 0xE8, 0xFF])),
            ("length with the top bit", vec![0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 1]),
        ] {
            assert_eq!(error_of(&frame), Some(FrameError::Protocol), "{name}");
        }
        assert_eq!(error_of(&masked(0x81, b"\xC3")), Some(FrameError::InvalidText));
        assert_eq!(error_of(&masked(0x82, b"\xC3")), None);
    }

    #[test]
    fn a_message_over_4096_bytes_is_refused_as_soon_as_its_length_is_known() {
        assert_eq!(error_of(&masked(0x82, &[0; 4096])), None);
        assert_eq!(error_of(&masked(0x82, &[0; 4097])), Some(FrameError::TooBig));
        assert_eq!(
            error_of(&[masked(0x02, &[0; 4000]), masked(0x80, &[0; 97])].concat()),
            Some(FrameError::TooBig)
        );
        let huge = [0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
        assert_eq!(error_of(&huge), Some(FrameError::TooBig));
    }

    #[test]
    fn a_utf8_letter_cut_by_a_fragment_is_fine() {
        let input = [masked(0x01, b"\xC3"), masked(0x80, b"\xA4")].concat();
        assert_eq!(decode(&input, 3).1, None);
    }

    #[test]
    fn reading_stops_when_told_and_goes_on_later() {
        let input = [masked(0x81, b"a"), masked(0x81, b"b")].concat();
        let mut decoder = Decoder::default();
        let mut seen = 0;
        let mut once = |_: Incoming<'_>| {
            seen += 1;
            Flow::Break(())
        };

        assert_eq!(decoder.feed(&mut input.clone(), &mut once), Ok(()));
        assert_eq!(decoder.feed(&mut [], &mut once), Ok(()));
        assert_eq!(seen, 2, "the second was kept");
        assert!(decoder.is_idle());
    }

    #[test]
    fn the_end_of_the_frame_under_way_is_found() {
        let long = "x".repeat(200);
        let frames = [text(&["ab"]), text(&[&long]), text(&[&"y".repeat(70_000)])].concat();

        assert_eq!(end_of_frame_at(&frames, 0), 0);
        assert_eq!(end_of_frame_at(&frames, 1), 4);
        assert_eq!(end_of_frame_at(&frames, 4), 4);
        assert_eq!(end_of_frame_at(&frames, 5), 208);
        assert_eq!(end_of_frame_at(&frames, 209), frames.len());
        assert_eq!(end_of_frame_at(&frames, frames.len()), frames.len());
    }

    #[test]
    fn close_frames_carry_code_and_reason() {
        assert_eq!(&close(CloseCode::GoingAway)[..4], [0x88, 15, 0x03, 0xE9]);
        assert_eq!(&close(CloseCode::NoStatus)[..], [0x88, 0]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(
            input in proptest::collection::vec(any::<u8>(), 0..400), piece in 1_usize..50
        ) {
            decode(&input, piece);
        }

        #[test]
        fn cutting_never_changes_what_is_read(
            payloads in proptest::collection::vec(
                (prop::sample::select(vec![0x81_u8, 0x82, 0x89, 0x8A]), "[a-z]{0,125}"), 1..6),
            piece in 1_usize..40
        ) {
            let input: Vec<u8> =
                payloads.iter().flat_map(|(first, text)| masked(*first, text.as_bytes())).collect();
            prop_assert_eq!(decode(&input, piece), decode(&input, input.len()));
        }
    }
}
