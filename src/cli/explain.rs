//! Explains a token to a person or a program: what it says, and whether it is good now.
//!
//! The verdict is that of `token::verify`, which lets browsers in; what is added here is why. It
//! asks for neither time nor secret, but is given both. Start reading at [`Explanation::of`].

use std::fmt::Write;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::protocol::json::{self, Malformed, Rest};
use crate::secret::Secret;
use crate::token::{self, Claims, Grant, TokenError};

/// Digits of a signature.
const SIGNATURE_DIGITS: usize = 64;

/// From here on an expiry is more likely in milliseconds than in seconds (the year 5138).
const LIKELY_MILLIS: i64 = 100_000_000_000;

/// What there is to say about a token.
#[derive(Debug)]
pub(super) struct Explanation {
    /// The claims as they were written, if they are text.
    text: Option<String>,
    claims: Option<Claims>,
    /// What is wrong with its form.
    flaw: Option<String>,
    signature: Signature,
    now: i64,
}

#[derive(Debug, PartialEq, Eq)]
enum Signature {
    Good,
    Bad,
    /// There is none.
    Absent,
    /// There is no secret to check it with, for this reason.
    Unchecked(String),
}

/// The same for programs.
#[derive(Serialize)]
struct Report<'a> {
    accepted: bool,
    reason: Option<String>,
    signature: &'static str,
    opens: Option<String>,
    user_id: Option<i64>,
    expires: Option<i64>,
    expires_at: Option<String>,
    expires_in_secs: Option<i64>,
    claims: Option<&'a RawValue>,
}

impl Explanation {
    /// Explains `token` at the Unix time `now`; `secret` is the one it should be signed with, or
    /// why there is none.
    pub(super) fn of(token: &str, secret: &Result<Secret, String>, now: i64) -> Self {
        let signature = match secret {
            _ if !token.contains('.') => Signature::Absent,
            Err(reason) => Signature::Unchecked(reason.clone()),
            Ok(secret) => match token::verify(token, secret, now) {
                Err(TokenError::BadSignature) => Signature::Bad,
                // Everything else is looked at only once the signature was found good.
                _ => Signature::Good,
            },
        };
        let claims = token::peek(token);
        let text = claims_text(token);
        let flaw = flaw(token, text.as_deref(), claims.as_ref().err().copied());
        Self { text, claims: claims.ok(), flaw, signature, now }
    }

    /// Whether the worker would accept it now.
    pub(super) fn is_accepted(&self) -> bool {
        self.signature == Signature::Good && self.refusal().is_none()
    }

    /// Why the worker would refuse it, as far as that is known.
    fn refusal(&self) -> Option<String> {
        match (&self.flaw, &self.signature, &self.claims) {
            (Some(flaw), ..) => Some(format!("it is malformed: {flaw}")),
            (None, Signature::Bad, _) => Some("its signature does not match".to_owned()),
            (None, Signature::Absent, _) | (None, _, None) => Some("it is malformed".to_owned()),
            (None, _, Some(claims)) if self.now > claims.expires => {
                Some(format!("it {}", expiry(claims.expires, self.now)))
            }
            _ => None,
        }
    }

    /// A few lines for a person.
    pub(super) fn to_text(&self) -> String {
        let mut lines = String::new();
        let mut line = |name: &str, value: &str| {
            // A String takes everything.
            let _ = writeln!(lines, "{name:9}  {value}");
        };
        if let Some(text) = &self.text {
            line("claims", &super::printable(text));
        }
        if let Some(claims) = &self.claims {
            line("opens", &format!("topic {:?}", opens(claims)));
            line("user", &user(claims.user_id));
            line("expiry", &format!("{}{}", expiry(claims.expires, self.now), hint(claims)));
        }
        line(
            "signature",
            &match &self.signature {
                Signature::Good => "good".to_owned(),
                Signature::Bad => {
                    "does not match: made with another secret, or changed on the way".to_owned()
                }
                Signature::Absent => "none".to_owned(),
                Signature::Unchecked(reason) => {
                    format!("not checked, for want of a secret: {reason}")
                }
            },
        );
        let verdict = match (self.refusal(), &self.signature) {
            (Some(refusal), _) => format!("would be refused: {refusal}"),
            (None, Signature::Unchecked(_)) => {
                "not known, as the signature was not checked".to_owned()
            }
            (None, _) => "would be accepted now".to_owned(),
        };
        line("verdict", &verdict);
        lines
    }

