//! The client's address: the peer's, or what a trusted proxy says (docs/protocol.md, "Client
//! address").
//!
//! What a stranger writes into a header is never believed, and never reaches a log line as text:
//! only an address does.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// The address of a client as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddr(Option<IpAddr>);

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("?"),
        }
    }
}

impl ClientAddr {
    /// The address of the client behind `peer`.
    ///
    /// If `peer` is trusted: the rightmost entry of `forwarded_for` (the values of all such
    /// headers in order) that is not trusted itself, else `real_ip`, else the leftmost entry. An
    /// entry that is no address is shown as `?`.
    pub fn find<'a>(
        peer: IpAddr,
        forwarded_for: impl Iterator<Item = &'a [u8]>,
        real_ip: Option<&[u8]>,
        trusted: &[IpNet],
    ) -> Self {
        let is_trusted = |address: IpAddr| is_trusted(address, trusted);
        let peer = peer.to_canonical();
        if !is_trusted(peer) {
            return Self(Some(peer));
        }
        let entries = forwarded_for.flat_map(|value| value.split(|byte| *byte == b','));
        let entries: Vec<Option<IpAddr>> = entries.map(read_address).collect();
        let stranger = entries.iter().rfind(|entry| !entry.is_some_and(is_trusted)).copied();
        let found = stranger.or(real_ip.map(read_address)).or(entries.first().copied());
        Self(found.unwrap_or(Some(peer)))
    }

    /// The address, if it is known.
    pub fn ip(&self) -> Option<IpAddr> {
        self.0
    }
}

/// Whether `peer` is one of the `trusted` proxies.
pub fn is_trusted(peer: IpAddr, trusted: &[IpNet]) -> bool {
    let peer = peer.to_canonical();
    trusted.iter().any(|net| net.contains(&peer))
}

/// An address, with or without a port.
fn read_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let address = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
        .or_else(|_| text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>())
        .ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(peer: &str, forwarded: &[&str], real: Option<&str>) -> String {
        let trusted = ["127.0.0.0/8", "10.0.0.0/8", "::1/128"].map(|net| net.parse().unwrap());
        let values = forwarded.iter().map(|value| value.as_bytes());
        let real = real.map(str::as_bytes);
        ClientAddr::find(peer.parse().unwrap(), values, real, &trusted).to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(find("203.0.113.9", &["198.51.100.1"], Some("198.51.100.2")), "203.0.113.9");
    }

    #[test]
    fn behind_a_trusted_proxy_the_rightmost_stranger_counts() {
        assert_eq!(find("127.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.7"], None), "198.51.100.1");
        assert_eq!(find("::1", &["1.1.1.1", "198.51.100.1"], None), "198.51.100.1");
        assert_eq!(find("::ffff:127.0.0.1", &["198.51.100.1"], None), "198.51.100.1");
        assert_eq!(find("127.0.0.1", &["10.0.0.1, 10.0.0.2"], None), "10.0.0.1");
    }

    #[test]
    fn without_x_forwarded_for_the_real_ip_counts() {
        assert_eq!(find("127.0.0.1", &[], Some("198.51.100.2")), "198.51.100.2");
        assert_eq!(find("127.0.0.1", &["198.51.100.1"], Some("198.51.100.2")), "198.51.100.1");
        assert_eq!(find("127.0.0.1", &["10.0.0.1"], Some("198.51.100.2")), "198.51.100.2");
        assert_eq!(find("127.0.0.1", &[], None), "127.0.0.1");
    }

    #[test]
    fn what_is_no_address_is_a_question_mark() {
        for forged in ["evil\u{1b}[2J", "", "1.2.3", "unknown, "] {
            assert_eq!(find("127.0.0.1", &[forged], None), "?", "{forged:?}");
        }
        assert_eq!(find("127.0.0.1", &[], Some("x y")), "?");
    }

    #[test]
    fn ports_are_left_out() {
        assert_eq!(find("127.0.0.1", &["198.51.100.1:4711"], None), "198.51.100.1");
        assert_eq!(find("127.0.0.1", &["[2001:db8::1]:80"], None), "2001:db8::1");
        assert_eq!(find("127.0.0.1", &["[2001:db8::1]"], None), "2001:db8::1");
    }
}
