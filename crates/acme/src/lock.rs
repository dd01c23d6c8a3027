//! What is one process's at a time, given back when its holder ends, however that is: an order has a deadline, and a reload ends those under way.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::store::{AcmeStore, StoreError};

/// A lock of a store, held until this is dropped.
pub(crate) struct Lock {
    store: Arc<dyn AcmeStore>,
    /// `None` once it was given back.
    name: Option<String>,
}

impl Lock {
    /// Takes it for `term` at most; `None`: another process has it.
    pub(crate) async fn take(store: &Arc<dyn AcmeStore>, name: String, term: Duration) -> Result<Option<Self>, StoreError> {
        let is_taken = store.lock(&name, term).await?;
        Ok(is_taken.then(|| Self { store: Arc::clone(store), name: Some(name) }))
    }

    /// Gives it back after this pause, in which no process needs to try.
    pub(crate) async fn give_back(mut self, pause: Duration) -> Result<(), StoreError> {
        match self.name.take() {
            Some(name) => self.store.unlock(&name, pause).await,
            None => Ok(()),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let (Some(name), Ok(runtime)) = (self.name.take(), Handle::try_current()) {
            let store = Arc::clone(&self.store);
            runtime.spawn(async move {
                if let Err(error) = store.unlock(&name, Duration::ZERO).await {
                    tracing::debug!(name, %error, "a lock stays for its term");
                }
            });
        }
    }
}
