//! The subcommands beside `serve`, as plain functions.

pub mod check;
pub mod init;
