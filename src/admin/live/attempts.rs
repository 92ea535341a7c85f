//! How many wrong secrets may be tried: few from one address, more from all together.
//!
//! Each wrong one takes from an allowance that comes back with time. Whoever has used his up is not
//! even compared, so that waiting is all that is left to a guesser. Where somebody had the right
//! one before, only the address's own allowance counts: strangers who use up that of all do not
//! keep the operator out. What counts is an IPv4 address, or the first 64 bits of an IPv6 one,
//! which are one site's. Time is an argument, in milliseconds of the node's clock. Start reading at
//! [`Attempts::try_secret`].

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};

/// Wrong secrets that one address may send in a row.
const OF_ONE: u64 = 5;

/// Time after which it may send one more.
const ONE_PAUSE_MS: u64 = 12_000;

/// Wrong secrets that may come from all addresses together, in a row.
const OF_ALL: u64 = 60;

/// Time after which one more may come.
const ALL_PAUSE_MS: u64 = 1000;

/// Addresses that are remembered; beyond, whoever may soonest try again is forgotten.
const REMEMBERED: usize = 1024;

/// Addresses that had the right secret, of which so many are remembered.
const KNOWN: usize = 64;

/// What was tried so far.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// `None` is whoever could not be told apart.
    of_one: HashMap<Option<IpAddr>, Used>,
    of_all: Used,
    /// Who had the right secret, the latest last.
    known: VecDeque<Option<IpAddr>>,
}

/// How much of an allowance is used: all is back at this moment.
#[derive(Debug, Default, Clone, Copy)]
struct Used {
    back_ms: u64,
}

/// What became of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tried {
    /// It is right.
    Right,
    /// It is wrong.
    Wrong,
    /// It was not looked at: too many were wrong. One more may be tried after these seconds.
    TooMany(u64),
}

impl Attempts {
    /// Tries a secret that came from `address`.
    pub(super) fn try_secret(
        &mut self,
        address: Option<IpAddr>,
        now_ms: u64,
        is_right: impl FnOnce() -> bool,
    ) -> Tried {
        let who = address.map(site);
        let of_one = self.of_one.get(&who).copied().unwrap_or_default();
        let mut wait_ms = of_one.wait_ms(OF_ONE, ONE_PAUSE_MS, now_ms);
        if !self.known.contains(&who) {
            wait_ms = wait_ms.max(self.of_all.wait_ms(OF_ALL, ALL_PAUSE_MS, now_ms));
        }
        if wait_ms > 0 {
            return Tried::TooMany(wait_ms.div_ceil(1000));
        }
        if is_right() {
            self.of_one.remove(&who);
            self.remember(who);
            return Tried::Right;
        }
        self.of_all.use_one(ALL_PAUSE_MS, now_ms);
        self.make_room(now_ms);
        self.of_one.entry(who).or_default().use_one(ONE_PAUSE_MS, now_ms);
        Tried::Wrong
    }

    fn remember(&mut self, who: Option<IpAddr>) {
        if self.known.back() == Some(&who) {
            return; // A shell that looks every second.
        }
        self.known.retain(|known| *known != who);
        if self.known.len() == KNOWN {
            self.known.pop_front();
        }
        self.known.push_back(who);
    }

    fn make_room(&mut self, now_ms: u64) {
        if self.of_one.len() < REMEMBERED {
            return;
        }
        self.of_one.retain(|_, used| used.back_ms > now_ms);
        if self.of_one.len() < REMEMBERED {
            return;
        }
        let soonest = self.of_one.iter().min_by_key(|(_, used)| used.back_ms);
        if let Some(who) = soonest.map(|(who, _)| *who) {
            self.of_one.remove(&who);
        }
    }
}

impl Used {
    /// How long to wait for the next try; 0 if it may come now.
    fn wait_ms(self, allowed: u64, pause_ms: u64, now_ms: u64) -> u64 {
        (self.back_ms + pause_ms).saturating_sub(now_ms + allowed * pause_ms)
    }

    fn use_one(&mut self, pause_ms: u64, now_ms: u64) {
        self.back_ms = self.back_ms.max(now_ms) + pause_ms;
    }
}

