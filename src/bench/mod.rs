//! `bench`: measures what a machine can carry, and how near to the kernel's own cost a worker is.
//!
//! Start reading at [`results`], which says what is measured.

pub mod report;
pub mod results;
pub mod summary;
pub mod words;
