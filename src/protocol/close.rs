//! Close codes: why a connection ends, in the form a browser can act on.
//!
//! RFC 6455 section 7.4 has the ones below 4000; the others are ours (docs/protocol.md, "Close
//! codes").

/// Why the worker closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCode {
    /// No code: the browser closed without one, and gets none back.
    NoStatus,
    /// 1001: the node is shutting down. Come back.
    GoingAway,
    /// 1002: the browser broke RFC 6455.
    Protocol,
    /// 1007: text that is not UTF-8.
    InvalidText,
    /// 1008: authentication failed; an error frame went before. Do not retry with this token.
    Policy,
    /// 1009: a message over the bound.
    TooBig,
    /// 4008: too slow for what is published. Come back and fetch again.
    Slow,
    /// 4009: something published by another node may have been missed. Come back and fetch again.
    Resync,
    /// 4408: no authentication in time. Come back.
    AuthTimeout,
    /// A code the browser sent, sent back to it.
    Echo(u16),
}

impl CloseCode {
    /// The number that goes over the wire, if one does.
    pub fn code(self) -> Option<u16> {
        Some(match self {
            Self::NoStatus => return None,
            Self::GoingAway => 1001,
            Self::Protocol => 1002,
            Self::InvalidText => 1007,
            Self::Policy => 1008,
            Self::TooBig => 1009,
            Self::Slow => 4008,
            Self::Resync => 4009,
            Self::AuthTimeout => 4408,
            Self::Echo(code) => code,
        })
    }

    /// The reason that goes with it; at most 123 bytes (RFC 6455 section 5.5).
    pub fn reason(self) -> &'static str {
        match self {
            Self::NoStatus | Self::Echo(_) => "",
            Self::GoingAway => "shutting down",
            Self::Protocol => "protocol error",
            Self::InvalidText => "text is not UTF-8",
            Self::Policy => "not authenticated",
            Self::TooBig => "message too big",
            Self::Slow => "too slow",
            Self::Resync => "events may have been missed",
            Self::AuthTimeout => "no authentication in time",
        }
    }
}

/// Whether a browser may send `code` in a close frame (RFC 6455 section 7.4).
pub fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_must_not_be_sent_are_known() {
        for bad in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
            assert!(!may_be_sent(bad), "{bad}");
        }
        for good in [1000, 1001, 1002, 1003, 1007, 1014, 3000, 4008, 4999] {
            assert!(may_be_sent(good), "{good}");
        }
    }
}
