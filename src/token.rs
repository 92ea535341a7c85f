//! Tokens: PHP mints them, the worker verifies them alone.
//!
//! A token is `hex(claims) "." hex(HMAC-SHA256(secret, hex(claims)))`; the claims are JSON
//! (docs/protocol.md, "Token"). Knows nothing of sockets or of who is registered. Start reading at
//! [`verify`].

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::protocol::json::{self, Malformed, Rest};
use crate::secret::Secret;

/// What a token says, once its signature and its time were found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The user in PHP's own numbering; 0 or less is nobody in particular.
    pub user_id: i64,
    /// What the token opens.
    pub grant: Grant,
    /// Unix time in seconds; the token is still good in this very second.
    pub expires: i64,
}

/// What a token opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// This topic.
    Topic(String),
    /// The older form: the topic `session.N`.
    Session(u64),
}

/// Why a token was refused. The browser is told `unauthorized` whatever the variant; the
/// variant goes to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not two hex strings joined by a dot, or the claims are not the expected JSON.
    #[error("token is malformed")]
    Malformed,
    /// Not signed with our secret.
    #[error("signature does not match")]
    BadSignature,
    /// Its time is over.
    #[error("token expired {late_secs} s ago")]
    Expired {
        /// Seconds since its last good one.
        late_secs: u64,
    },
    /// It names neither a topic nor a session.
    #[error("token opens nothing")]
    NoGrant,
    /// It is good, but for another topic.
    #[error("token is for another topic")]
    OtherTopic,
}

impl From<Malformed> for TokenError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Claims {
    /// Whether the token opens `topic`.
    pub fn opens(&self, topic: &str) -> bool {
        match &self.grant {
            Grant::Topic(name) => name == topic,
            Grant::Session(id) => {
                topic.strip_prefix("session.").is_some_and(|rest| rest == id.to_string())
            }
        }
    }
}

/// Verifies `token` and returns the claims it carries.
///
/// `now` is Unix time in seconds; a token is still good in the very second of its `expires`
/// (docs/protocol.md, "Token"). The signature is checked first and in constant time, so the
/// claims of a forged token are never parsed.
///
/// # Errors
///
/// [`TokenError`] says why; it never carries a byte of the token itself.
pub fn verify(token: &str, secret: &Secret, now: i64) -> Result<Claims, TokenError> {
    let (message, signature) = token.split_once('.').ok_or(TokenError::Malformed)?;
    let expected = sign(message, secret);
    if !bool::from(expected.as_bytes().ct_eq(signature.as_bytes())) {
        return Err(TokenError::BadSignature);
    }
    let claims = decode(message)?;
    if now > claims.expires {
        return Err(TokenError::Expired { late_secs: now.abs_diff(claims.expires) });
    }
    Ok(claims)
}

/// Verifies `token` for one topic: as [`verify`], and it must open `topic`.
///
/// # Errors
///
/// As [`verify`], or [`TokenError::OtherTopic`].
pub fn authorize(
    token: &str,
    secret: &Secret,
    topic: &str,
    now: i64,
) -> Result<Claims, TokenError> {
    let claims = verify(token, secret, now)?;
    if claims.opens(topic) { Ok(claims) } else { Err(TokenError::OtherTopic) }
}

/// Mints the token that PHP would for the same claims.
pub fn mint(claims: &Claims, secret: &Secret) -> String {
    let mut text = format!("{{\"user_id\":{},", claims.user_id);
    match &claims.grant {
        Grant::Topic(topic) => {
            text.push_str("\"topic\":");
            json::write_string(topic, &mut text);
        }
        Grant::Session(id) => text.push_str(&format!("\"session_id\":{id}")),
    }
    text.push_str(&format!(",\"expires\":{}}}", claims.expires));
    let message = base16ct::lower::encode_string(text.as_bytes());
    let signature = sign(&message, secret);
    format!("{message}.{signature}")
}

/// Reads a token's claims whether or not it is signed by us: for a person who wants to know what
/// it says. Nothing may be granted on the strength of it.
///
/// # Errors
///
/// [`TokenError::Malformed`] or [`TokenError::NoGrant`].
pub fn peek(token: &str) -> Result<Claims, TokenError> {
    decode(token.split_once('.').map_or(token, |(message, _)| message))
}

fn sign(message: &str, secret: &Secret) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("any length");
    mac.update(message.as_bytes());
    base16ct::lower::encode_string(&mac.finalize().into_bytes())
}

fn decode(message: &str) -> Result<Claims, TokenError> {
    let bytes = base16ct::mixed::decode_vec(message).map_err(|_| TokenError::Malformed)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| TokenError::Malformed)?;
    let (mut user_id, mut expires, mut topic, mut session) = (0, 0, None, None);
    json::read_object(text, Rest::Refused, |name, value| {
        if json::is_named(name, "user_id") {
            user_id = json::read_i64(value)?.unwrap_or(user_id);
        } else if json::is_named(name, "expires") {
            expires = json::read_i64(value)?.unwrap_or(expires);
        } else if json::is_named(name, "topic") {
            topic = json::read_string(value)?.or(topic.take());
        } else if json::is_named(name, "session_id") {
            session = Some(value);
        }
        Ok(())
    })?;
    let grant = match topic {
        Some(topic) if !topic.is_empty() => Grant::Topic(topic.into_owned()),
        _ => Grant::Session(session.and_then(read_session).ok_or(TokenError::NoGrant)?),
    };
    Ok(Claims { user_id, grant, expires })
}

