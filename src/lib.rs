//! wavelog_worker: a WebSocket pub/sub broker that lets a PHP application push events to browsers.

pub mod config;
pub mod protocol;
pub mod secret;
pub mod token;
pub mod topic;
