//! Clients that may bypass the cache.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Whether a client may bypass the cache, given its address where that is known ([`EffectiveTarget::client`](crate::EffectiveTarget::client)).
#[derive(Clone)]
pub struct MayBypass(Arc<dyn Fn(Option<IpAddr>) -> bool + Send + Sync>);

impl MayBypass {
    /// From a predicate.
    pub fn new(predicate: impl Fn(Option<IpAddr>) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(predicate))
    }

    /// Every client may.
    pub fn anyone() -> Self {
        Self::new(|_| true)
    }

    pub(crate) fn allows(&self, client: Option<IpAddr>) -> bool {
        (self.0)(client)
    }
}

impl fmt::Debug for MayBypass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MayBypass")
    }
}
