//! A client of a running worker, as PHP is one: for the shell's tools and for the demo.
//!
//! Start reading at [`Worker`], which has the verbs; `http` carries them, [`address`] says where
//! to, and [`health`] asks what anybody may ask. Knows nothing of this process's own broker, so that what it does goes the way of PHP's
//! calls.

pub mod address;
pub mod health;
mod http;
pub mod tls;
mod worker;

pub use self::http::CallError;
pub use self::worker::{Worker, WorkerError};
