//! What every test stands on: a worker process, raw HTTP, raw WebSocket, tokens, waiting.
//!
//! Nothing here shares code with the worker, so that a mistake cannot cancel itself out.

mod balancer;
mod http;
mod strace;
mod token;
mod wait;
mod worker;
mod ws;

pub use balancer::{BALANCERS, Balancer, Kind, Node, program};
pub use http::{Answer, Http, request};
pub use strace::Strace;
pub use token::{claims, hex, mint, unhex, unix_now};
pub use wait::{PATIENCE, alone, until};
pub use worker::{SECRET, Worker, command};
pub use ws::{
    BINARY, CLOSE, CONTINUATION, Ending, Frame, PING, PONG, Socket, TEXT, close_payload, encode,
    frame, parse, upgrade_request,
};
