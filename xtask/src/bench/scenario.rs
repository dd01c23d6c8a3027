//! The scenarios that are measured.

use super::Result;
use super::options::Protocol;

/// How many different keys the spread and memory scenarios use.
pub(super) const KEYS: u32 = 100_000;
/// Connections that are open and quiet.
const IDLE: u32 = 10_000;
/// Bytes of a small body.
pub(super) const SMALL: usize = 1024;

/// The lifetime of keys that expire in the middle of a round, in seconds; what was fetched anew outlives it.
pub(super) const EXPIRY_SECONDS: u64 = 4;

/// One row of targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scenario {
    Hit1k,
    Hit10k,
    Hit1m,
    Spread,
    Miss,
    Unguarded,
    Guarded,
    NotModified,
    Http2,
    Stampede,
    Memory,
    Mixed,
    Pass,
    Upload,
    Identity,
    Vary,
    Range,
    Post2k,
    LogText,
    LogJson,
    TailFiltered,
    TailAll,
    Routes,
    LimitedMisses,
    LimitedRequests,
    FewConnections,
    ManyConnections,
    MillionKeys,
    TwoCores,
    Tls,
    TlsHttp2,
    Handshake,
    Resumption,
    Idle,
    IdleTls,
    Disk1k,
    Disk100k,
    Disk10m,
    DiskBusy,
    Warming,
    Expiry,
    ExpiryAhead,
}

