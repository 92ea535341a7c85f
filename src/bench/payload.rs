//! What the bench publishes: a JSON string that says who sent it, as which, and when, and of which
//! every other byte follows from that, so that any alteration shows.
//!
//! `"` topic (8), connection (4), sequence (12), planned moment (16), check (8), filler `"`, the
//! numbers in lower-case hex. Letters and digits only, which no JSON encoder escapes. Start
//! reading at [`write()`] and [`read`]; what stands around a payload is [`envelope`](super::envelope)'s.

/// Fewest bytes of a payload, quotes included.
pub const LEAST_BYTES: usize = 64;

/// What a payload says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the topic.
    pub topic: u32,
    /// Number of the publisher's connection.
    pub connection: u16,
    /// Which publish of this connection to this topic, from 0; below 2^48.
    pub sequence: u64,
    /// When it was to be published, on the clock of [`moment`](super::moment).
    pub planned_ns: u64,
}

/// Why a payload is not what was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Altered {
    /// Its numbers are good, but the rest is not.
    Filler(Stamp),
    /// Not even its numbers can be read.
    Numbers,
}

/// Bytes of the numbers and the check.
const HEAD: usize = 48;

/// Where filler is cut from. A prime, so that no length of a buffer on the way divides it.
static FILLER: [u8; 8191] = filler();

const fn filler() -> [u8; 8191] {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut table = [0; 8191];
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut at = 0;
    while at < table.len() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        table[at] = LETTERS[((state >> 33) % 62) as usize];
        at += 1;
    }
    table
}

impl Stamp {
    /// A number in which every bit depends on every bit of the stamp.
    fn mixed(&self) -> u64 {
        let who = u64::from(self.topic) << 16 | u64::from(self.connection);
        let mut mixed = who.wrapping_mul(0xA24B_AED4_963E_E407);
        for part in [self.sequence, self.planned_ns] {
            mixed = (mixed ^ part).wrapping_mul(0x9FB2_1C65_1E98_DF25);
            mixed ^= mixed >> 29;
        }
        mixed = mixed.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^ mixed >> 32
    }

    fn check(&self) -> u64 {
        self.mixed() & 0xFFFF_FFFF
    }

    fn filler_start(&self) -> usize {
        (self.mixed() >> 32) as usize % FILLER.len()
    }
}

/// Writes the payload of `stamp` over `payload`, which has [`LEAST_BYTES`] or more.
pub fn write(payload: &mut [u8], stamp: &Stamp) {
    let [first, inner @ .., last] = payload else {
        return;
    };
    (*first, *last) = (b'"', b'"');
    let (head, filler) = inner.split_at_mut(HEAD);
    put_hex(&mut head[..8], u64::from(stamp.topic));
    put_hex(&mut head[8..12], u64::from(stamp.connection));
    put_hex(&mut head[12..24], stamp.sequence);
    put_hex(&mut head[24..40], stamp.planned_ns);
    put_hex(&mut head[40..], stamp.check());
    let mut start = stamp.filler_start();
    let mut rest = filler;
    while !rest.is_empty() {
        let (piece, more) = rest.split_at_mut(rest.len().min(FILLER.len() - start));
        piece.copy_from_slice(&FILLER[start..start + piece.len()]);
        (rest, start) = (more, 0);
    }
}

/// Reads a payload that was published with `bytes` bytes, and compares every one of them.
///
/// # Errors
///
/// [`Altered`], if a single bit differs from what [`write()`] wrote.
pub fn read(payload: &[u8], bytes: usize) -> Result<Stamp, Altered> {
    let [b'"', inner @ ..] = payload else {
        return Err(Altered::Numbers);
    };
    let Some((head, filler)) = inner.split_at_checked(HEAD) else {
        return Err(Altered::Numbers);
    };
    let stamp = read_head(head).ok_or(Altered::Numbers)?;
    let whole = payload.len() == bytes && filler.last() == Some(&b'"');
    if whole && is_filler(&filler[..filler.len() - 1], stamp.filler_start()) {
        Ok(stamp)
    } else {
        Err(Altered::Filler(stamp))
    }
}

