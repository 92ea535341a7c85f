//! `/healthz`: whether this node takes browsers, for load balancers.
//!
//! Pure. A node that ends says [`super::request::Refusal::Draining`] instead (docs/protocol.md,
//! "Health").

use super::request;

/// Where it is asked.
pub(super) const PATH: &str = "/healthz";

/// The whole answer of a node that serves, without a line feed as that of `/readyz`.
pub(super) fn serving(keep_alive: bool, without_body: bool) -> Vec<u8> {
    let connection = if keep_alive { "" } else { "Connection: close\r\n" };
    let body = if without_body { "" } else { "ok" };
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nDate: {}\r\nContent-Length: 2\r\n{connection}\r\n{body}",
        request::date(),
    )
    .into_bytes()
}
