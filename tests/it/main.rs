//! Drives the built program over real sockets.

mod cli_tools;
