//! Removals from before the directory is this process's: what its keys are hashed with is not known yet. Without them, a response that was removed or
//! replaced meanwhile would be found as soon as the directory is this process's.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use larder_semantics::PrimaryKey;
use larder_store::Variant;

use super::{Tier, hash_of};
use crate::engine::Engine;

/// Removals that are remembered one by one. Beyond that, everything is forgotten. Each may become two that are due.
const MAX_EARLY: usize = 1 << 15;

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct EarlyRemovals(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    /// With the latest fetch whose response is removed.
    by_key: HashMap<PrimaryKey, Vec<(Option<Variant>, u64)>>,
    /// Of all keys together.
    count: usize,
}

impl EarlyRemovals {
    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    /// `false`: there are too many.
    fn add(&mut self, key: &PrimaryKey, variant: Option<&Variant>, fetch: u64) -> bool {
        let known = self.by_key.get_mut(key);
        if let Some((_, known)) = known.and_then(|known| known.iter_mut().find(|(known, _)| known.as_ref() == variant)) {
            *known = fetch.max(*known);
            return true;
        }
        let has_room = self.count < MAX_EARLY;
        if has_room {
            self.count += 1;
            // A copy: the key may be a part of the response's block.
            self.by_key.entry(PrimaryKey::from(key.text())).or_default().push((variant.cloned(), fetch));
        }
        has_room
    }
}

impl Tier {
    /// The engine. `None`: the directory is not this process's. If that is to come, nothing is found there then of responses up to this fetch.
    pub(super) fn engine_or_note(&self, key: &PrimaryKey, variant: Option<&Variant>, fetch: u64) -> Option<Arc<Engine>> {
        let engine = self.engine();
        if engine.is_some() || self.queue.is_closed() {
            return engine;
        }
        let mut noted = self.early.noted();
        // Asked again under the lock: nobody looks for notes that come behind the last look of the thread which has opened the directory.
        let engine = self.engine();
        if engine.is_none() && !noted.add(key, variant, fetch) {
            self.must_forget.store(true, Ordering::Relaxed);
        }
        engine
    }

    /// The directory is this process's: it removes what was noted until now.
    pub(super) fn remove_noted(&self, engine: &Engine) {
        let noted = std::mem::take(&mut *self.early.noted());
        for (key, variants) in noted.by_key {
            for (variant, fetch) in variants {
                if variant.is_some() {
                    // One without `Vary` must not answer for all variants. What leads to variants goes with it, and comes back with the next one.
                    self.lose(engine, hash_of(engine.seed(), &key, None), fetch);
                }
                self.lose(engine, hash_of(engine.seed(), &key, variant.as_ref()), fetch);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::key;

    #[test]
    fn early_removals_are_bounded_and_one_of_the_same_response_takes_no_further_place() {
        let mut noted = Noted::default();
        assert!((0..MAX_EARLY).all(|number| noted.add(&key(&format!("/{number}")), None, 2)));
        assert!(!noted.add(&key("/x"), None, 1) && noted.add(&key("/0"), None, 3) && noted.add(&key("/1"), None, 1));
        assert_eq!((&noted.by_key[&key("/0")][..], &noted.by_key[&key("/1")][..]), (&[(None, 3)][..], &[(None, 2)][..]));
    }
}