fn read_head(head: &[u8]) -> Option<Stamp> {
    let stamp = Stamp {
        topic: u32::try_from(hex(&head[..8])?).ok()?,
        connection: u16::try_from(hex(&head[8..12])?).ok()?,
        sequence: hex(&head[12..24])?,
        planned_ns: hex(&head[24..40])?,
    };
    (hex(&head[40..])? == stamp.check()).then_some(stamp)
}

fn is_filler(filler: &[u8], mut start: usize) -> bool {
    let mut rest = filler;
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(rest.len().min(FILLER.len() - start));
        if piece != &FILLER[start..start + piece.len()] {
            return false;
        }
        (rest, start) = (more, 0);
    }
    true
}

fn put_hex(digits: &mut [u8], mut value: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

/// What a letter is worth as a hex digit; 16 or more if it is none. Without a branch.
static DIGITS: [u8; 256] = {
    let mut digits = [0xFF; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

fn hex(digits: &[u8]) -> Option<u64> {
    let (mut value, mut all) = (0, 0);
    for digit in digits {
        let digit = DIGITS[usize::from(*digit)];
        all |= digit;
        value = value << 4 | u64::from(digit);
    }
    (all < 16).then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payload(bytes: usize, stamp: &Stamp) -> Vec<u8> {
        let mut payload = vec![0; bytes];
        write(&mut payload, stamp);
        payload
    }

    #[test]
    fn a_payload_is_a_json_string_that_no_encoder_changes() {
        let stamp = Stamp { topic: 7, connection: 3, sequence: 12, planned_ns: 99 };
        let payload = payload(100, &stamp);

        let text: String = serde_json::from_slice(&payload).unwrap();

        assert!(text.starts_with("00000007000300000000000c0000000000000063"), "{text}");
        assert!(text.bytes().all(|letter| letter.is_ascii_alphanumeric()), "{text}");
        assert_eq!(serde_json::to_vec(&text).unwrap(), payload);
    }

    #[test]
    fn what_is_no_payload_is_altered() {
        for text in ["", "\"", "\"\"", "null", "x", &"\"".repeat(100), &"0".repeat(100)] {
            assert_eq!(read(text.as_bytes(), 100), Err(Altered::Numbers), "{text}");
        }
    }

    #[test]
    fn a_payload_that_is_cut_or_longer_is_altered() {
        let stamp = Stamp { topic: 1, connection: 0, sequence: 5, planned_ns: 6 };
        let payload = payload(100, &stamp);
        let longer = [&payload[..], b"\""].concat();

        assert_eq!(read(&payload[..99], 100), Err(Altered::Filler(stamp)));
        assert_eq!(read(&payload[..64], 100), Err(Altered::Filler(stamp)));
        assert_eq!(read(&payload[..40], 100), Err(Altered::Numbers));
        assert_eq!(read(&longer, 100), Err(Altered::Filler(stamp)));
    }

    fn stamps() -> impl Strategy<Value = Stamp> {
        (any::<u32>(), any::<u16>(), 0..1_u64 << 48, any::<u64>()).prop_map(
            |(topic, connection, sequence, planned_ns)| Stamp {
                topic,
                connection,
                sequence,
                planned_ns,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(stamp in stamps(), bytes in LEAST_BYTES..20_000) {
            prop_assert_eq!(read(&payload(bytes, &stamp), bytes), Ok(stamp));
        }

        #[test]
        fn a_single_bit_that_differs_is_seen(
            stamp in stamps(), bytes in LEAST_BYTES..300, at in any::<prop::sample::Index>(), bit in 0..8_u32
        ) {
            let mut payload = payload(bytes, &stamp);
            payload[at.index(bytes)] ^= 1_u8 << bit;

            prop_assert!(read(&payload, bytes).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(input in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&input, 100);
        }
    }
}