    /// One line of JSON for a program.
    pub(super) fn to_json(&self) -> String {
        let claims = self.claims.as_ref();
        let expires = claims.map(|claims| claims.expires);
        let unchecked = matches!(self.signature, Signature::Unchecked(_));
        let report = Report {
            accepted: self.is_accepted(),
            reason: self
                .refusal()
                .or_else(|| unchecked.then(|| "its signature was not checked".to_owned())),
            signature: match self.signature {
                Signature::Good => "good",
                Signature::Bad => "bad",
                Signature::Absent => "none",
                Signature::Unchecked(_) => "unchecked",
            },
            opens: claims.map(opens),
            user_id: claims.map(|claims| claims.user_id),
            expires,
            expires_at: expires.and_then(date).map(|at| at.to_string()),
            expires_in_secs: expires.map(|expires| expires.saturating_sub(self.now)),
            claims: self.text.as_deref().and_then(|text| serde_json::from_str(text).ok()),
        };
        // Strings, numbers and valid JSON: nothing here can fail to serialize.
        serde_json::to_string(&report).unwrap_or_default() + "\n"
    }
}

/// The topic that the claims open.
fn opens(claims: &Claims) -> String {
    match &claims.grant {
        Grant::Topic(topic) => topic.clone(),
        Grant::Session(id) => format!("session.{id}"),
    }
}

fn user(user_id: i64) -> String {
    match user_id {
        1.. => user_id.to_string(),
        _ => format!("{user_id} (nobody in particular)"),
    }
}

/// `expires in 3 h 12 min (2026-01-31 12:00:00 UTC)`, or `expired 5 min ago (…)`.
fn expiry(expires: i64, now: i64) -> String {
    let span = span(expires.abs_diff(now));
    let words = match expires.cmp(&now) {
        std::cmp::Ordering::Less => format!("expired {span} ago"),
        std::cmp::Ordering::Equal => "expires with this second".to_owned(),
        std::cmp::Ordering::Greater => format!("expires in {span}"),
    };
    let date = date(expires).map_or_else(
        || "beyond the year 9999".to_owned(),
        |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    );
    format!("{words} ({date})")
}

fn date(unix_secs: i64) -> Option<Timestamp> {
    Timestamp::from_second(unix_secs).ok()
}

/// What may be behind an odd expiry.
fn hint(claims: &Claims) -> &'static str {
    match claims.expires {
        0 => "; a token without `expires` counts as expired",
        LIKELY_MILLIS.. => "; were milliseconds taken for seconds?",
        _ => "",
    }
}

/// `secs` in the two largest units that say something.
fn span(secs: u64) -> String {
    let parts =
        [(secs / 86_400, "d"), (secs / 3_600 % 24, "h"), (secs / 60 % 60, "min"), (secs % 60, "s")];
    let first = parts.iter().position(|(count, _)| *count > 0).unwrap_or(parts.len() - 1);
    let words = parts.iter().enumerate().skip(first).take(2);
    let words = words.filter(|(at, (count, _))| *at == first || *count > 0);
    words.map(|(_, (count, unit))| format!("{count} {unit}")).collect::<Vec<_>>().join(" ")
}

/// What stands before the dot, decoded, if it is text.
fn claims_text(token: &str) -> Option<String> {
    let (message, _) = token.split_once('.')?;
    String::from_utf8(base16ct::mixed::decode_vec(message).ok()?).ok()
}