/// The address that counts.
fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn wrong(attempts: &mut Attempts, from: &str, now_ms: u64) -> Tried {
        attempts.try_secret(address(from), now_ms, || false)
    }

    #[test]
    fn five_wrong_ones_in_a_row_and_then_one_every_12_seconds() {
        let mut attempts = Attempts::default();
        for _ in 0..5 {
            assert_eq!(wrong(&mut attempts, "192.0.2.7", 0), Tried::Wrong);
        }

        assert_eq!(wrong(&mut attempts, "192.0.2.7", 0), Tried::TooMany(12));
        assert_eq!(wrong(&mut attempts, "192.0.2.7", 11_999), Tried::TooMany(1));
        assert_eq!(wrong(&mut attempts, "192.0.2.7", 12_000), Tried::Wrong);
        assert_eq!(wrong(&mut attempts, "192.0.2.7", 12_000), Tried::TooMany(12));
        assert_eq!(wrong(&mut attempts, "192.0.2.8", 12_000), Tried::Wrong);
    }

    #[test]
    fn who_has_to_wait_is_not_compared_even_if_it_would_be_right() {
        let mut attempts = Attempts::default();
        for _ in 0..5 {
            wrong(&mut attempts, "192.0.2.7", 0);
        }

        let tried = attempts.try_secret(address("192.0.2.7"), 0, || panic!("compared"));

        assert_eq!(tried, Tried::TooMany(12));
        let tried = attempts.try_secret(address("192.0.2.7"), 12_000, || true);
        assert_eq!(tried, Tried::Right);
        assert_eq!(wrong(&mut attempts, "192.0.2.7", 12_000), Tried::Wrong);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_a_mapped_address_is_ipv4() {
        let mut attempts = Attempts::default();
        for n in 0..5 {
            wrong(&mut attempts, &format!("2001:db8:1:2::{n}"), 0);
            wrong(&mut attempts, if n % 2 == 0 { "::ffff:192.0.2.7" } else { "192.0.2.7" }, 0);
        }

        assert_eq!(wrong(&mut attempts, "2001:db8:1:2:ffff::", 0), Tried::TooMany(12));
        assert_eq!(wrong(&mut attempts, "2001:db8:1:3::1", 0), Tried::Wrong);
        assert_eq!(wrong(&mut attempts, "192.0.2.7", 0), Tried::TooMany(12));
    }

    #[test]
    fn many_addresses_together_have_a_bound_too() {
        let mut attempts = Attempts::default();
        for n in 0..60 {
            assert_eq!(wrong(&mut attempts, &format!("192.0.2.{n}"), 0), Tried::Wrong);
        }

        assert_eq!(wrong(&mut attempts, "198.51.100.1", 0), Tried::TooMany(1));
        assert_eq!(wrong(&mut attempts, "198.51.100.1", 1000), Tried::Wrong);
    }

    #[test]
    fn strangers_do_not_keep_out_who_had_the_right_one_before() {
        let mut attempts = Attempts::default();
        assert_eq!(attempts.try_secret(address("192.0.2.200"), 0, || true), Tried::Right);
        for n in 0..60 {
            wrong(&mut attempts, &format!("192.0.2.{n}"), 0);
        }

        assert_eq!(wrong(&mut attempts, "192.0.2.201", 0), Tried::TooMany(1));
        assert_eq!(attempts.try_secret(address("192.0.2.200"), 0, || true), Tried::Right);
        for _ in 0..5 {
            assert_eq!(wrong(&mut attempts, "192.0.2.200", 0), Tried::Wrong);
        }
        assert_eq!(wrong(&mut attempts, "192.0.2.200", 0), Tried::TooMany(12));
    }

    #[test]
    fn of_those_who_had_the_right_one_the_latest_are_remembered() {
        let mut attempts = Attempts::default();
        for n in 0..200 {
            let from = address(&format!("192.0.2.{n}"));
            assert_eq!(attempts.try_secret(from, 0, || true), Tried::Right);
            assert_eq!(attempts.try_secret(address("192.0.2.0"), 0, || true), Tried::Right);
        }

        assert_eq!(attempts.known.len(), KNOWN);
        assert!(attempts.known.contains(&address("192.0.2.0")));
        assert!(!attempts.known.contains(&address("192.0.2.1")));
    }

    #[test]
    fn the_addresses_that_are_remembered_are_bounded() {
        let mut attempts = Attempts::default();
        for n in 0..10_000_u32 {
            let from = IpAddr::V4((0x0a00_0000 + n).into());
            attempts.try_secret(Some(from), u64::from(n) * 1000 / 100 * 100, || false);
        }

        assert!(attempts.of_one.len() <= REMEMBERED, "{}", attempts.of_one.len());
    }
}
