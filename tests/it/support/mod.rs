//! What every test stands on: a worker process, raw HTTP, raw WebSocket, tokens, waiting; for
//! clusters a real Redis, links that break, many browsers, PHP, and a judge over all of them.
//!
//! Nothing here shares code with the worker, so that a mistake cannot cancel itself out.

mod balancer;
mod certificates;
mod doctor;
mod front;
mod go_node;
mod herd;
mod http;
mod judge;
mod pages;
mod php;
mod proxy;
mod redis;
mod resp;
mod scene;
mod scrape;
#[cfg(feature = "faults")]
mod sentinels;
pub mod site;
mod strace;
mod token;
mod viewer;
mod wait;
mod worker;
mod ws;

pub use balancer::{BALANCERS, Balancer, Kind, Node, program};
pub use certificates::{Authority, LONG_AGO};
pub use doctor::{Diagnosis, Patient, doctor_alone};
pub use front::{FRONTS, Front, Proxying};
pub use go_node::{EVENTS, GoNode, NODES, roster_entry, topic_key};
pub use herd::{Ended, Heard, Herd, Member, Session};
pub use http::{Answer, Http, request};
#[cfg(feature = "faults")]
pub use judge::judge_behind_a_proxy;
pub use judge::{RESYNC, Verdict};
pub use pages::{Block, Item, Page, root};
pub use php::{Php, Published};
pub use proxy::{Link, Proxy};
pub use redis::{Redis, free_port};
pub use resp::{Reply, Resp};
pub use scene::{Scene, Told, topics};
pub use scrape::Scrape;
#[cfg(feature = "faults")]
pub use sentinels::Sentinels;
pub use strace::Strace;
pub use token::{claims, hex, mint, unhex, unix_now};
pub use viewer::{Viewer, json_post};
pub use wait::{PATIENCE, alone, open_many_files, until};
pub use worker::{SECRET, Worker, command};
pub use ws::{
    BINARY, CLOSE, CONTINUATION, Ending, Frame, PING, PONG, Socket, TEXT, close_payload, encode,
    frame, parse, upgrade_request,
};
