//! A bounded number of things by key.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::sync::Cache;

/// Bytes that one client of a [`Table`](crate::Table) takes at most: its usage, its key as long as addresses and hashes are, and its places in the map.
pub const CLIENT_BYTES: u64 = 350;

/// Something for each key, for a bounded number of keys. Where more come, those go that are used least.
#[derive(Debug)]
pub struct Keyed<T> {
    max: AtomicUsize,
    all: Cache<Box<str>, Shared<T>>,
}

/// What is kept for a key.
#[derive(Debug, Default)]
pub struct Shared<T>(Arc<Mutex<T>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Shared<T> {
    /// Whether both are the same one.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Nobody else has it until the guard goes.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Default> Keyed<T> {
    /// For at most `max` keys.
    pub fn new(max: usize) -> Self {
        Self { max: AtomicUsize::new(max), all: Cache::new(max) }
    }

    /// How many keys there are at most.
    pub fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed)
    }

    /// From now on there are so many keys at most. Where there are more, those go that are used least.
    pub fn set_max(&self, max: usize) {
        if self.max.swap(max, Ordering::Relaxed) != max {
            self.all.set_capacity(max as u64);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What a key has, without counting as a use.
    pub fn peek(&self, key: &str) -> Option<Shared<T>> {
        self.all.peek(key)
    }

    /// What a key has; a new one where it has nothing. A key that is known costs no allocation.
    pub fn get(&self, key: &str) -> Shared<T> {
        if let Some(known) = self.all.get(key) {
            return known;
        }
        let key: Box<str> = key.into();
        let Ok(new) = self.all.get_or_insert_with(&key, || Ok::<_, Infallible>(Shared(Arc::default())));
        new
    }

    /// Forgets a key; tells whether it was known.
    pub fn remove(&self, key: &str) -> bool {
        self.all.remove(key).is_some()
    }

    /// Forgets those of which this is not so.
    pub fn retain(&self, keep: impl Fn(&mut T) -> bool) {
        self.all.retain(|_, value| keep(&mut value.lock()));
    }

    /// All of them, as they come.
    pub fn iter(&self) -> impl Iterator<Item = (Box<str>, Shared<T>)> {
        self.all.iter()
    }
}
