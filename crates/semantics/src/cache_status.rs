//! The `Cache-Status` field (RFC 9211).

/// Why a request was forwarded (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForwardReason {
    /// The cache is set not to handle it.
    Bypass,
    /// The method has to go through.
    Method,
    /// Nothing under this URI.
    UriMiss,
    /// Something under this URI, but no variant for this request.
    VaryMiss,
    /// Not told apart.
    Miss,
    /// The request's directives forbade it.
    Request,
    /// It was stale.
    Stale,
    /// It was partial.
    Partial,
}

/// One member of `Cache-Status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// `hit`.
    pub hit: bool,
    /// `fwd`.
    pub fwd: Option<ForwardReason>,
    /// `fwd-status`.
    pub fwd_status: Option<u16>,
    /// `ttl`, negative when stale.
    pub ttl: Option<i64>,
    /// `stored`.
    pub stored: bool,
    /// `collapsed`.
    pub collapsed: bool,
    /// `detail`.
    pub detail: Option<&'static str>,
}

impl CacheStatus {
    /// x
    pub fn write(&self, out: &mut String) {
        out.push_str("larder");
    }
}
