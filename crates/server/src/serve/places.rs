//! Places for connections: those that most listeners share, and those that a listener has to itself.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// All places of a server.
#[derive(Debug)]
pub(crate) struct Places(Vec<(Arc<Semaphore>, u32)>);

impl Places {
    /// So many that listeners share.
    pub(crate) fn new(shared: u32) -> Self {
        let mut places = Self(Vec::new());
        places.apart(shared);
        places
    }

    /// Those that listeners share.
    pub(crate) fn shared(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0[0].0)
    }

    /// So many for one listener.
    pub(crate) fn apart(&mut self, count: u32) -> Arc<Semaphore> {
        let places = Arc::new(Semaphore::new(count as usize));
        self.0.push((Arc::clone(&places), count));
        places
    }

    /// Waits until no connection is left.
    pub(crate) async fn all_free(&self) {
        for (places, count) in &self.0 {
            // The semaphores are never closed.
            let _ = places.acquire_many(*count).await;
        }
    }

    /// Connections right now.
    pub(crate) fn taken(&self) -> usize {
        self.0.iter().map(|(places, count)| (*count as usize).saturating_sub(places.available_permits())).sum()
    }
}
