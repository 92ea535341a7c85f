//! wavelog_worker: a WebSocket pub/sub broker that lets a PHP application push events to browsers.

pub mod broker;
pub mod client_addr;
pub mod clock;
pub mod config;
pub mod hub;
pub mod link;
pub mod listener;
pub mod metrics;
pub mod protocol;
pub mod registry;
pub mod secret;
pub mod shutdown;
pub mod status;
pub mod token;
pub mod topic;
pub mod ws;
