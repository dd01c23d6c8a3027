//! Clients that speak another protocol than their listener, or misuse the one they speak, told in the log once a minute.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How a connection is not used as its listener wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misuse {
    /// TLS where the listener speaks clear text.
    Tls,
    /// Clear text where the listener speaks TLS.
    ClearText,
    /// No PROXY header, or a broken one, from a proxy that has to send one.
    ProxyHeader,
    /// More control frames than an HTTP/2 client may send.
    Flood,
    /// More streams at a time than it may open.
    Streams,
}

/// Tells of misuses: the first at once, and others of its kind by their number, a minute at a time. A scanner must not fill the log.
#[derive(Debug, Default)]
pub(crate) struct Misuses([Paced; Misuse::ALL.len()]);

#[derive(Debug, Default)]
struct Paced {
    is_quiet: AtomicBool,
    untold: AtomicU64,
}

impl Misuse {
    const ALL: [Self; 5] = [Self::Tls, Self::ClearText, Self::ProxyHeader, Self::Flood, Self::Streams];

    fn sentence(self) -> &'static str {
        match self {
            Self::Tls => "a client speaks TLS to a listener in clear text",
            Self::ClearText => "a client speaks clear text to a listener that speaks TLS",
            Self::ProxyHeader => "a proxy sends no valid PROXY header to a listener that requires one",
            Self::Flood => "a client sends more HTTP/2 frames that only cost than it may; its connection is closed",
            Self::Streams => "a client opens more HTTP/2 streams at a time than `max_streams`; they are refused",
        }
    }
}

impl Misuses {
    pub(crate) fn tell(&self, misuse: Misuse, peer: SocketAddr, listener: SocketAddr) {
        if self.0[misuse as usize].may_be_told() {
            tracing::warn!(%peer, %listener, "{}", misuse.sentence());
        }
    }

    /// To be called once a minute.
    pub(crate) fn minute_passed(&self) {
        for misuse in Misuse::ALL {
            let more = self.0[misuse as usize].minute_passed();
            if more > 0 {
                tracing::warn!(more, "{}", misuse.sentence());
            }
        }
    }
}

impl Paced {
    fn may_be_told(&self) -> bool {
        let is_first = !self.is_quiet.swap(true, Ordering::Relaxed);
        if !is_first {
            self.untold.fetch_add(1, Ordering::Relaxed);
        }
        is_first
    }

    /// How many were not told. After a minute without any the next is told at once.
    fn minute_passed(&self) -> u64 {
        let untold = self.untold.swap(0, Ordering::Relaxed);
        if untold == 0 {
            self.is_quiet.store(false, Ordering::Relaxed);
        }
        untold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_and_the_others_are_counted_by_the_minute() {
        let paced = Paced::default();
        assert_eq!([paced.may_be_told(), paced.may_be_told(), paced.may_be_told()], [true, false, false]);
        assert_eq!(paced.minute_passed(), 2);
        assert!(!paced.may_be_told(), "it goes on");
        assert_eq!((paced.minute_passed(), paced.minute_passed()), (1, 0));
        assert!(paced.may_be_told());
    }
}
