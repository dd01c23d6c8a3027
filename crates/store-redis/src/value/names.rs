//! The readable beginnings of keys.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use larder_semantics::PrimaryKey;

/// The name of what is stored under a key, where it has one: graphic ASCII without `{`, `}` and what means something in patterns of Redis. It follows from
/// the key alone, or replicas would look in different places.
pub type NameOfKey = dyn Fn(&PrimaryKey) -> Option<String> + Send + Sync;

/// The names that are in force. Another configuration may have others: what is stored under older ones is not found any more, and ends by itself.
#[derive(Default)]
pub(crate) struct Names(RwLock<Option<Arc<NameOfKey>>>);

impl Names {
    pub(crate) fn set(&self, names: Option<Arc<NameOfKey>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = names;
    }

    pub(crate) fn name(&self, key: &PrimaryKey) -> Option<String> {
        self.get()?(key)
    }

    pub(crate) fn are_set(&self) -> bool {
        self.get().is_some()
    }

    fn get(&self) -> Option<Arc<NameOfKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("are_set", &self.are_set()).finish()
    }
}