impl Scenario {
    pub(super) const ALL: [Self; 42] = [
        Self::Hit1k,
        Self::Hit10k,
        Self::Hit1m,
        Self::Spread,
        Self::Miss,
        Self::Unguarded,
        Self::Guarded,
        Self::NotModified,
        Self::Http2,
        Self::Stampede,
        Self::Memory,
        Self::Mixed,
        Self::Pass,
        Self::Upload,
        Self::Identity,
        Self::Vary,
        Self::Range,
        Self::Post2k,
        Self::LogText,
        Self::LogJson,
        Self::TailFiltered,
        Self::TailAll,
        Self::Routes,
        Self::LimitedMisses,
        Self::LimitedRequests,
        Self::FewConnections,
        Self::ManyConnections,
        Self::MillionKeys,
        Self::TwoCores,
        Self::Tls,
        Self::TlsHttp2,
        Self::Handshake,
        Self::Resumption,
        Self::Idle,
        Self::IdleTls,
        Self::Disk1k,
        Self::Disk100k,
        Self::Disk10m,
        Self::DiskBusy,
        Self::Warming,
        Self::Expiry,
        Self::ExpiryAhead,
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
            Self::Unguarded => "miss-64k",
            Self::Guarded => "miss-64k-guarded",
            Self::NotModified => "not-modified",
            Self::Http2 => "http2",
            Self::Stampede => "stampede",
            Self::Memory => "memory",
            Self::Mixed => "mixed",
            Self::Pass => "pass",
            Self::Upload => "upload",
            Self::Identity => "identity",
            Self::Vary => "vary",
            Self::Range => "range",
            Self::Post2k => "post-2k",
            Self::LogText => "log-text",
            Self::LogJson => "log-json",
            Self::TailFiltered => "tail",
            Self::TailAll => "tail-all",
            Self::Routes => "routes-1000",
            Self::LimitedMisses => "limits-misses",
            Self::LimitedRequests => "limits-requests",
            Self::FewConnections => "connections-10",
            Self::ManyConnections => "connections-5000",
            Self::MillionKeys => "spread-1m",
            Self::TwoCores => "cores-2",
            Self::Tls => "tls",
            Self::TlsHttp2 => "tls-http2",
            Self::Handshake => "handshake",
            Self::Resumption => "resumption",
            Self::Idle => "idle",
            Self::IdleTls => "idle-tls",
            Self::Disk1k => "disk-1k",
            Self::Disk100k => "disk-100k",
            Self::Disk10m => "disk-10m",
            Self::DiskBusy => "disk-busy",
            Self::Warming => "warming",
            Self::Expiry => "expiry",
            Self::ExpiryAhead => "expiry-ahead",
        }
    }

    /// What the load speaks, where `chosen` is asked for.
    pub(super) fn protocol(self, chosen: Protocol) -> Protocol {
        if matches!(self, Self::Http2 | Self::TlsHttp2) { Protocol::Http2 } else { chosen }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Hit1k => "Hot hit, 1 KiB",
            Self::Hit10k => "Hot hit, 10 KiB",
            Self::Hit1m => "Hot hit, 1 MiB",
            Self::Spread => "Hits spread over 100,000 keys with query strings, 1 KiB",
            Self::Miss => "Misses: a key of its own for every request, cacheable, 1 KiB",
            Self::Unguarded => "Misses of 64 KiB, whose requests have seven values that a guard would look for, without guards",
            Self::Guarded => "The same with guards",
            Self::NotModified => "304 to the client's If-None-Match",
            Self::Http2 => "Hot hit over HTTP/2 (h2c), 1 KiB",
            Self::Stampede => "Stampede: 500 clients ask at once for one cold key that takes 500 ms",
            Self::Memory => "Memory: resident bytes an entry of 1 KiB takes over its payload, 100,000 entries",
            Self::Mixed => "Latency of hits, alone and where one request in ten is a miss of 20 ms",
            Self::Pass => "Uncacheable, streamed, 10 MiB",
            Self::Upload => "Uploads: POST with a body of 1 MiB",
            Self::Identity => "Hot hit, 1 KiB, on a route with scope = \"identity\"",
            Self::Vary => "Hot hits, 1 KiB, of three variants by Accept-Language",
            Self::Range => "Ranges of 1 KiB of a stored body of 1 MiB",
            Self::Post2k => "Hot hit, 1 KiB, of a POST whose 2 KiB of JSON are part of the key",
            Self::LogText => "Hot hit, 1 KiB, with the access log as text",
            Self::LogJson => "Hot hit, 1 KiB, with the access log as JSON",
            Self::TailFiltered => "Hot hit, 1 KiB, while somebody looks with `larder tail --status 599`, which no request has",
            Self::TailAll => "Hot hit, 1 KiB, while somebody looks at every request with `larder tail`",
            Self::Routes => "Hot hit, 1 KiB, under the last of 1,000 routes",
            Self::LimitedMisses => "Hot hit, 1 KiB, where a limit counts the misses of each client",
            Self::LimitedRequests => "Hot hit, 1 KiB, where a limit counts the requests of each client",
            Self::FewConnections => "Hot hit, 1 KiB, over 10 connections",
            Self::ManyConnections => "Hot hit, 1 KiB, over 5,000 connections",
            Self::MillionKeys => "Hits spread over 1,000,000 keys with query strings, 1 KiB",
            Self::TwoCores => "Hot hit, 1 KiB, on two cores, one of them shared with the load",
            Self::Tls => "Hot hit over TLS 1.3, HTTP/1.1, 1 KiB",
            Self::TlsHttp2 => "Hot hit over TLS 1.3, HTTP/2, 1 KiB",
            Self::Handshake => "A full handshake of TLS 1.3 (ECDSA P-256) and one request, a connection each",
            Self::Resumption => "A resumed handshake of TLS 1.3 and one request, a connection each",
            Self::Idle => "Resident bytes of a connection that waits for its second request, 10,000 of them",
            Self::IdleTls => "Resident bytes of a connection that waits for its second request over TLS, 10,000 of them",
            Self::Disk1k => "Hits from disk, spread over 100,000 keys, 1 KiB, from the page cache",
            Self::Disk100k => "Hits from disk, 100 KiB, from the page cache",
            Self::Disk10m => "Hits from disk, 10 MiB, from the page cache",
            Self::DiskBusy => "Latency of hits from memory, alone and while the disk is kept busy",
            Self::Warming => "Latency of hits, alone and while `larder warm` fetches 10,000 URLs after 10,000",
            Self::Expiry => {
                "Latency over 10,000 keys, each asked for once a second, where none expires and where all do in the same second, once"
            }
            Self::ExpiryAhead => "The same with `refresh_ahead = 0.75`",
        }
    }

    /// Keep-alive connections of the load.
    pub(super) fn connections(self) -> u32 {
        match self {
            Self::FewConnections => 10,
            Self::ManyConnections => 5000,
            Self::Idle | Self::IdleTls => IDLE,
            // Each has some MiB under way.
            Self::Pass | Self::Upload | Self::Disk10m => 16,
            _ => 64,
        }
    }

    /// How many keys are filled beforehand, where hits are spread over them.
    pub(super) fn spread(self) -> Option<u32> {
        match self {
            Self::Spread | Self::Disk1k => Some(KEYS),
            Self::MillionKeys => Some(10 * KEYS),
            _ => None,
        }
    }

    /// Whether it shows how one server's cost grows, and not how it compares: only the bare server stands beside it.
    pub(super) fn is_about_growth(self) -> bool {
        let policy =
            matches!(self, Self::Identity | Self::Vary | Self::Range | Self::Post2k | Self::LogText | Self::LogJson | Self::Routes);
        policy
            || self.tail().is_some()
            || matches!(
                self,
                Self::LimitedMisses
                    | Self::LimitedRequests
                    | Self::Unguarded
                    | Self::Guarded
                    | Self::FewConnections
                    | Self::ManyConnections
                    | Self::MillionKeys
                    | Self::TwoCores
            )
    }

    /// The target on the admin listener that somebody looks at meanwhile.
    pub(super) fn tail(self) -> Option<&'static str> {
        match self {
            Self::TailFiltered => Some("/tail?status=599"),
            Self::TailAll => Some("/tail"),
            _ => None,
        }
    }

    /// Whether clients speak TLS: there is no bare server beside it.
    pub(super) fn has_tls(self) -> bool {
        matches!(self, Self::Tls | Self::TlsHttp2 | Self::Handshake | Self::Resumption | Self::IdleTls)
    }

    /// Whether hits come from a directory, and not from memory: of these caches nginx and Larder have one.
    pub(super) fn is_on_disk(self) -> bool {
        matches!(self, Self::Disk1k | Self::Disk100k | Self::Disk10m)
    }

    /// Whether there is a directory behind the memory.
    pub(super) fn has_disk(self) -> bool {
        self.is_on_disk() || self == Self::DiskBusy
    }

    /// Whether each request has a connection of its own.
    pub(super) fn is_handshake(self) -> bool {
        matches!(self, Self::Handshake | Self::Resumption)
    }

    /// Whether connections are what is measured, and not requests.
    pub(super) fn is_idle(self) -> bool {
        matches!(self, Self::Idle | Self::IdleTls)
    }

    /// Bytes of the bodies of answers.
    pub(super) fn body(self) -> usize {
        match self {
            Self::Hit10k => 10 << 10,
            Self::Unguarded | Self::Guarded => 64 << 10,
            Self::Hit1m => 1 << 20,
            Self::Pass | Self::Disk10m => 10 << 20,
            Self::Disk100k => 100 << 10,
            _ => SMALL,
        }
    }

    /// Whether `h2load` makes the load over HTTP/1.1, too: `wrk` waits for the body of a 304 that has a Content-Length.
    pub(super) fn needs_h2load(self) -> bool {
        self == Self::NotModified
    }

    /// Whether what clients wait for is compared, without something that happens beside it and with it.
    pub(super) fn is_disturbed(self) -> bool {
        matches!(self, Self::Mixed | Self::Warming | Self::DiskBusy) || self.is_expiry()
    }

    /// Whether keys expire that are asked for.
    pub(super) fn is_expiry(self) -> bool {
        matches!(self, Self::Expiry | Self::ExpiryAhead)
    }

    /// Whether a cache must answer everything without the origin, once it is warm.
    pub(super) fn is_hit(self) -> bool {
        !self.reaches_origin() && !matches!(self, Self::Stampede | Self::Memory) && !self.is_disturbed()
    }

    /// Whether every request is the same, so that any load tool can make it.
    pub(super) fn has_one_target(self) -> bool {
        let has_load_of_its_own = matches!(self, Self::Stampede | Self::Memory) || self.is_disturbed() || self.has_tls() || self.is_idle();
        !has_load_of_its_own && self.script(0).is_none()
    }

    /// Whether a request is told by its number alone.
    pub(super) fn has_numbered_targets(self) -> bool {
        let of_many = self.is_miss() || matches!(self, Self::Spread | Self::MillionKeys | Self::Warming);
        of_many || self.is_expiry() || (self.has_one_target() && self.field().is_none())
    }

    /// Whether every request has a key of its own.
    pub(super) fn is_miss(self) -> bool {
        matches!(self, Self::Miss | Self::Unguarded | Self::Guarded)
    }

    /// Whether every request goes to the origin.
    pub(super) fn reaches_origin(self) -> bool {
        self.is_miss() || matches!(self, Self::Pass | Self::Upload)
    }
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
}
