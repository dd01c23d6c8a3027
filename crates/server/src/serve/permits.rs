//! Permits for connections: those that most listeners share, and those that a listener has to itself.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// All permits of a server.
#[derive(Debug)]
pub(crate) struct ConnectionPermits(Vec<(Arc<Semaphore>, u32)>);

impl ConnectionPermits {
    /// So many permits that listeners share.
    pub(crate) fn new(shared: u32) -> Self {
        let mut permits = Self(Vec::new());
        permits.apart(shared);
        permits
    }

    /// The permits that listeners share.
    pub(crate) fn shared(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0[0].0)
    }

    /// So many permits for one listener.
    pub(crate) fn apart(&mut self, count: u32) -> Arc<Semaphore> {
        let permits = Arc::new(Semaphore::new(count as usize));
        self.0.push((Arc::clone(&permits), count));
        permits
    }

    /// Waits until no connection is left.
    pub(crate) async fn all_free(&self) {
        for (permits, count) in &self.0 {
            // The semaphores are never closed.
            let _ = permits.acquire_many(*count).await;
        }
    }

    /// The number of connections.
    pub(crate) fn taken(&self) -> usize {
        self.0.iter().map(|(permits, count)| (*count as usize).saturating_sub(permits.available_permits())).sum()
    }
}
