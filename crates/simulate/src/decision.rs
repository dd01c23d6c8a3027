//! What a cache decided about a request.

use http::HeaderName;
use larder_semantics::Reason;

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// From the store.
    Hit,
    /// From the store, once the origin had said that it still holds.
    Revalidated,
    /// From the origin.
    Miss,
    /// From the origin, past the store.
    Bypass,
    /// Nowhere: no route is for it, or it may not pass.
    Refused,
}

impl Verdict {
    /// Its word, as in Larder's access log; that has none for what is refused.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hit => "HIT",
            Self::Revalidated => "REVALIDATED",
            Self::Miss => "MISS",
            Self::Bypass => "BYPASS",
            Self::Refused => "-",
        }
    }
}

/// What was decided about one record.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The place of its route among the names of the routes; `None`: there is none for it.
    pub route: Option<usize>,
    /// Where the answer came from.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// Whether the origin's answer was stored.
    pub stored: bool,
    /// Whether what was served was stale.
    pub stale: bool,
    /// The URL of the key, where there is one.
    pub url: Option<Box<str>>,
    /// Fields of the request by which what was stored is chosen, besides its URL: those of the key, and those that the answer names in `Vary`. Known where
    /// `lifetime` is.
    pub fields: Vec<HeaderName>,
    /// How long what was stored is fresh, in seconds, where that is known.
    pub lifetime: Option<u32>,
    /// Requests to the origin, those in the background included.
    pub origin_requests: u32,
    /// Whether the request may change something at its origin.
    pub is_write: bool,
    /// What a write invalidates besides its own URL: tags, paths, patterns.
    pub invalidates: u32,
}

impl Decision {
    /// Whether the client had its answer without waiting for the origin.
    pub fn is_hit(&self) -> bool {
        self.verdict == Verdict::Hit
    }
}
