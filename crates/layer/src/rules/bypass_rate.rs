//! How often the clients of one network may bypass the cache: a bypass makes the origin work, so it is not to be had without end.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use larder_semantics::Timestamp;

/// Networks that are known at the same time, in a few hundred KiB.
const MAX_NETWORKS: usize = 16_384;

/// So many bypasses within so many seconds, at once or one after the other, for the clients of a /24 (IPv4) or a /64 (IPv6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BypassRate {
    count: u32,
    seconds: u32,
}

impl BypassRate {
    /// `count` bypasses within `seconds`, either of which is at least one.
    pub const fn new(count: u32, seconds: u32) -> Self {
        Self { count: if count == 0 { 1 } else { count }, seconds: if seconds == 0 { 1 } else { seconds } }
    }

    /// Microseconds in which `count` are allowed.
    fn window(self) -> u64 {
        u64::from(self.seconds) * 1_000_000
    }
}

/// Clients that are one to the limit: whoever has one address has the others of its network as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Network {
    V4(u32),
    V6(u64),
    Unknown,
}

impl Network {
    fn of(client: Option<IpAddr>) -> Self {
        match client.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => Self::V4(address.to_bits() >> 8),
            Some(IpAddr::V6(address)) => Self::V6((address.to_bits() >> 64) as u64),
            None => Self::Unknown,
        }
    }
}

/// For each network the time at which it will have its whole allowance again, in microseconds: the generic cell rate algorithm (ITU-T I.371), for
/// which one number a network is enough. An allowance that is whole needs no entry.
#[derive(Debug, Default)]
pub(crate) struct Bypasses {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    whole_at: HashMap<(Network, BypassRate), u64>,
    swept: u64,
}

impl Bypasses {
    /// Takes one bypass out of the allowance of a client's network, if there is one left. Where more networks ask than are known at the same
    /// time, those that come last have none: the store answers them.
    pub(crate) fn take(&self, client: Option<IpAddr>, rate: BypassRate, now: Timestamp) -> bool {
        let (now, window) = (now.as_millis() * 1_000, rate.window());
        let (network, mut known) = ((Network::of(client), rate), self.known.lock().unwrap_or_else(PoisonError::into_inner));
        // A time that is further ahead than any allowance reaches is from before the clock was set back.
        let whole_at = known.whole_at.get(&network).copied().filter(|at| (now..=now + window).contains(at)).unwrap_or(now);
        let next = whole_at + window / u64::from(rate.count);
        if next > now + window || !known.has_room_for(network, now) {
            return false;
        }
        known.whole_at.insert(network, next);
        true
    }
}

impl Known {
    fn has_room_for(&mut self, network: (Network, BypassRate), now: u64) -> bool {
        if self.whole_at.len() < MAX_NETWORKS || self.whole_at.contains_key(&network) {
            return true;
        }
        // Once a second at most: it looks at all of them.
        if now.abs_diff(self.swept) >= 1_000_000 {
            self.swept = now;
            self.whole_at.retain(|_, whole_at| *whole_at > now);
        }
        self.whole_at.len() < MAX_NETWORKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000_000 + millis)
    }

    #[test]
    fn an_allowance_is_had_at_once_and_comes_back_bit_by_bit() {
        let (bypasses, rate) = (Bypasses::default(), BypassRate::new(5, 1));
        let take = |millis| bypasses.take(client("192.0.2.1"), rate, at(millis));
        assert_eq!([0; 6].map(take), [true, true, true, true, true, false]);
        assert!(!take(199) && take(200) && !take(201) && take(400));
        assert_eq!([5_000; 6].map(take), [true, true, true, true, true, false], "never more than the whole");
    }

    #[test]
    fn the_addresses_of_one_network_are_one_client() {
        let (bypasses, rate) = (Bypasses::default(), BypassRate::new(1, 60));
        let take = |address| bypasses.take(client(address), rate, at(0));
        assert!(take("192.0.2.1") && !take("192.0.2.254") && !take("::ffff:192.0.2.7") && take("192.0.3.1"));
        assert!(take("2001:db8::1") && !take("2001:db8::ffff:0:0:1") && take("2001:db8:0:1::1"));
        assert!(bypasses.take(None, rate, at(0)) && !bypasses.take(None, rate, at(0)));
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_no_client_without() {
        let (bypasses, rate) = (Bypasses::default(), BypassRate::new(1, 1));
        assert!(bypasses.take(client("192.0.2.1"), rate, at(1_000_000)));
        assert!(bypasses.take(client("192.0.2.1"), rate, at(0)));
    }

    #[test]
    fn a_flood_of_networks_takes_bounded_memory_and_gets_nothing_more() {
        let (bypasses, rate) = (Bypasses::default(), BypassRate::new(1, 10));
        let take = |network: u32, millis| bypasses.take(Some(IpAddr::V4((network << 8).into())), rate, at(millis));
        assert!((0..MAX_NETWORKS as u32).all(|network| take(network, 0)));
        assert!(!take(1 << 20, 0) && !take(1 << 20, 500), "no room");
        assert_eq!(bypasses.known.lock().unwrap().whole_at.len(), MAX_NETWORKS);
        assert!(take(1 << 20, 10_001), "those whose allowance is whole again have left");
        assert_eq!(bypasses.known.lock().unwrap().whole_at.len(), 1);
    }
}
