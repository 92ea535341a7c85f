//! wavelog_worker: a WebSocket pub/sub broker that lets a PHP application push events to browsers.
//!
//! PHP posts an event to the internal port, the worker pushes it to every browser that is
//! subscribed to the topic over WebSocket. Where to start reading: `app` puts the parts together;
//! [`broker`] has the verbs; [`hub`] and [`link`] are the engine, from one publish to bytes in
//! many sockets; [`ws`] is a browser's way in, [`api`] PHP's. `ARCHITECTURE.md` has the picture.

pub mod admin;
pub mod api;
pub mod app;
pub mod bench;
pub mod body;
pub mod broker;
pub mod cli;
pub mod client;
pub mod client_addr;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod hub;
pub mod link;
pub mod listener;
pub mod metrics;
pub mod problems;
pub mod process;
pub mod protocol;
pub mod redis;
pub mod registry;
pub mod secret;
pub mod shutdown;
pub mod status;
pub mod telemetry;
pub mod token;
pub mod topic;
pub mod ws;
