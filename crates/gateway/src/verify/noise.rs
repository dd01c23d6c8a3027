//! Places at which two answers of an origin to the same request differ, so that they tell nothing of what is stored.

use std::collections::BTreeMap;

use super::answer::Places;

/// Places that are known at the same time.
const MAX_KNOWN: usize = 64;

/// How often a place has to be seen: what has changed once between two answers may be what the answer is about.
const ENOUGH: u8 = 2;

/// What a route's answers are noisy in.
#[derive(Debug, Default)]
pub(super) struct Noise(BTreeMap<String, u8>);

impl Noise {
    /// Two answers to the same request differ in these.
    pub(super) fn learn(&mut self, places: &Places) {
        for place in places {
            if let Some(seen) = self.0.get_mut(place) {
                *seen = seen.saturating_add(1).min(ENOUGH);
            } else if self.0.len() < MAX_KNOWN {
                self.0.insert(place.clone(), 1);
            }
        }
    }

    /// Those that were seen often enough.
    pub(super) fn known(&self) -> Places {
        self.0.iter().filter(|(_, seen)| **seen >= ENOUGH).map(|(place, _)| place.clone()).collect()
    }
}

/// Whether a place is one of these, or within one.
pub(super) fn masks(noise: &Places, place: &str) -> bool {
    let is_within = |outer: &String| place.strip_prefix(outer.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    noise.iter().any(is_within)
}

/// Places without those.
pub(super) fn without(places: Places, noise: &Places) -> Places {
    places.into_iter().filter(|place| !masks(noise, place)).collect()
}
