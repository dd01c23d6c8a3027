//! Bodies in memory in fewer bytes than they have: packed behind their answers, one after the other on a thread for what blocks, so that no client
//! waits for it and a burst of misses takes one core at most.

use std::sync::{Arc, Weak};

use larder_store::{BodyPacking, StoredResponse};
use tokio::sync::mpsc;

use super::Cache;

/// Responses that may wait to be packed. Beyond it they stay as they are.
const MAX_WAITING: usize = 1024;

/// Where a cache's responses go to be packed.
#[derive(Debug)]
pub(super) struct Packer {
    packing: BodyPacking,
    queue: mpsc::Sender<Arc<StoredResponse>>,
}

impl Packer {
    pub(super) fn packing(&self) -> &BodyPacking {
        &self.packing
    }
}

impl Cache {
    /// From now on memory holds bodies packed where this packing wants them, which are made whole for each answer. Called once, within a runtime
    /// of tokio: later calls change nothing.
    pub fn pack_bodies(self: &Arc<Self>, packing: BodyPacking) {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        if self.packer.set(Packer { packing: packing.clone(), queue }).is_ok() {
            tokio::spawn(pack(Arc::downgrade(self), packing, waiting));
        }
    }

    /// Stores a response in memory ([`MemoryStore::commit`](larder_store::MemoryStore::commit)), and has it packed where that is wanted.
    pub(crate) fn keep(&self, response: &Arc<StoredResponse>) -> bool {
        let kept = self.store.commit(Arc::clone(response));
        if let Some(packer) = self.packer.get().filter(|packer| kept && packer.packing.wants(response)) {
            // What finds no room stays as it is.
            let _ = packer.queue.try_send(Arc::clone(response));
        }
        kept
    }
}

/// Packs what comes, until the cache is gone.
async fn pack(cache: Weak<Cache>, packing: BodyPacking, mut waiting: mpsc::Receiver<Arc<StoredResponse>>) {
    while let Some(response) = waiting.recv().await {
        let (cache, packing) = (Weak::clone(&cache), packing.clone());
        let packed = tokio::task::spawn_blocking(move || {
            if let Some(packed) = packing.pack(&response)
                && let Some(cache) = cache.upgrade()
                && let Some((before, now)) = cache.store.pack(&response, packed)
            {
                cache.tiers.iter().for_each(|tier| tier.store.repacked(&before, &now));
            }
        });
        // One that panics is one that stays as it is.
        let _ = packed.await;
    }
}
