//! `bench`: measures what a machine can carry, and how near to the kernel's own cost a worker is.
//!
//! [`rounds`] runs the steps of a [`plan`]: each with a fresh server ([`target`]), which a
//! [`scenario`] loads with sockets and publishes and measures from outside ([`crate::process`]), and with
//! the [`floor`] beside it as the yardstick. What is found ([`results`]) is shown by [`table`] and
//! by [`report`]. Start reading at [`run`]; [`results`] says what is measured.

pub mod check;
pub mod envelope;
pub mod floor;
pub mod herd;
pub mod latency;
pub mod machine;
pub mod moment;
pub mod payload;
pub mod plan;
pub mod publisher;
pub mod report;
pub mod results;
pub mod rounds;
pub mod scenario;
pub mod summary;
pub mod table;
pub mod tally;
pub mod target;
pub mod topics;
pub mod window;
pub mod words;

pub use self::rounds::run;
