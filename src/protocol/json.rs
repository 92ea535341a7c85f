//! Reads JSON the way Go's decoder does, on which PHP applications have come to rely.
//!
//! Names match in any case, unknown ones are ignored, of equal ones the last counts, `null`
//! leaves a field as it is, nesting ends at 10,000 (docs/protocol.md, "Request JSON"). The grammar
//! is left to `serde_json`; this file adds only what differs. Start reading at [`read_object`].

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The deepest nesting of arrays and objects that is read; Go's own bound.
const MAX_DEPTH: usize = 10_000;

/// The text is not JSON, or a field has another type than it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed JSON")]
pub struct Malformed;

/// What may stand behind the JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Anything: the first value counts, as in a request body.
    Ignored,
    /// White space only, as in an auth frame or a token.
    Refused,
}

/// Hands every field of the object in `text` to `field`: its name and the text of its value.
///
/// `null` instead of an object is taken as an object without fields, as Go does; the answer says
/// which it was (`true`: an object). Values are handed over as they were written.
///
/// # Errors
///
/// [`Malformed`] if the text is not a JSON object or null, nests too deep, or `field` says so.
pub fn read_object<'a>(
    text: &'a str,
    rest: Rest,
    field: impl FnMut(&str, &'a str) -> Result<(), Malformed>,
) -> Result<bool, Malformed> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let was_object = reader.deserialize_any(Fields(field)).map_err(|_| Malformed)?;
    if rest == Rest::Refused {
        reader.end().map_err(|_| Malformed)?;
    }
    Ok(was_object)
}

/// Whether a field called `name` is the one we call `wanted` (lower case ASCII): in any case, and
/// with the two letters outside ASCII that Go folds to `k` and `s`.
pub fn is_named(name: &str, wanted: &str) -> bool {
    name.chars().map(fold).eq(wanted.chars())
}

fn fold(letter: char) -> char {
    match letter {
        '\u{212A}' => 'k',
        '\u{017F}' => 's',
        other => other.to_ascii_lowercase(),
    }
}

/// Reads the text of a JSON string; `None` for `null`. Lone surrogates become U+FFFD.
///
/// # Errors
///
/// [`Malformed`] if it is neither.
pub fn read_string(value: &str) -> Result<Option<Cow<'_, str>>, Malformed> {
    if value == "null" {
        return Ok(None);
    }
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).ok_or(Malformed)?;
    if !inner.contains('\\') {
        return Ok(Some(Cow::Borrowed(inner)));
    }
    let mut reader = serde_json::Deserializer::from_str(value);
    let bytes = reader.deserialize_byte_buf(StringBytes).map_err(|_| Malformed)?;
    Ok(Some(Cow::Owned(replace_surrogates(bytes)?)))
}

/// Reads a JSON literal `true` or `false`; `None` for `null`.
///
/// # Errors
///
/// [`Malformed`] if it is neither.
pub fn read_bool(value: &str) -> Result<Option<bool>, Malformed> {
    match value {
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        "null" => Ok(None),
        _ => Err(Malformed),
    }
}

/// Reads a JSON number that is an `i64` literal (`1.0` and `1e3` are not); `None` for `null`.
///
/// # Errors
///
/// [`Malformed`] if it is neither.
pub fn read_i64(value: &str) -> Result<Option<i64>, Malformed> {
    if value == "null" { Ok(None) } else { value.parse().map(Some).map_err(|_| Malformed) }
}

