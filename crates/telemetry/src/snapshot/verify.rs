//! Whether what is served is what origins would say.

use serde::Serialize;

use super::LabelledCount;

/// One route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifySnapshot {
    /// Its name.
    pub route: String,
    /// Hits that were compared since the start, by what came of it.
    pub hits: Vec<LabelledCount>,
    /// The least age in seconds at which an answer had changed; `None`: none had.
    pub safe_lifetime: Option<u32>,
    /// Whether it is not cached, since its answers depend on who asks.
    pub stopped: bool,
}
