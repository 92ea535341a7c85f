//! What can go wrong on the way to Redis, in words that name no password.

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedisError {
    /// The connection is lost, or was given up; whether the command was carried out is unknown.
    #[error("connection lost: {0}")]
    Lost(String),
    /// Redis answered that it cannot do this now: it is loading, or a read-only replica. The
    /// connection is given up; the command was not carried out.
    #[error("{0}")]
    NotServing(String),
    /// Redis answered with another error; the command was not carried out.
    #[error("{code}: {detail}")]
    Refused {
        /// The first word of the answer, such as `NOPERM` or `NOSCRIPT`.
        code: String,
        /// The rest.
        detail: String,
    },
}
