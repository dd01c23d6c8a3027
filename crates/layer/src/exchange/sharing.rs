//! What other replicas can expect of a fetch, for as long as they wait for it.

use larder_store::Lease;

use super::Job;
use crate::cache::Cache;

impl Job {
    /// The body is on its way. Other replicas wait a little for one that they can have from the tier behind, and not at all for another.
    pub(super) fn head_is_there(&mut self, cache: &Cache, length: Option<u64>) {
        self.share_no_more_than(cache, length.unwrap_or(0));
        self.lease.iter_mut().for_each(Lease::arriving);
    }

    /// Nobody waits for a body that is too long for the tier behind.
    pub(super) fn share_no_more_than(&mut self, cache: &Cache, length: u64) {
        if let Some(lease) = self.lease.take_if(|_| cache.remote.as_ref().is_some_and(|remote| !remote.store.takes(length))) {
            lease.not_shared();
        }
    }
}
