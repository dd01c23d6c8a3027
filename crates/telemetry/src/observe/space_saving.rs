//! The most frequent of any number of names, counted in bounded memory: Space-Saving (Metwally, Agrawal, El Abbadi: Efficient Computation of Frequent and
//! Top-k Elements in Data Streams, 2005).
//!
//! Where there is no room for one more name, it takes the place of the one that was counted least, and begins with the count of that: so a name that
//! makes up more than one part in `max_names` of all is always among those that are kept. What a count may be too large by is kept beside it.
//!
//! ```text
//! places: name -> slot      slots: name, count, what of it is another's, a value      order: (count, slot), the least first
//! ```

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Names with their counts, and a value each.
#[derive(Debug)]
pub(super) struct SpaceSaving<T> {
    max_names: usize,
    max_bytes: usize,
    places: HashMap<Arc<str>, usize>,
    slots: Vec<Slot<T>>,
    order: BTreeSet<(u64, usize)>,
    bytes: usize,
}

#[derive(Debug)]
struct Slot<T> {
    name: Arc<str>,
    count: u64,
    /// Which of the count may be that of names which had the place before.
    others: u64,
    /// Bytes of the value beside itself.
    held: usize,
    value: T,
}

/// Bytes of a name's bookkeeping: a slot, its places in the map and in the order.
const OVERHEAD: usize = 160;

impl<T> SpaceSaving<T> {
    /// Of at most so many names, with at most so many bytes.
    pub(super) fn new(max_names: usize, max_bytes: usize) -> Self {
        Self { max_names, max_bytes, places: HashMap::new(), slots: Vec::new(), order: BTreeSet::new(), bytes: 0 }
    }

    /// Counts a name, and lets its value be changed, which holds so many bytes beside itself from now on; `new` makes that of one that is not kept yet.
    pub(super) fn add(&mut self, name: &str, weight: u64, held: usize, new: impl FnOnce() -> T) -> &mut T {
        if let Some(&place) = self.places.get(name) {
            let place = self.count_again(name, place, weight, held);
            return &mut self.slots[place].value;
        }
        let size = Self::size(name, held);
        let mut others = 0;
        while self.slots.len() >= self.max_names || (self.bytes + size > self.max_bytes && !self.slots.is_empty()) {
            others = self.remove_least();
        }
        let place = self.slots.len();
        let name: Arc<str> = name.into();
        self.places.insert(Arc::clone(&name), place);
        self.order.insert((others + weight, place));
        self.bytes += size;
        self.slots.push(Slot { name, count: others + weight, others, held, value: new() });
        &mut self.slots[place].value
    }

    /// Counts one that is kept. Where it holds more than before, others make room. Returns its place.
    fn count_again(&mut self, name: &str, mut place: usize, weight: u64, held: usize) -> usize {
        let slot = &mut self.slots[place];
        self.order.remove(&(slot.count, place));
        slot.count += weight;
        self.order.insert((slot.count, place));
        self.bytes = self.bytes - slot.held + held;
        slot.held = held;
        while self.bytes > self.max_bytes
            && let Some(&(_, least)) = self.order.iter().find(|(_, other)| *other != place)
        {
            self.remove_at(least);
            // It may have taken that one's place.
            place = self.places.get(name).copied().unwrap_or(place);
        }
        place
    }

    fn size(name: &str, held: usize) -> usize {
        OVERHEAD + name.len() + size_of::<T>() + held
    }

    /// Forgets a name.
    pub(super) fn remove(&mut self, name: &str) {
        if let Some(&place) = self.places.get(name) {
            self.remove_at(place);
        }
    }

