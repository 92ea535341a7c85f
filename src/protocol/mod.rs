//! What goes over the wires, as pure functions: no sockets, no clock, no tokio.
//!
//! [`json`] reads JSON as the Go worker did, [`request`] the bodies PHP sends, [`message`] and
//! [`frame`] what browsers send and get, [`close`] the codes a connection ends with. The contract
//! itself is docs/protocol.md.

pub mod close;
pub mod envelope;
pub mod frame;
pub mod json;
pub mod message;
pub mod query;
pub mod request;
