//! What has to be seen: the origin's version of each resource, and the least that each replica may answer with.

use std::sync::atomic::{AtomicU64, Ordering};

use super::REPLICAS;
use super::subject::{Family, Subject};

#[derive(Debug)]
pub(super) struct Truth {
    versions: Vec<AtomicU64>,
    min: [Vec<AtomicU64>; REPLICAS],
    asked: AtomicU64,
}

impl Truth {
    pub(super) fn new() -> Self {
        let zeros = || (0..Family::ALL.iter().map(|family| family.count()).sum()).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
        Self { versions: zeros(), min: std::array::from_fn(|_| zeros()), asked: AtomicU64::new(0) }
    }

    /// The origin's version now.
    pub(super) fn version(&self, subject: Subject) -> u64 {
        self.versions[slot(subject)].load(Ordering::SeqCst)
    }

    /// The origin's data changes; its version from now on.
    pub(super) fn change(&self, subject: Subject) -> u64 {
        self.versions[slot(subject)].fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The least version that a request to this replica may be answered with, if it is sent now.
    pub(super) fn min(&self, replica: usize, subject: Subject) -> u64 {
        self.min[replica][slot(subject)].load(Ordering::SeqCst)
    }

    /// A replica has acknowledged that nothing older than this version is served by it.
    pub(super) fn acknowledged(&self, replica: usize, subject: Subject, version: u64) {
        self.min[replica][slot(subject)].fetch_max(version, Ordering::SeqCst);
    }

    /// How many requests the origin has had before this one.
    pub(super) fn asked(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::SeqCst)
    }
}

/// All readers' answers of a resource have one version.
fn slot(subject: Subject) -> usize {
    let before = Family::ALL.iter().take_while(|family| **family != subject.family).map(|family| family.count());
    before.sum::<usize>() + subject.key
}
