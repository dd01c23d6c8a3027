//! An open table from tags to locations. A tag's home is `tag * slots / 2^32`, so the table can grow by any factor.

use super::location::Location;

/// Slots of a shard that has an entry.
const MIN_SLOTS: usize = 16;

/// See the module's page. Two arrays, for a pair of them would be padded.
#[derive(Debug, Default)]
pub(crate) struct Table {
    tags: Box<[u32]>,
    locations: Box<[Option<Location>]>,
    used: usize,
}

impl Table {
    pub(crate) fn len(&self) -> usize {
        self.used
    }

    /// Bytes of memory.
    pub(crate) fn weight(&self) -> usize {
        self.locations.len() * (size_of::<u32>() + size_of::<Option<Location>>())
    }

    pub(crate) fn get(&self, tag: u32) -> Option<Location> {
        self.find(tag).and_then(|at| self.locations[at])
    }

    /// Changes a place and returns it.
    pub(crate) fn with(&mut self, tag: u32, change: impl FnOnce(Location) -> Location) -> Option<Location> {
        let at = self.find(tag)?;
        self.locations[at] = self.locations[at].map(change);
        self.locations[at]
    }

    pub(crate) fn insert(&mut self, tag: u32, location: Location) {
        if let Some(at) = self.find(tag) {
            self.locations[at] = Some(location);
            return;
        }
        if (self.used + 1) * 7 > self.locations.len() * 6 {
            self.grow();
        }
        self.put(tag, location);
        self.used += 1;
    }

    pub(crate) fn remove_if(&mut self, tag: u32, condition: impl FnOnce(Location) -> bool) {
        let Some(at) = self.find(tag).filter(|at| self.locations[*at].is_some_and(condition)) else { return };
        self.locations[at] = None;
        self.used -= 1;
        self.close(at);
    }

    fn home(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.locations.len() as u64) >> 32) as usize
    }

    fn next(&self, at: usize) -> usize {
        if at + 1 == self.locations.len() { 0 } else { at + 1 }
    }

    fn find(&self, tag: u32) -> Option<usize> {
        if self.locations.is_empty() {
            return None;
        }
        let mut at = self.home(tag);
        while self.locations[at].is_some() {
            if self.tags[at] == tag {
                return Some(at);
            }
            at = self.next(at);
        }
        None
    }

    /// There is an empty slot, and the tag is in none.
    fn put(&mut self, tag: u32, location: Location) {
        let mut at = self.home(tag);
        while self.locations[at].is_some() {
            at = self.next(at);
        }
        (self.tags[at], self.locations[at]) = (tag, Some(location));
    }

    /// Moves what the empty slot separates from its home.
    fn close(&mut self, mut hole: usize) {
        let mut at = self.next(hole);
        while self.locations[at].is_some() {
            let home = self.home(self.tags[at]);
            let is_between = if hole <= at { hole < home && home <= at } else { hole < home || home <= at };
            if !is_between {
                (self.tags[hole], self.locations[hole]) = (self.tags[at], self.locations[at].take());
                hole = at;
            }
            at = self.next(at);
        }
    }

    fn grow(&mut self) {
        let slots = (self.locations.len() * 3 / 2).max(MIN_SLOTS);
        let tags = std::mem::replace(&mut self.tags, vec![0; slots].into());
        let locations = std::mem::replace(&mut self.locations, vec![None; slots].into());
        for (tag, location) in tags.into_iter().zip(locations) {
            if let Some(location) = location {
                self.put(tag, location);
            }
        }
    }
}
