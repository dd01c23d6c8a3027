//! `[[warm]]`: what is fetched before anybody asks for it.

use std::time::Duration;

use http::{HeaderMap, Uri};

use super::ReadFile;

/// One of `[[warm]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmJob {
    /// Its name; no two have the same.
    pub name: String,
    /// Whether it runs when the process starts.
    pub on_start: bool,
    /// Whether it runs when a configuration comes into force.
    pub on_reload: bool,
    /// The time from the end of one run to the beginning of the next; `None`: there is none.
    pub every: Option<Duration>,
    /// What is fetched: whole URLs with `http` or `https`; never empty.
    pub urls: Vec<Uri>,
    /// The fields of each request.
    pub headers: HeaderMap,
    /// Requests at the same time.
    pub concurrency: usize,
    /// Requests a second at most; `None`: any number.
    pub rate: Option<u32>,
    /// Whether `/readyz` waits for its first run.
    pub ready: bool,
    /// How long it waits.
    pub ready_timeout: Duration,
    /// The files that it names.
    pub files: Vec<ReadFile>,
}