/// A session id is an integer above 0, or its decimal string, as PHP writes what a form sent it.
fn read_session(value: &str) -> Option<u64> {
    let digits = json::read_string(value).ok().flatten().unwrap_or(value.into());
    if digits.starts_with(|first: char| ('1'..='9').contains(&first)) {
        digits.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret() -> Secret {
        Secret::new("captured-sample-secret-0123456789abcdef").unwrap()
    }

    fn signed(claims: &str) -> String {
        let message = base16ct::lower::encode_string(claims.as_bytes());
        format!("{message}.{}", sign(&message, &secret()))
    }

    fn read(claims: &str) -> Result<Claims, TokenError> {
        verify(&signed(claims), &secret(), 100)
    }

    const CAPTURED: &str = "7b22757365725f6964223a312c22746f706963223a2273657373696f6e2e3432222c2265787069726573223a343130323434343830307d.c7c43405199204b77030a9105c3ed4d5868577ad96d8da7d91a36a283e870530";

    #[test]
    fn a_captured_token_is_read_and_minted_to_the_same_bytes() {
        let claims = verify(CAPTURED, &secret(), 1_790_000_000).unwrap();

        assert_eq!(claims.user_id, 1);
        assert_eq!(claims.grant, Grant::Topic("session.42".into()));
        assert!(claims.opens("session.42"));
        assert_eq!(mint(&claims, &secret()), CAPTURED);
    }

    #[test]
    fn a_token_is_good_through_the_second_of_its_expiry() {
        let token = signed(r#"{"topic":"a","expires":100}"#);

        assert!(verify(&token, &secret(), 100).is_ok());
        assert_eq!(verify(&token, &secret(), 103), Err(TokenError::Expired { late_secs: 3 }));
        assert_eq!(read(r#"{"topic":"a"}"#), Err(TokenError::Expired { late_secs: 100 }));
    }

    #[test]
    fn a_session_token_opens_its_session_topic_alone() {
        let claims = read(r#"{"user_id":1,"session_id":"42","expires":100}"#).unwrap();

        assert!(claims.opens("session.42"));
        for other in ["session.4", "session.042", "session.421", "42", "worker.status"] {
            assert!(!claims.opens(other), "{other}");
        }
        for absent in ["", r#""topic":"","#, r#""topic":null,"#] {
            let claims = read(&format!(r#"{{{absent}"session_id":7,"expires":100}}"#)).unwrap();
            assert_eq!(claims.grant, Grant::Session(7));
        }
    }

    #[test]
    fn a_token_without_topic_or_session_opens_nothing() {
        for session in ["0", "-1", "1.5", "\"x\"", "\"\"", "\"+4\"", "\"04\"", "null", "[]", "true"]
        {
            let claims = format!(r#"{{"session_id":{session},"expires":100}}"#);
            assert_eq!(read(&claims), Err(TokenError::NoGrant), "{session}");
        }
        assert_eq!(read(r#"{"expires":100}"#), Err(TokenError::NoGrant));
    }

    #[test]
    fn claims_are_read_as_go_reads_them() {
        assert_eq!(read(r#"{"TOPIC":"a","Expires":100}"#).unwrap().user_id, 0);
        assert_eq!(
            read(r#"{"topic":"a","topic":"b","expires":100}"#).unwrap().grant,
            Grant::Topic("b".into())
        );
        for bad in ["1.0", "1e3", "\"100\"", "99999999999999999999"] {
            let claims = format!(r#"{{"topic":"a","expires":{bad}}}"#);
            assert_eq!(read(&claims), Err(TokenError::Malformed), "{bad}");
        }
        assert_eq!(read(r#"{"topic":"a","expires":100}{}"#), Err(TokenError::Malformed));
        assert_eq!(read(r#"{"topic":7,"expires":100}"#), Err(TokenError::Malformed));
        assert_eq!(read("null"), Err(TokenError::NoGrant));
    }

    #[test]
    fn the_signature_must_be_lower_case_hex_and_the_claims_may_be_upper() {
        let (message, signature) = CAPTURED.split_once('.').unwrap();
        let upper = message.to_uppercase();

        let resigned = format!("{upper}.{}", sign(&upper, &secret()));
        assert!(verify(&resigned, &secret(), 0).is_ok());
        let shouted = format!("{message}.{}", signature.to_uppercase());
        assert_eq!(verify(&shouted, &secret(), 0), Err(TokenError::BadSignature));
        assert_eq!(verify("", &secret(), 0), Err(TokenError::Malformed));
        assert_eq!(verify(".", &secret(), 0), Err(TokenError::BadSignature));
    }

    proptest! {
        #[test]
        fn nothing_unsigned_is_accepted(message in "[0-9a-f.]{0,120}", signature in "[0-9a-f]{0,64}") {
            let token = format!("{message}.{signature}");
            prop_assert!(verify(&token, &secret(), 0).is_err());
        }

        #[test]
        fn a_token_with_one_byte_changed_is_refused(at in 0..CAPTURED.len(), to in "[ -~]") {
            let mut token = CAPTURED.to_owned();
            token.replace_range(at..=at, &to);
            prop_assume!(token != CAPTURED);
            prop_assert!(verify(&token, &secret(), 0).is_err());
        }

        #[test]
        fn any_text_is_refused_without_a_panic(token in ".{0,200}") {
            prop_assert!(verify(&token, &secret(), 0).is_err());
            let _ = peek(&token);
        }

        #[test]
        fn signed_claims_of_any_kind_do_not_panic(claims in ".{0,120}") {
            let _ = read(&claims);
        }

        #[test]
        fn what_is_minted_is_verified(user_id: i64, topic in ".{1,40}", expires in 0..i64::MAX) {
            let claims = Claims { user_id, grant: Grant::Topic(topic), expires };
            prop_assert_eq!(verify(&mint(&claims, &secret()), &secret(), 0), Ok(claims));
        }
    }
}
