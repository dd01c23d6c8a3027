//! What an exchange tells about itself to the one who asked for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Facts about the exchanges of one request that its answer does not show. Clones share them; the last exchange has the last word.
#[derive(Clone, Debug, Default)]
pub struct ExchangeNotes(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    server: Option<Arc<str>>,
}

impl ExchangeNotes {
    /// The server that answered, or failed last: its URL, and the address where its name has several.
    pub fn server(&self) -> Option<Arc<str>> {
        self.lock().server.clone()
    }

    pub(crate) fn set_server(&self, server: &Arc<str>) {
        self.lock().server = Some(Arc::clone(server));
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
