//! Who is signed in to the live view: sessions, kept as hashes, in memory alone.
//!
//! A session is 256 random bits that only the browser has; here is their SHA-256, so that nobody
//! who sees this memory can be signed in by it. Time is an argument, in milliseconds of the node's
//! clock. Start reading at [`Sessions::begin`].

use sha2::{Digest, Sha256};

/// Sessions at once; one more ends the oldest.
const MOST: usize = 64;

/// How long a session lasts.
const LASTS_MS: u64 = 12 * 60 * 60 * 1000;

/// How long a session lasts that nobody uses.
const IDLE_MS: u64 = 60 * 60 * 1000;

/// Everybody who is signed in.
#[derive(Debug, Default)]
pub(super) struct Sessions(Vec<Session>);

#[derive(Debug)]
struct Session {
    hash: [u8; 32],
    began_ms: u64,
    used_ms: u64,
}

impl Sessions {
    /// Begins a session; what the browser has to show for it from now on.
    ///
    /// # Errors
    ///
    /// The system's, if it has no random numbers.
    pub(super) fn begin(&mut self, now_ms: u64) -> Result<String, getrandom::Error> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits)?;
        let token = base16ct::lower::encode_string(&bits);
        self.forget_ended(now_ms);
        if self.0.len() >= MOST {
            self.0.remove(0); // They stand in the order of their beginnings.
        }
        self.0.push(Session { hash: hash(&token), began_ms: now_ms, used_ms: now_ms });
        Ok(token)
    }

    /// Whether `token` is that of a session; it counts as used now.
    pub(super) fn is_good(&mut self, token: &str, now_ms: u64) -> bool {
        self.forget_ended(now_ms);
        let hash = hash(token);
        match self.0.iter_mut().find(|session| session.hash == hash) {
            Some(session) => {
                session.used_ms = now_ms;
                true
            }
            None => false,
        }
    }

    /// Ends the session of `token`, if there is one.
    pub(super) fn end(&mut self, token: &str) {
        let hash = hash(token);
        self.0.retain(|session| session.hash != hash);
    }

    fn forget_ended(&mut self, now_ms: u64) {
        self.0.retain(|session| {
            now_ms < session.began_ms + LASTS_MS && now_ms < session.used_ms + IDLE_MS
        });
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: u64 = 60 * 1000;

    #[test]
    fn a_session_is_256_bits_that_are_not_kept() {
        let mut sessions = Sessions::default();

        let (one, another) = (sessions.begin(0).unwrap(), sessions.begin(0).unwrap());

        assert_ne!(one, another);
        assert_eq!(one.len(), 64);
        assert!(!format!("{sessions:?}").contains(&one));
        assert!(sessions.is_good(&one, 1) && sessions.is_good(&another, 1));
        assert!(!sessions.is_good("", 1) && !sessions.is_good(&one[1..], 1));
    }

    #[test]
    fn a_session_ends_when_nobody_uses_it_for_an_hour() {
        let mut sessions = Sessions::default();
        let token = sessions.begin(0).unwrap();

        assert!(sessions.is_good(&token, 59 * MINUTE_MS));
        assert!(sessions.is_good(&token, 118 * MINUTE_MS));
        assert!(!sessions.is_good(&token, 178 * MINUTE_MS));
    }

    #[test]
    fn a_session_ends_after_12_hours_however_much_it_is_used() {
        let mut sessions = Sessions::default();
        let token = sessions.begin(0).unwrap();

        for minute in (0..720).step_by(30) {
            assert!(sessions.is_good(&token, minute * MINUTE_MS), "{minute}");
        }
        assert!(!sessions.is_good(&token, 720 * MINUTE_MS));
    }

    #[test]
    fn one_session_too_many_ends_the_oldest() {
        let mut sessions = Sessions::default();
        let tokens: Vec<String> = (0..65).map(|n| sessions.begin(n).unwrap()).collect();

        assert!(!sessions.is_good(&tokens[0], 100));
        assert!(tokens[1..].iter().all(|token| sessions.is_good(token, 100)));
    }

    #[test]
    fn who_signs_out_is_out() {
        let mut sessions = Sessions::default();
        let (one, another) = (sessions.begin(0).unwrap(), sessions.begin(0).unwrap());

        sessions.end(&one);

        assert!(!sessions.is_good(&one, 1));
        assert!(sessions.is_good(&another, 1));
    }
}
