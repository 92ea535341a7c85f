//! wavelog_worker: a WebSocket pub/sub broker that lets a PHP application push events to browsers.

pub mod clock;
pub mod config;
pub mod hub;
pub mod link;
pub mod metrics;
pub mod protocol;
pub mod registry;
pub mod secret;
pub mod token;
pub mod topic;