/// What is wrong with the form of `token`, whose claims are `text` and could not be read because
/// of `error`: the first flaw from left to right. Shows nothing of the token but positions.
fn flaw(token: &str, text: Option<&str>, error: Option<TokenError>) -> Option<String> {
    if token.is_empty() {
        return Some("it is empty".to_owned());
    }
    let Some((message, signature)) = token.split_once('.') else {
        return Some(
            "it has no dot between claims and signature; was only a part of it copied?".to_owned(),
        );
    };
    if signature.contains('.') {
        return Some("it has more than one dot; a JWT is not a token of the worker".to_owned());
    }
    match not_hex(message) {
        _ if message.is_empty() => return Some("there are no claims before the dot".to_owned()),
        Some(at) => return Some(format!("character {at} of the claims is not a hex digit")),
        None if message.len() % 2 == 1 => {
            let digits = message.len();
            return Some(format!("the claims have an odd number of hex digits, {digits}"));
        }
        None => {}
    }
    let Some(text) = text else {
        return Some("the claims are not UTF-8 text".to_owned());
    };
    if let Err(error) = serde_json::from_str::<&RawValue>(text) {
        return Some(format!("the claims are not JSON: {error}"));
    }
    match error {
        Some(TokenError::NoGrant) => {
            return Some("it has neither a topic nor a session_id above 0".to_owned());
        }
        Some(_) => return Some(wrong_claim(text)),
        None => {}
    }
    if signature.len() != SIGNATURE_DIGITS {
        let digits = signature.chars().count();
        return Some(format!("the signature has {digits} characters, not {SIGNATURE_DIGITS}"));
    }
    if let Some(at) = not_hex(signature) {
        return Some(format!("character {at} of the signature is not a hex digit"));
    }
    signature
        .contains(|letter: char| letter.is_ascii_uppercase())
        .then(|| "the signature has capital letters; its hex digits are lower case".to_owned())
}

/// The first character, counted from 1, that is not a hex digit.
fn not_hex(text: &str) -> Option<usize> {
    text.chars().position(|letter| !letter.is_ascii_hexdigit()).map(|at| at + 1)
}

