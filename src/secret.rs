//! The shared secret of PHP and the worker: signs tokens and opens the internal API.
//!
//! It can be compared and used as a key; it cannot be printed. Knows nothing of where it came
//! from (`config`) or of what it protects (`token`, `api`).

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Fewest bytes a secret may have (docs/protocol.md, "Configuration").
pub const MIN_SECRET_BYTES: usize = 32;

/// The shared secret. `Debug` hides it, and its memory is wiped when it is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

/// The secret has fewer than [`MIN_SECRET_BYTES`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("worker_secret must be at least {MIN_SECRET_BYTES} characters")]
pub struct SecretTooShort;

impl Secret {
    /// Takes `text` as the secret. Its length is counted in bytes.
    ///
    /// # Errors
    ///
    /// [`SecretTooShort`] if it has fewer than 32 bytes.
    pub fn new(text: impl Into<String>) -> Result<Self, SecretTooShort> {
        let text = Zeroizing::new(text.into());
        if text.len() < MIN_SECRET_BYTES { Err(SecretTooShort) } else { Ok(Self(text)) }
    }

    /// The secret itself, for keying an HMAC or writing it to a file of the user's.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `candidate` is the secret, in time that depends on its length alone.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(candidate).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_of_32_bytes_is_taken_and_one_of_31_is_not() {
        assert!(Secret::new("x".repeat(32)).is_ok());
        assert_eq!(Secret::new("x".repeat(31)).unwrap_err(), SecretTooShort);
        assert!(Secret::new("ä".repeat(16)).is_ok(), "bytes count, not characters");
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        let secret = Secret::new("correct horse battery staple 1234").unwrap();

        assert_eq!(format!("{secret:?}"), "Secret(hidden)");
        assert!(secret.matches(b"correct horse battery staple 1234"));
        assert!(!secret.matches(b"correct horse battery staple 1235"));
        assert!(!secret.matches(b""));
    }
}
