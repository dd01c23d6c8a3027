//! `Cache-Control` of requests and responses (RFC 9111 §5.2).

/// The directives of a request (RFC 9111 §5.2.1, RFC 5861 §4). Lifetimes are whole seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// §5.2.1.1.
    pub max_age: Option<u32>,
    /// §5.2.1.2; `u32::MAX` where no argument was given.
    pub max_stale: Option<u32>,
    /// §5.2.1.3.
    pub min_fresh: Option<u32>,
    /// §5.2.1.4, and `Pragma: no-cache` (§5.4).
    pub no_cache: bool,
    /// §5.2.1.5.
    pub no_store: bool,
    /// §5.2.1.7.
    pub only_if_cached: bool,
    /// RFC 5861 §4.
    pub stale_if_error: Option<u32>,
}
