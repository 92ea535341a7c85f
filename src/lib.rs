//! wavelog_worker: a WebSocket pub/sub broker that lets a PHP application push events to browsers.

pub mod cli;
pub mod config;
pub mod secret;
pub mod topic;
