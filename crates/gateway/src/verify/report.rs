//! What verification has found, as `GET /verify` tells it and the command line reads it.

use serde::{Deserialize, Serialize};

/// One route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct VerifyReport {
    pub(crate) route: String,
    /// `check` or `shadow`.
    pub(crate) mode: String,
    /// The share of hits that is compared.
    pub(crate) sample: f64,
    /// Hits that were compared, since the start.
    pub(crate) judged: u64,
    pub(crate) agreed: u64,
    /// Those where the origin said something else.
    pub(crate) differed: u64,
    /// Those whose answer depends on who asks.
    pub(crate) leaks: u64,
    /// Those that could not be compared, since the origin failed or the answer was too long.
    pub(crate) not_judged: u64,
    /// Those that were left out, since the upstream had no place to spare.
    pub(crate) skipped: u64,
    /// The share of what was compared that agreed; `None`: nothing was compared.
    pub(crate) agreement: Option<f64>,
    /// The age, in seconds, from which on answers had changed: a shorter lifetime would have been safe. `None`: none had.
    pub(crate) safe_lifetime: Option<u32>,
    /// The greatest age at which an answer still agreed, in seconds.
    pub(crate) oldest_agreed: u32,
    /// The greatest age at which an answer differed, in seconds.
    pub(crate) stalest: u32,
    /// Whether the route is not cached, since its answers depend on who asks.
    pub(crate) stopped: bool,
    /// Members of answers that differ each time, and are left out.
    pub(crate) noise: Vec<String>,
    /// The last ones that differed, the newest first.
    pub(crate) examples: Vec<Example>,
}

/// An answer that differed. None of its values is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Example {
    /// When, as of RFC 3339.
    pub(crate) at: String,
    /// Secrets in it are masked.
    pub(crate) url: String,
    /// How old what is stored was, in seconds.
    pub(crate) age: u32,
    /// Whether it depends on who asks.
    pub(crate) leak: bool,
    /// Where it differed: `status`, `header NAME`, `body` or members of JSON.
    pub(crate) places: Vec<String>,
}
