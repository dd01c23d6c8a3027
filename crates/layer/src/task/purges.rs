//! Telling those who watch purges of one: they fetch again what it made old.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use larder_store::InvalidationLog;
use tokio::sync::watch;

use crate::task::detached::detach;

/// How many purges there were, for those who watch them.
#[derive(Clone, Debug)]
pub(crate) struct Purges {
    count: watch::Sender<u64>,
    /// A task waits until the log's entries are read back.
    is_waiting: Arc<AtomicBool>,
}

impl Default for Purges {
    fn default() -> Self {
        Self { count: watch::Sender::new(0), is_waiting: Arc::default() }
    }
}

impl Purges {
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// Tells of one now; and once more later where the log's own entry is still to come, which makes old what they fetch until then.
    pub(crate) fn tell(&self, log: Option<&Arc<dyn InvalidationLog>>) {
        self.add();
        if self.count.receiver_count() > 0
            && let Some(log) = log.filter(|log| log.read_back().is_some())
            && !self.is_waiting.swap(true, Ordering::SeqCst)
        {
            detach(self.clone().tell_when_read_back(Arc::clone(log)));
        }
    }

    async fn tell_when_read_back(self, log: Arc<dyn InvalidationLog>) {
        loop {
            while let Some(read_back) = log.read_back() {
                tokio::select! {
                    () = read_back => {}
                    () = self.count.closed() => break,
                }
            }
            self.is_waiting.store(false, Ordering::SeqCst);
            self.add();
            // One that came just now may have found this task waiting.
            if self.count.is_closed() || log.read_back().is_none() || self.is_waiting.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    }

    fn add(&self) {
        self.count.send_modify(|count| *count += 1);
    }
}