/// Which claim in the JSON `text` has the wrong type.
fn wrong_claim(text: &str) -> String {
    let mut wrong = None;
    let read = json::read_object(text, Rest::Refused, |name, value| {
        let (is_good, expected) = if json::is_named(name, "user_id") {
            (json::read_i64(value).is_ok(), "user_id is not a whole number")
        } else if json::is_named(name, "expires") {
            (json::read_i64(value).is_ok(), "expires is not a whole number of seconds")
        } else if json::is_named(name, "topic") {
            (json::read_string(value).is_ok(), "topic is not a string")
        } else {
            return Ok(());
        };
        if is_good {
            return Ok(());
        }
        wrong = Some(expected);
        Err(Malformed)
    });
    match (wrong, read) {
        (Some(wrong), _) => wrong.to_owned(),
        (None, _) if !text.trim_start().starts_with('{') => {
            "the claims are JSON, but not an object".to_owned()
        }
        (None, _) => "the claims cannot be read".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_790_000_000;

    fn secret() -> Result<Secret, String> {
        Ok(Secret::new("captured-sample-secret-0123456789abcdef").unwrap())
    }

    fn minted(expires: i64) -> String {
        let claims = Claims { user_id: 7, grant: Grant::Topic("session.42".into()), expires };
        token::mint(&claims, &secret().unwrap())
    }

    fn explained(token: &str) -> Explanation {
        Explanation::of(token, &secret(), NOW)
    }

    #[test]
    fn a_good_token_is_explained_line_by_line() {
        let explanation = explained(&minted(NOW + 3 * 3600 + 12 * 60 + 5));

        assert!(explanation.is_accepted());
        assert_eq!(
            explanation.to_text(),
            "claims     {\"user_id\":7,\"topic\":\"session.42\",\"expires\":1790011525}\n\
             opens      topic \"session.42\"\n\
             user       7\n\
             expiry     expires in 3 h 12 min (2026-09-21 17:25:25 UTC)\n\
             signature  good\n\
             verdict    would be accepted now\n"
        );
    }

    #[test]
    fn an_expired_and_a_forged_token_are_refused() {
        let expired = explained(&minted(NOW - 300));
        let last = explained(&minted(NOW));
        let other = Ok(Secret::new("-".repeat(32)).unwrap());
        let forged = Explanation::of(&minted(NOW + 60), &other, NOW);

        assert!(!expired.is_accepted() && last.is_accepted() && !forged.is_accepted());
        assert!(expired.to_text().contains(
            "verdict    would be refused: it expired 5 min ago (2026-09-21 14:08:20 UTC)\n"
        ));
        assert!(last.to_text().contains("expires with this second"));
        assert!(forged.to_text().contains("signature  does not match: made with another secret"));
        assert!(forged.to_text().contains("opens      topic \"session.42\""));
    }

    #[test]
    fn without_a_secret_the_rest_is_explained_and_nothing_accepted() {
        let explanation = Explanation::of(&minted(NOW + 60), &Err("no such file".into()), NOW);

        assert!(!explanation.is_accepted());
        let text = explanation.to_text();
        assert!(text.contains("signature  not checked, for want of a secret: no such file\n"));
        assert!(text.contains("verdict    not known"));
        assert!(explanation.to_json().contains(r#""accepted":false"#));
        assert!(explanation.to_json().contains(r#""signature":"unchecked""#));
    }

    #[test]
    fn a_flaw_is_named_with_its_place() {
        let good = minted(NOW + 60);
        let (message, signature) = good.split_once('.').unwrap();
        let hex = |claims: &str| {
            format!("{}.{signature}", base16ct::lower::encode_string(claims.as_bytes()))
        };
        for (token, words) in [
            (String::new(), "it is empty"),
            (message.to_owned(), "it has no dot"),
            (format!("{good}.x"), "more than one dot"),
            (format!(".{signature}"), "no claims before the dot"),
            (format!("7b\"{message}.{signature}"), "character 3 of the claims is not a hex"),
            (format!("{message}7.{signature}"), "odd number of hex digits"),
            (format!("ff.{signature}"), "not UTF-8"),
            (hex("{\"topic\""), "the claims are not JSON: EOF while parsing an object at line 1"),
            (hex("[1]"), "not an object"),
            (hex("{\"topic\":7}"), "topic is not a string"),
            (hex("{\"topic\":\"a\",\"expires\":1.5}"), "expires is not a whole number"),
            (hex("{\"user_id\":\"1\",\"topic\":\"a\"}"), "user_id is not a whole number"),
            (hex("{\"expires\":1}"), "neither a topic nor a session_id"),
            (good[..good.len() - 1].to_owned(), "the signature has 63 characters, not 64"),
            (format!("{message}.{}g", &signature[1..]), "character 64 of the signature"),
            (format!("{message}.{}", signature.to_uppercase()), "capital letters"),
        ] {
            let explanation = explained(&token);

            assert!(!explanation.is_accepted());
            let text = explanation.to_text();
            assert!(text.contains("would be refused: it is malformed: "), "{text}");
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn odd_times_have_their_reason() {
        let text = |expires| explained(&minted(expires)).to_text();

        assert!(text(0).contains("a token without `expires` counts as expired"));
        assert!(text(NOW * 1000).contains("were milliseconds taken for seconds?"));
        assert!(text(i64::MAX).contains("(beyond the year 9999)"));
        assert!(!text(NOW + 60).contains(';'));
    }

    #[test]
    fn json_has_the_same_for_programs() {
        let json = explained(&minted(NOW + 60)).to_json();

        assert_eq!(
            json,
            "{\"accepted\":true,\"reason\":null,\"signature\":\"good\",\"opens\":\"session.42\",\"user_id\":7,\"expires\":1790000060,\"expires_at\":\"2026-09-21T14:14:20Z\",\"expires_in_secs\":60,\"claims\":{\"user_id\":7,\"topic\":\"session.42\",\"expires\":1790000060}}\n"
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let claims = "{\"topic\":\"\u{9b}31m\\u001b[2J\",\"expires\":1}";
        let token = format!("{}.00", base16ct::lower::encode_string(claims.as_bytes()));

        let text = explained(&token).to_text();

        assert!(text.chars().all(|letter| letter == '\n' || !letter.is_control()), "{text:?}");
    }

    #[test]
    fn spans_have_two_units() {
        for (secs, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (3_600, "1 h"),
            (3_601, "1 h"),
            (86_399, "23 h 59 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(span(secs), words);
        }
    }

    proptest! {
        #[test]
        fn the_verdict_is_that_of_the_worker(token in "[0-9a-f]{0,8}\\.?[0-9a-f]{0,8}", claims in ".{0,60}") {
            let secret = secret();
            let signed = format!("{}.{}", base16ct::lower::encode_string(claims.as_bytes()), "0".repeat(64));
            for token in [token, signed] {
                let verified = token::verify(&token, secret.as_ref().unwrap(), NOW).is_ok();
                let explanation = Explanation::of(&token, &secret, NOW);
                prop_assert_eq!(explanation.is_accepted(), verified);
                let _ = (explanation.to_text(), explanation.to_json());
            }
        }

        #[test]
        fn what_is_minted_is_accepted_until_it_expires(topic in "\\PC{1,30}", left in -100..100_i64) {
            let claims = Claims { user_id: 1, grant: Grant::Topic(topic), expires: NOW + left };
            let explanation = explained(&token::mint(&claims, &secret().unwrap()));
            prop_assert_eq!(explanation.is_accepted(), left >= 0);
        }
    }
}
