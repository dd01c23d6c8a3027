//! The lifetimes of a route: those that it gives, and those that it tells.

use http::{HeaderName, StatusCode};

use crate::status::refuses_the_request;

/// Lifetimes by status, in whole seconds: of one status, or of all of its class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusTtls(Vec<(Statuses, u32)>);

/// The statuses that a lifetime is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statuses {
    /// This one.
    One(StatusCode),
    /// Those that begin with this digit and tell something of the resource: a client can bring about the refusal of its own request.
    Class(u8),
}

impl StatusTtls {
    /// The same with one more; an earlier one for the same statuses goes.
    #[must_use]
    pub fn with(mut self, statuses: Statuses, seconds: u32) -> Self {
        self.0.retain(|(known, _)| *known != statuses);
        self.0.push((statuses, seconds));
        self
    }

    /// The lifetime of this status, if it has one: one status goes before its class.
    pub fn of(&self, status: StatusCode) -> Option<u32> {
        let of = |statuses| self.0.iter().find(|(known, _)| *known == statuses).map(|(_, seconds)| *seconds);
        let class = || {
            if refuses_the_request(status) { None } else { of(Statuses::Class((status.as_u16() / 100) as u8)) }
        };
        if self.0.is_empty() { None } else { of(Statuses::One(status)).or_else(class) }
    }

    /// Whether no status has one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The longest of them.
    pub fn longest(&self) -> Option<u32> {
        self.0.iter().map(|(_, seconds)| *seconds).max()
    }
}

/// The lifetime that clients are told in `Cache-Control`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientTtl {
    /// What is left of the lifetime that counts here.
    #[default]
    Route,
    /// As the origin has it.
    Origin,
    /// So many seconds from each answer on; none: clients validate what they have (`no-cache`).
    Fixed(u32),
}

/// The lifetime that the next cache towards the client is told (RFC 9213).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CdnTtl {
    /// Seconds from each answer on; 0: it validates what it has.
    pub seconds: u32,
    /// The field that it reads.
    pub field: HeaderName,
}

/// How a route's `ttl` meets the origin's lifetime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TtlMode {
    /// Only where the origin names no lifetime.
    #[default]
    Default,
    /// The origin's lifetime, but never longer than `ttl`; `ttl` where the origin names none.
    Cap,
    /// Instead of whatever lifetime the origin names, and of what forbids or ends one: `no-cache`, `must-revalidate`, `Expires`, `Pragma`.
    Override,
    /// Only where the origin names no lifetime, and each use begins it anew, as for data of a session.
    Sliding,
}