    /// The value of a name that is kept.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        let place = *self.places.get(name)?;
        Some(&mut self.slots[place].value)
    }

    /// Names with their certain counts and their values, the most frequent first.
    pub(super) fn most(&self) -> impl Iterator<Item = (&str, u64, &T)> {
        self.order.iter().rev().map(|&(_, place)| {
            let slot = &self.slots[place];
            (&*slot.name, slot.count - slot.others, &slot.value)
        })
    }

    /// Halves all counts, so that what was frequent long ago makes room. What comes to nothing goes.
    pub(super) fn halve(&mut self) {
        self.slots.iter_mut().for_each(|slot| (slot.count, slot.others) = (slot.count / 2, slot.others / 2));
        self.order = self.slots.iter().enumerate().map(|(place, slot)| (slot.count, place)).collect();
        while self.order.first().is_some_and(|(count, _)| *count == 0) {
            self.remove_least();
        }
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Removes the name that was counted least, and returns its count.
    fn remove_least(&mut self) -> u64 {
        let Some(&(count, place)) = self.order.first() else { return 0 };
        self.remove_at(place);
        count
    }

    /// The last slot takes the place.
    fn remove_at(&mut self, place: usize) {
        let last = self.slots.len() - 1;
        self.order.remove(&(self.slots[place].count, place));
        if place != last {
            self.order.remove(&(self.slots[last].count, last));
            self.order.insert((self.slots[last].count, place));
            self.places.insert(Arc::clone(&self.slots[last].name), place);
        }
        let slot = self.slots.swap_remove(place);
        self.places.remove(&slot.name);
        self.bytes -= Self::size(&slot.name, slot.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(names: impl IntoIterator<Item = String>, max_names: usize, max_bytes: usize) -> SpaceSaving<()> {
        let mut sketch = SpaceSaving::new(max_names, max_bytes);
        names.into_iter().for_each(|name| *sketch.add(&name, 1, 0, || ()) = ());
        sketch
    }

    #[test]
    fn what_is_frequent_is_found_among_any_number_of_names_that_are_not() {
        // A tenth of all is for five names, in any order with the others.
        let names = (0..100_000_u32).map(|n| if n % 10 == 0 { format!("hot{}", n / 10 % 5) } else { format!("cold{n}") });
        let sketch = counted(names, 500, 1 << 20);
        let most: Vec<_> = sketch.most().take(5).map(|(name, count, ())| (name.to_owned(), count)).collect();
        assert!(most.iter().all(|(name, count)| name.starts_with("hot") && *count > 1_500), "{most:?}");
        assert_eq!((sketch.len(), sketch.places.len(), sketch.order.len()), (500, 500, 500));
    }

    #[test]
    fn a_count_is_never_more_than_was_counted() {
        let mut exact = HashMap::<String, u64>::new();
        let names: Vec<String> = (0..20_000_u64).map(|n| format!("{}", n.wrapping_mul(n) % 997 % 83)).collect();
        names.iter().for_each(|name| *exact.entry(name.clone()).or_default() += 1);
        let sketch = counted(names, 20, 1 << 20);
        assert!(sketch.most().all(|(name, count, ())| count <= exact[name]));
    }

    #[test]
    fn names_take_no_more_memory_than_they_may_and_give_it_back() {
        let mut sketch = counted((0..1_000).map(|n| format!("{n}{}", "x".repeat(1_000))), 1_000, 100_000);
        assert!(sketch.bytes() <= 100_000 && sketch.len() < 100, "{} of {}", sketch.bytes(), sketch.len());
        let names: Vec<String> = sketch.most().map(|(name, ..)| name.to_owned()).collect();
        names.iter().for_each(|name| sketch.remove(name));
        assert_eq!((sketch.bytes(), sketch.len(), sketch.order.len(), sketch.places.len()), (0, 0, 0, 0));
        // One alone may be larger than all may be.
        assert_eq!(counted(["x".repeat(100_000)], 10, 1_000).len(), 1);
    }

    #[test]
    fn a_value_that_grows_takes_its_room_from_other_names() {
        let mut sketch = counted((0..10).map(|n| n.to_string()), 10, 10_000);
        let before = sketch.bytes();
        for held in [5_000, 9_000, 20_000] {
            sketch.add("9", 1, held, || ());
            assert!(sketch.bytes() <= 10_000 || sketch.len() == 1, "{} of {}", sketch.bytes(), sketch.len());
        }
        assert_eq!(sketch.most().map(|(name, ..)| name).collect::<Vec<_>>(), ["9"]);
        sketch.add("9", 1, 0, || ());
        assert_eq!((sketch.bytes(), sketch.order.len(), sketch.places.len()), (before / 10, 1, 1), "what it gives back is room again");
    }

    #[test]
    fn what_was_frequent_long_ago_makes_room() {
        let mut sketch = counted((0..8).map(|_| "a".to_owned()).chain(["b".to_owned()]), 10, 1 << 20);
        sketch.halve();
        assert_eq!(sketch.most().collect::<Vec<_>>(), [("a", 4, &())]);
        (0..3).for_each(|_| sketch.halve());
        assert_eq!(sketch.len(), 0);
    }
}
