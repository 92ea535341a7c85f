//! The package and the image as those who install them get them: in a Debian of their own, under a
//! real systemd, and in a container with nothing else in it.
//!
//! `scripts/test-packages` makes what is tested and runs these; they need root. Start reading at
//! `machine.rs`.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_types,
    reason = "a test may panic, and it drives real processes, whose clock cannot be paused"
)]

mod deb;
mod image;
mod machine;
mod names;
