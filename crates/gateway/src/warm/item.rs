//! What a run fetches.

use http::{HeaderMap, Uri};

use crate::telemetry::observe::HotUrl;

/// How much of a job is fetched in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Everything,
    /// What was purged, and is not stored again.
    Purged,
    /// Nothing: it is a dry run.
    Nothing,
}

/// One request that is to be made.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) url: Uri,
    pub(super) fields: HeaderMap,
    /// Where it is one of those that clients ask for most.
    pub(super) hot: Option<Box<HotUrl>>,
    pub(super) tries: u32,
}
