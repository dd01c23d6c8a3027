//! Invalidations that the log does not have yet, in the order in which they came.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use larder_store::Tag;

/// What may be kept. Beyond it one entry stands for all: everything is invalid.
const MOST: usize = 10_000;

/// What an entry of the log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Invalidation {
    /// Everything that carries one of these.
    Tags(Vec<Tag>),
    /// Everything.
    All,
}

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<VecDeque<Invalidation>>);

impl Journal {
    pub(crate) fn keep(&self, tags: Vec<Tag>) {
        let mut kept = self.lock();
        match kept.front() {
            Some(Invalidation::All) => {}
            _ if kept.len() >= MOST => {
                kept.clear();
                kept.push_back(Invalidation::All);
            }
            _ => kept.push_back(Invalidation::Tags(tags)),
        }
    }

    /// The oldest, which stays until it is [`Self::done`].
    pub(crate) fn first(&self) -> Option<Invalidation> {
        self.lock().front().cloned()
    }

    /// The log has the oldest, if it is still this one.
    pub(crate) fn done(&self, invalidation: &Invalidation) {
        let mut kept = self.lock();
        if kept.front() == Some(invalidation) {
            kept.pop_front();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Invalidation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Invalidation {
    /// Its form in the log: eight bytes a tag, little-endian; nothing at all for everything.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Tags(tags) => tags.iter().flat_map(|tag| tag.to_bits().to_le_bytes()).collect(),
            Self::All => Vec::new(),
        }
    }

    /// What cannot be read may have meant anything, so it means everything.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let (tags, rest) = bytes.as_chunks::<8>();
        if tags.is_empty() || !rest.is_empty() {
            return Self::All;
        }
        Self::Tags(tags.iter().map(|tag| Tag::from_bits(u64::from_le_bytes(*tag))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(name: &str) -> Vec<Tag> {
        vec![Tag::surrogate(name), Tag::url(name)]
    }

    #[test]
    fn an_invalidation_is_read_as_it_was_written_or_as_everything() {
        let invalidation = Invalidation::Tags(tags("a"));
        assert_eq!(Invalidation::decode(&invalidation.encode()), invalidation);
        for bytes in [&[][..], b"1234567", b"123456789"] {
            assert_eq!(Invalidation::decode(bytes), Invalidation::All);
        }
    }

    #[test]
    fn they_leave_in_the_order_in_which_they_came() {
        let journal = Journal::default();
        journal.keep(tags("a"));
        journal.keep(tags("b"));
        let first = journal.first().unwrap();
        assert_eq!(first, Invalidation::Tags(tags("a")));
        journal.done(&first);
        journal.done(&first);
        assert_eq!(journal.first(), Some(Invalidation::Tags(tags("b"))), "done twice is done once");
    }

    #[test]
    fn when_there_are_too_many_one_stands_for_all() {
        let journal = Journal::default();
        for n in 0..=MOST {
            journal.keep(tags(&n.to_string()));
        }
        assert_eq!((journal.first(), journal.len()), (Some(Invalidation::All), 1));
        journal.keep(tags("later"));
        assert_eq!(journal.len(), 1);
    }
}
