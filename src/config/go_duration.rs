//! Durations as Go writes them: `1h30m`, `1.5h`, `.5h`, `+2h`, `500ms`, `100µs`.
//!
//! Reads exactly what `time.ParseDuration` of Go reads, so that the configuration of the Go
//! worker goes on working; knows nothing of keys. Start reading at [`parse`].

use std::time::Duration;

/// Why a text is no duration of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GoDurationError {
    /// Empty, only a sign, or something else than a digit where a number must begin.
    #[error("not a number with a unit")]
    Malformed,
    /// A number is followed by nothing.
    #[error("a number without a unit")]
    MissingUnit,
    /// The unit is none of `ns`, `us`, `µs`, `ms`, `s`, `m`, `h`.
    #[error("an unknown unit; known are h, m, s, ms, us and ns")]
    UnknownUnit,
    /// Longer than Go's `int64` of nanoseconds, about 292 years.
    #[error("longer than 292 years")]
    TooLong,
    /// Below zero, which Go can express and [`Duration`] cannot.
    #[error("negative")]
    Negative,
}

/// 2^63: the magnitude Go's duration may not reach, except as a negative one.
const LIMIT: u64 = 1 << 63;

/// Returns the duration that `text` says. Zero (`0`, `0s`, `-0s`) is a duration.
///
/// Fractions are computed with Go's own arithmetic and are cut to whole nanoseconds as there.
///
/// # Errors
///
/// [`GoDurationError`] says what is wrong with `text`.
pub fn parse(text: &str) -> Result<Duration, GoDurationError> {
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    if unsigned.is_empty() {
        return Err(GoDurationError::Malformed);
    }

    let mut total = 0_u64;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let (nanos, after) = part(rest)?;
        // Neither addend is above 2^63, so the check comes before anything can overflow.
        total = total.checked_add(nanos).filter(|&sum| sum <= LIMIT).ok_or(TOO_LONG)?;
        rest = after;
    }
    match total {
        0 => Ok(Duration::ZERO),
        _ if negative => Err(GoDurationError::Negative),
        LIMIT => Err(TOO_LONG),
        nanos => Ok(Duration::from_nanos(nanos)),
    }
}

const TOO_LONG: GoDurationError = GoDurationError::TooLong;

/// Reads one number with its unit from the front; returns its nanoseconds and what follows.
fn part(text: &str) -> Result<(u64, &str), GoDurationError> {
    let (whole_digits, rest) = split_digits(text);
    let (fraction_digits, rest) = rest.strip_prefix('.').map_or(("", rest), split_digits);
    if whole_digits.is_empty() && fraction_digits.is_empty() {
        return Err(GoDurationError::Malformed);
    }
    let unit_end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let unit_nanos: u64 = match unit {
        "" => return Err(GoDurationError::MissingUnit),
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(GoDurationError::UnknownUnit),
    };
    let nanos = whole(whole_digits)?
        .checked_mul(unit_nanos)
        .and_then(|nanos| nanos.checked_add(fraction(fraction_digits, unit_nanos)))
        .filter(|&nanos| nanos <= LIMIT)
        .ok_or(TOO_LONG)?;
    Ok((nanos, rest))
}

/// Splits `text` behind its leading ASCII digits.
fn split_digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// The number that `digits` say; none is zero.
fn whole(digits: &str) -> Result<u64, GoDurationError> {
    digits.bytes().try_fold(0_u64, |number, digit| {
        number
            .checked_mul(10)
            .and_then(|number| number.checked_add(u64::from(digit - b'0')))
            .filter(|&number| number <= LIMIT)
            .ok_or(TOO_LONG)
    })
}

