//! The scenarios that are measured.

use super::Result;

/// How many different keys the spread and memory scenarios use.
pub(super) const KEYS: u32 = 100_000;
/// Bytes of a small body.
pub(super) const SMALL: usize = 1024;

/// One row of targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scenario {
    Hit1k,
    Hit10k,
    Hit1m,
    Spread,
    Miss,
    NotModified,
    Http2,
    Stampede,
    Memory,
    Mixed,
    LogOn,
    Routes,
    FewConnections,
    ManyConnections,
    MillionKeys,
    TwoCores,
}

impl Scenario {
    pub(super) const ALL: [Self; 16] = [
        Self::Hit1k,
        Self::Hit10k,
        Self::Hit1m,
        Self::Spread,
        Self::Miss,
        Self::NotModified,
        Self::Http2,
        Self::Stampede,
        Self::Memory,
        Self::Mixed,
        Self::LogOn,
        Self::Routes,
        Self::FewConnections,
        Self::ManyConnections,
        Self::MillionKeys,
        Self::TwoCores,
    ];

    pub(super) fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|scenario| scenario.name() == name);
        found.ok_or_else(|| format!("no scenario {name}; there are {}", Self::ALL.map(Self::name).join(", ")).into())
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hit1k => "hit-1k",
            Self::Hit10k => "hit-10k",
            Self::Hit1m => "hit-1m",
            Self::Spread => "spread",
            Self::Miss => "miss",
            Self::NotModified => "not-modified",
            Self::Http2 => "http2",
            Self::Stampede => "stampede",
            Self::Memory => "memory",
            Self::Mixed => "mixed",
            Self::LogOn => "log-on",
            Self::Routes => "routes-1000",
            Self::FewConnections => "connections-10",
            Self::ManyConnections => "connections-5000",
            Self::MillionKeys => "spread-1m",
            Self::TwoCores => "cores-2",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Hit1k => "Hot hit, 1 KiB",
            Self::Hit10k => "Hot hit, 10 KiB",
            Self::Hit1m => "Hot hit, 1 MiB",
            Self::Spread => "Hits spread over 100,000 keys with query strings, 1 KiB",
            Self::Miss => "Misses: a key of its own for every request, cacheable, 1 KiB",
            Self::NotModified => "304 to the client's If-None-Match",
            Self::Http2 => "Hot hit over HTTP/2 (h2c), 1 KiB",
            Self::Stampede => "Stampede: 500 clients ask at once for one cold key that takes 500 ms",
            Self::Memory => "Memory: resident bytes an entry of 1 KiB takes over its payload, 100,000 entries",
            Self::Mixed => "Latency of hits, alone and where one request in ten is a miss of 20 ms",
            Self::LogOn => "Hot hit, 1 KiB, with the access log as JSON",
            Self::Routes => "Hot hit, 1 KiB, under the last of 1,000 routes",
            Self::FewConnections => "Hot hit, 1 KiB, over 10 connections",
            Self::ManyConnections => "Hot hit, 1 KiB, over 5,000 connections",
            Self::MillionKeys => "Hits spread over 1,000,000 keys with query strings, 1 KiB",
            Self::TwoCores => "Hot hit, 1 KiB, on two cores, one of them shared with the load",
        }
    }

    /// Keep-alive connections of the load.
    pub(super) fn connections(self) -> u32 {
        match self {
            Self::FewConnections => 10,
            Self::ManyConnections => 5000,
            _ => 64,
        }
    }

    /// How many keys are filled beforehand, where hits are spread over them.
    pub(super) fn spread(self) -> Option<u32> {
        match self {
            Self::Spread => Some(KEYS),
            Self::MillionKeys => Some(10 * KEYS),
            _ => None,
        }
    }

    /// Whether it shows how one server's cost grows, and not how it compares: only the bare server stands beside it.
    pub(super) fn is_about_growth(self) -> bool {
        matches!(self, Self::LogOn | Self::Routes | Self::FewConnections | Self::ManyConnections | Self::MillionKeys | Self::TwoCores)
    }

    /// Bytes of the bodies.
    pub(super) fn body(self) -> usize {
        match self {
            Self::Hit10k => 10 << 10,
            Self::Hit1m => 1 << 20,
            _ => SMALL,
        }
    }

    /// The URL where there is one target.
    pub(super) fn target(self) -> String {
        format!("/{}/api/v1/issues?organization=acme&project=storefront", self.body())
    }

    /// Whether `wrk` makes the load.
    pub(super) fn is_wrk(self) -> bool {
        !matches!(self, Self::Stampede | Self::Memory) && !self.is_h2load()
    }

    /// Whether `h2load` makes it.
    pub(super) fn is_h2load(self) -> bool {
        matches!(self, Self::Http2 | Self::NotModified)
    }

    /// Whether a cache must answer everything without the origin, once it is warm.
    pub(super) fn is_hit(self) -> bool {
        !matches!(self, Self::Miss | Self::Stampede | Self::Memory | Self::Mixed)
    }
}

/// The target of one of [`KEYS`].
pub(super) fn key_target(key: u32) -> String {
    format!("/{SMALL}/api/v1/issues?page={key}&project=storefront")
}

/// From one key to the next: it has no factor in common with any number of keys.
const STRIDE: u32 = 61_803;

/// A `wrk` script that visits all of `keys` in an order no prefetcher guesses.
pub(super) fn spread_script(keys: u32) -> String {
    let target = format!("/{SMALL}/api/v1/issues?page=\" .. key .. \"&project=storefront");
    format!("local key = 0\nrequest = function()\n  key = (key + {STRIDE}) % {keys}\n  return wrk.format(\"GET\", \"{target}\")\nend\n")
}

/// A `wrk` script that never asks for the same twice; `run` keeps the runs apart.
pub(super) fn miss_script(run: u32) -> String {
    format!("local key = 0\nrequest = function()\n  key = key + 1\n  return wrk.format(\"GET\", \"/{SMALL}/miss/{run}/\" .. key)\nend\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_found_by_its_name() {
        for scenario in Scenario::ALL {
            assert_eq!(Scenario::named(scenario.name()).unwrap(), scenario);
        }
    }

    #[test]
    fn the_script_asks_for_the_keys_that_were_filled() {
        let filled = key_target(7).replace('7', "\" .. key .. \"");
        assert!(spread_script(KEYS).contains(&filled), "{filled}");
    }

    #[test]
    fn the_stride_visits_every_key() {
        let gcd = |mut a: u32, mut b: u32| {
            while b > 0 {
                (a, b) = (b, a % b);
            }
            a
        };
        assert!(Scenario::ALL.into_iter().filter_map(Scenario::spread).all(|keys| gcd(STRIDE, keys) == 1));
    }
}
