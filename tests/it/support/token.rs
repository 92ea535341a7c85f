//! Tokens as PHP makes them, and broken ones as nobody should.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A token for `claims`, given as JSON text: `hex(claims) + "." + hex(hmac)`.
pub fn mint(claims: &str, secret: &str) -> String {
    let head = hex(claims.as_bytes());
    let signature = sign(&head, secret);
    format!("{head}.{signature}")
}

/// The lower-case hex of the HMAC-SHA256 of `text`.
pub fn sign(text: &str, secret: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes())
}

/// Claims of `user_id` on `topic`, good until 2100.
pub fn claims(user_id: i64, topic: &str) -> String {
    let topic = serde_json::to_string(topic).unwrap();
    format!(r#"{{"user_id":{user_id},"topic":{topic},"expires":4102444800}}"#)
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The bytes that `text`, hex of either case, stands for.
pub fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap();
    let byte = |pair: &[u8]| u8::try_from(digit(pair[0]) * 16 + digit(pair[1])).unwrap();
    text.as_bytes().chunks(2).map(byte).collect()
}

/// Unix time in seconds.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