/// Appends `text` as a JSON string with its quotes.
pub fn write_string(text: &str, out: &mut String) {
    // A string has no map keys and no numbers, the two things that can fail to serialize.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// serde_json reads lone surrogates into bytes as if UTF-8 had a form for them (three bytes that
/// begin with ED and A0 to BF, which real UTF-8 never has). U+FFFD happens to have three, too.
fn replace_surrogates(mut bytes: Vec<u8>) -> Result<String, Malformed> {
    for at in 0..bytes.len().saturating_sub(2) {
        if bytes[at] == 0xED && bytes[at + 1] >= 0xA0 {
            bytes[at..at + 3].copy_from_slice("\u{FFFD}".as_bytes());
        }
    }
    String::from_utf8(bytes).map_err(|_| Malformed)
}

/// Whether arrays and objects in `value`, which is valid JSON, nest at most `limit` deep.
fn depth_within(value: &str, limit: usize) -> bool {
    if value.len() <= limit {
        return true; // Each level takes a byte.
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in value.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > limit {
                    return false;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

/// Walks the top level of a JSON value.
struct Fields<F>(F);

impl<'de, F> Visitor<'de> for Fields<F>
where
    F: FnMut(&str, &'de str) -> Result<(), Malformed>,
{
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or null")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<bool, A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            let value = map.next_value::<&'de RawValue>()?.get();
            if !depth_within(value, MAX_DEPTH - 1) {
                return Err(serde::de::Error::custom(Malformed));
            }
            (self.0)(&name, value).map_err(serde::de::Error::custom)?;
        }
        Ok(true)
    }
}

/// Reads a field's name; one with lone surrogates is fine, too.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Self::Value, D::Error> {
        name.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_bytes<E: serde::de::Error>(self, name: &'de [u8]) -> Result<Self::Value, E> {
        match std::str::from_utf8(name) {
            Ok(name) => Ok(Cow::Borrowed(name)),
            Err(_) => self.visit_bytes(name),
        }
    }

    fn visit_bytes<E: serde::de::Error>(self, name: &[u8]) -> Result<Self::Value, E> {
        replace_surrogates(name.to_vec()).map(Cow::Owned).map_err(E::custom)
    }
}

/// Reads a string's bytes, lone surrogates included.
struct StringBytes;

impl Visitor<'_> for StringBytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(text: &str, rest: Rest) -> Result<Vec<(String, String)>, Malformed> {
        let mut seen = Vec::new();
        read_object(text, rest, |name, value| {
            seen.push((name.to_owned(), value.to_owned()));
            Ok(())
        })?;
        Ok(seen)
    }

    #[test]
    fn values_keep_the_bytes_they_were_written_with() {
        let text = r#" { "a" : {"x": 1.50e+2,  "x":"\u003c" } , "b":[ 1 ,2] } trailing"#;

        let seen = fields(text, Rest::Ignored).unwrap();

        assert_eq!(seen[0].1, r#"{"x": 1.50e+2,  "x":"\u003c" }"#);
        assert_eq!(seen[1].1, "[ 1 ,2]");
    }

    #[test]
    fn what_follows_the_first_value_is_ignored_or_refused() {
        for rest in ["x", "{}", "\0", " {"] {
            let text = format!(r#"{{"a":1}}{rest}"#);
            assert!(fields(&text, Rest::Ignored).is_ok(), "{text:?}");
            assert_eq!(fields(&text, Rest::Refused), Err(Malformed), "{text:?}");
        }
        assert!(fields("{} \r\n\t", Rest::Refused).is_ok());
    }

    #[test]
    fn only_an_object_or_null_is_read() {
        assert_eq!(read_object("null", Rest::Ignored, |_, _| Ok(())), Ok(false));
        for text in
            ["", " ", "1", "\"a\"", "[]", "true", "\u{feff}{}", "{\"a\":1,}", "{\"a\"}", "{a:1}"]
        {
            assert_eq!(fields(text, Rest::Ignored), Err(Malformed), "{text:?}");
        }
        assert_eq!(fields("{\"a\":\"\n\"}", Rest::Ignored), Err(Malformed), "bare control");
    }

    #[test]
    fn nesting_ends_at_ten_thousand() {
        let nested = |levels: usize| {
            let inner = levels - 1; // The outer object is a level, too.
            format!("{{\"a\":{}{}}}", "[".repeat(inner), "]".repeat(inner))
        };

        assert!(fields(&nested(10_000), Rest::Ignored).is_ok());
        assert_eq!(fields(&nested(10_001), Rest::Ignored), Err(Malformed));
        let brackets_in_a_string = format!("{{\"a\":\"\\\"{}\"}}", "[".repeat(20_000));
        assert!(fields(&brackets_in_a_string, Rest::Ignored).is_ok());
    }

    #[test]
    fn names_match_as_go_folds_them() {
        assert!(is_named("ToPiC", "topic"));
        assert!(is_named("to\u{212A}en", "token"));
        assert!(is_named("u\u{017F}er_id", "user_id"));
        assert!(!is_named("topics", "topic"));
        assert!(!is_named("topi", "topic"));
    }

    #[test]
    fn lone_surrogates_become_the_replacement_character() {
        assert_eq!(read_string(r#""\ud800""#).unwrap().unwrap(), "\u{FFFD}");
        assert_eq!(read_string(r#""a\ud800\u0041""#).unwrap().unwrap(), "a\u{FFFD}A");
        assert_eq!(read_string(r#""\udc00\ud83d\ude00""#).unwrap().unwrap(), "\u{FFFD}😀");
        assert_eq!(read_string("\"\u{D7FF}\\n\"").unwrap().unwrap(), "\u{D7FF}\n");
        assert_eq!(fields(r#"{"\ud800x":1}"#, Rest::Refused).unwrap()[0].0, "\u{FFFD}x");
    }

    #[test]
    fn scalars_are_read_strictly() {
        assert_eq!(read_i64("-7"), Ok(Some(-7)));
        assert_eq!(read_i64("null"), Ok(None));
        for text in ["1.0", "1e3", "\"1\"", "9223372036854775808", "true", "{}"] {
            assert_eq!(read_i64(text), Err(Malformed), "{text}");
        }
        assert_eq!(read_bool("true"), Ok(Some(true)));
        assert_eq!(read_bool("1"), Err(Malformed));
        assert_eq!(read_string("1"), Err(Malformed));
        assert_eq!(read_string("null"), Ok(None));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in ".{0,200}") {
            let _ = fields(&text, Rest::Ignored);
            let _ = fields(&text, Rest::Refused);
        }

        #[test]
        fn any_string_survives_writing_and_reading(text in ".{0,60}") {
            let mut written = String::new();
            write_string(&text, &mut written);
            let read = read_string(&written).unwrap().unwrap();
            prop_assert_eq!(read, text);
        }

        #[test]
        fn depth_is_counted_as_the_grammar_counts_it(text in r#"[\[\]{}"\\a,:]{0,40}"#) {
            if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok() {
                prop_assert!(depth_within(&text, text.len()));
            }
        }
    }
}
