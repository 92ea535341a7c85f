//! Drives the built worker over real sockets, from outside, and holds it to `docs/protocol.md`.
//!
//! Each test starts a worker of its own on free ports ([`support::Worker`]) and ends it again,
//! so all of them can run at the same time. Start reading at `support/worker.rs`, then take the
//! file of the theme you are interested in; the name of a test says what it holds the worker to.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_types,
    reason = "a test may panic, and it drives a real process, whose clock cannot be paused"
)]

mod api;
mod auth;
mod bench;
mod busy;
mod cli;
mod cli_looks;
mod cli_tools;
mod client_address;
mod client_build;
mod client_script;
mod cluster;
mod cluster_contract;
mod cluster_faults;
mod cluster_gaps;
mod cluster_registry;
mod cluster_roster;
#[cfg(feature = "faults")]
mod cluster_slow;
mod compose;
mod contract;
mod deadlines;
mod deploy;
mod docs_commands;
mod docs_links;
mod docs_operations;
mod docs_snippets;
mod doctor;
mod doctor_proxies;
mod doctor_redis;
mod doctor_tls;
mod frames;
mod garbage;
mod handshake;
mod health;
mod independent;
mod instructions;
mod json_bodies;
mod keepalive;
mod kit;
mod live;
mod live_problems;
mod live_sign_in;
mod live_tail;
mod load;
mod memory;
mod metrics;
mod metrics_counts;
mod openapi;
mod overload;
mod packaging;
mod prometheus;
mod push;
mod registry;
mod secrecy;
mod service;
mod shutdown;
mod slow;
mod status;
mod status_feed;
mod support;
mod syscalls;
mod tidy;
mod version;