/// The nanoseconds of `0.digits` units, cut, in the floating-point steps of Go. Digits beyond
/// what 63 bits hold are dropped, as Go drops them.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "Go computes the same casts; the result lies between 0 and one unit"
)]
fn fraction(digits: &str, unit_nanos: u64) -> u64 {
    let mut number = 0_u64;
    let mut scale = 1_f64;
    for digit in digits.bytes() {
        if number > (LIMIT - 1) / 10 {
            break;
        }
        let longer = number * 10 + u64::from(digit - b'0');
        if longer > LIMIT {
            break;
        }
        number = longer;
        scale *= 10.0;
    }
    (number as f64 * (unit_nanos as f64 / scale)) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_go_accepts_is_read_as_go_reads_it() {
        let hour = 3_600_000_000_000;
        for (text, nanos) in [
            ("0", 0),
            ("-0", 0),
            ("+0", 0),
            ("0s", 0),
            ("-0s", 0),
            ("5s", 5_000_000_000),
            ("1478s", 1_478_000_000_000),
            ("+5s", 5_000_000_000),
            ("+2h", 2 * hour),
            ("24h", 24 * hour),
            ("1h30m", hour + hour / 2),
            ("90m", hour + hour / 2),
            ("1.5h", hour + hour / 2),
            (".5h", hour / 2),
            ("5.s", 5_000_000_000),
            ("1.h.5m", hour + 30_000_000_000),
            ("500ms", 500_000_000),
            ("100us", 100_000),
            ("100\u{b5}s", 100_000),
            ("100\u{3bc}s", 100_000),
            ("11ns", 11),
            ("39h9m14.425s", 140_954_425_000_000),
            ("5s1h", hour + 5_000_000_000),
            ("0.3333333333333333333h", 1_200_000_000_000),
            ("0.100000000000000000000h", 360_000_000_000),
            ("0.830103483285477580700h", 2_988_372_539_827),
            ("52763797000ns", 52_763_797_000),
            ("9007199254.740993ms", 9_007_199_254_740_993),
            ("9223372036854775807ns", 9_223_372_036_854_775_807),
            ("9223372036854775.807us", 9_223_372_036_854_775_807),
            ("9223372036s854ms775us807ns", 9_223_372_036_854_775_807),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        use GoDurationError::*;
        for (text, error) in [
            ("", Malformed),
            ("-", Malformed),
            ("+", Malformed),
            (".", Malformed),
            ("-.", Malformed),
            (".s", Malformed),
            ("+.s", Malformed),
            ("s", Malformed),
            ("abc", Malformed),
            (" 5s", Malformed),
            ("--5s", Malformed),
            ("24", MissingUnit),
            ("3000", MissingUnit),
            ("1h30", MissingUnit),
            ("1.5", MissingUnit),
            ("1d", UnknownUnit),
            ("5s ", UnknownUnit),
            ("1h 30m", UnknownUnit),
            ("1H", UnknownUnit),
            ("1e3s", UnknownUnit),
            ("1,5h", UnknownUnit),
            ("\u{661}h", Malformed),
            ("-1h", Negative),
            ("-1ns", Negative),
            ("9223372036854775808ns", TooLong),
            ("-9223372036854775808ns", Negative),
            ("-9223372036854775809ns", TooLong),
            ("9223372036854775809ns", TooLong),
            ("9223372036854775.808us", TooLong),
            ("9223372036s854ms775us808ns", TooLong),
            ("2562048h", TooLong),
            ("99999999999999999999s", TooLong),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_a_panic(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn texts_of_the_right_letters_never_exceed_the_limit(text in "[-+]?([0-9]{0,20}(\\.[0-9]{0,25})?(ns|us|ms|s|m|h)){1,4}") {
            if let Ok(duration) = parse(&text) {
                prop_assert!(duration.as_nanos() < u128::from(LIMIT));
            }
        }

        #[test]
        fn whole_units_add_up(h in 0_u64..1000, m in 0_u64..1000, s in 0_u64..1000, ms in 0_u64..1000) {
            let duration = parse(&format!("{h}h{m}m{s}s{ms}ms")).unwrap();

            prop_assert_eq!(duration, Duration::from_millis(((h * 60 + m) * 60 + s) * 1000 + ms));
        }
    }
}
