//! `bench`: measures what a machine can carry, and how near to the kernel's own cost a worker is.
//!
//! Start reading at [`results`], which says what is measured, or at [`scenario`], which measures.

pub mod check;
pub mod envelope;
pub mod floor;
pub mod herd;
pub mod latency;
pub mod machine;
pub mod moment;
pub mod payload;
pub mod plan;
pub mod process;
pub mod publisher;
pub mod results;
pub mod scenario;
pub mod tally;
pub mod target;
pub mod topics;
pub mod window;
pub mod words;
