//! `GET /metrics`: everything that is counted, for Prometheus (docs/metrics.md).
//!
//! Opened by the secret, or by the address of who asks; by no address that somebody else claims.
//! Start reading at [`answer`].

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, VARY};
use hyper::header::{HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, Response, StatusCode};
use ipnet::IpNet;
use tokio::task::spawn_blocking;
use tracing::info;

use super::{Admin, Answer, text};
use crate::metrics::{Format, ProcessFigures, write};
use crate::problems::Kind;

/// What whoever may not see it is told.
const FORBIDDEN: &str = "forbidden: send the secret as X-Worker-Secret or as a bearer token, \
    or add your address to metrics_allow\n";

/// By these, and by all that begin with `x-forwarded-`, a proxy says that it is one.
const FORWARDED: [&str; 3] = ["x-real-ip", "forwarded", "via"];

/// Whether a request may see the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// It has the secret, or comes from an address that needs none.
    Open,
    /// It has another secret.
    WrongSecret,
    /// It has none, and comes from somewhere else.
    Stranger,
}

/// Answers `request` of `peer`.
pub(super) async fn answer(admin: &Admin, request: &Request<Incoming>, peer: SocketAddr) -> Answer {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    let is_secret = |candidate: &[u8]| admin.broker.is_secret(candidate);
    let access = access(request.headers(), peer, &admin.http.metrics_allow, is_secret);
    if access != Access::Open {
        if access == Access::WrongSecret {
            admin.metrics.forbidden.inc();
            let detail = || format!("client {}, /metrics", peer.ip().to_canonical());
            admin.metrics.problems.note(Kind::WrongSecret, detail);
        }
        info!(client = %peer.ip().to_canonical(), "metrics refused");
        return text(StatusCode::FORBIDDEN, FORBIDDEN);
    }
    admin.broker.count_nodes().await;
    // It takes longer with many open files, and this thread serves PHP.
    let process = spawn_blocking(ProcessFigures::read).await.unwrap_or_default();
    let accept = request.headers().get_all(ACCEPT).iter().map(HeaderValue::as_bytes);
    let format = Format::accepted(accept);
    let page = write(&admin.broker.measured(&process), format);
    let mut answer = Response::new(Full::new(Bytes::from(page)));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    answer
}

/// Whether who sent `headers` may see the metrics. A secret, once given, has to be right.
fn access(
    headers: &HeaderMap,
    peer: SocketAddr,
    allowed: &[IpNet],
    is_secret: impl Fn(&[u8]) -> bool,
) -> Access {
    let own = headers.get("x-worker-secret").map(|value| value.as_bytes().trim_ascii());
    let bearer = headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    if let Some(secret) = own.or(bearer) {
        return if is_secret(secret) { Access::Open } else { Access::WrongSecret };
    }
    let through_a_proxy = headers
        .keys()
        .map(HeaderName::as_str)
        .any(|name| name.starts_with("x-forwarded-") || FORWARDED.contains(&name));
    let ip = peer.ip().to_canonical();
    if !through_a_proxy && allowed.iter().any(|net| net.contains(&ip)) {
        Access::Open
    } else {
        Access::Stranger
    }
}

/// The token of `Bearer TOKEN`.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: &str, headers: &[(&'static str, &'static str)]) -> Access {
        let allowed = ["127.0.0.0/8", "::1/128"].map(|net| net.parse().unwrap());
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        access(&headers, peer.parse().unwrap(), &allowed, |secret| secret == b"right")
    }

    #[test]
    fn the_secret_opens_it_from_everywhere_and_a_wrong_one_from_nowhere() {
        for peer in ["127.0.0.1:1", "203.0.113.9:1"] {
            for (name, value) in [
                ("x-worker-secret", "right"),
                ("x-worker-secret", " right "),
                ("authorization", "Bearer right"),
                ("authorization", "bearer  right"),
            ] {
                assert_eq!(of(peer, &[(name, value)]), Access::Open, "{value}");
            }
            for (name, value) in [
                ("x-worker-secret", "wrong"),
                ("x-worker-secret", ""),
                ("authorization", "Bearer wrong"),
                ("authorization", "Bearer "),
            ] {
                assert_eq!(of(peer, &[(name, value)]), Access::WrongSecret, "{value}");
            }
        }
        let both = [("x-worker-secret", "wrong"), ("authorization", "Bearer right")];
        assert_eq!(of("127.0.0.1:1", &both), Access::WrongSecret);
    }

    #[test]
    fn without_a_secret_the_peers_own_address_counts() {
        for peer in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(of(peer, &[]), Access::Open, "{peer}");
            assert_eq!(of(peer, &[("authorization", "Basic eDp5")]), Access::Open, "{peer}");
        }
        for peer in ["203.0.113.9:1", "10.0.0.1:1", "[2001:db8::1]:1"] {
            assert_eq!(of(peer, &[]), Access::Stranger, "{peer}");
        }
    }

    #[test]
    fn what_came_through_a_proxy_needs_the_secret() {
        for (name, value) in [
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-for", ""),
            ("x-real-ip", "127.0.0.1"),
            ("forwarded", "for=127.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("via", "1.1 site.example"),
        ] {
            assert_eq!(of("127.0.0.1:1", &[(name, value)]), Access::Stranger, "{name}");
            let with_secret = [(name, value), ("x-worker-secret", "right")];
            assert_eq!(of("127.0.0.1:1", &with_secret), Access::Open, "{name}");
        }
    }
}
