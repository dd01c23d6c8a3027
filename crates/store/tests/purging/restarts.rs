//! One process after another with a disk that outlives them, behind a log of invalidations that may be away, forget its beginning, or be
//! replaced by another one.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderMap;
use larder_store::{Epoch, Invalidation, Ledger, LogPosition, Lookup, MemoryStore, Position};
use proptest::prelude::*;

use crate::keys::{KEYS, NOW, WAYS, concerns, primary, response, target};

#[derive(Clone, Debug)]
enum Step {
    /// The origin's data changes.
    Write(usize),
    /// The process is told to purge.
    Purge { key: usize, way: usize },
    /// Another replica purges.
    PurgeElsewhere { key: usize, way: usize },
    /// The process reads the log to its end, where that can be reached.
    Follow,
    /// The log can be reached, or cannot.
    Reach(bool),
    /// The log forgets all but so many entries.
    Trim(usize),
    /// The process begins to fetch, and the origin answers at once.
    Fetch(usize),
    /// The answer of a fetch is stored.
    Commit(usize),
    /// The disk does the oldest write that waits.
    WriteOut,
    /// A client asks.
    Read(usize),
    /// The process dies, with what it had in memory, and another one starts. Meanwhile another log may have taken the place of this one.
    Restart { replaced: bool },
}

fn step() -> impl Strategy<Value = Step> {
    // Few, so that what happens to one often happens to a stored one.
    let key = 0..KEYS / 2;
    let purge = (key.clone(), 0..WAYS);
    prop_oneof![
        4 => key.clone().prop_map(Step::Write),
        4 => purge.clone().prop_map(|(key, way)| Step::Purge { key, way }),
        2 => purge.prop_map(|(key, way)| Step::PurgeElsewhere { key, way }),
        5 => Just(Step::Follow),
        5 => any::<bool>().prop_map(Step::Reach),
        1 => (0..3_usize).prop_map(Step::Trim),
        6 => key.clone().prop_map(Step::Fetch),
        6 => (0..64_usize).prop_map(Step::Commit),
        6 => Just(Step::WriteOut),
        8 => key.prop_map(Step::Read),
        4 => prop::bool::weighted(0.2).prop_map(|replaced| Step::Restart { replaced }),
    ]
}

/// The log, as replicas share it.
struct Log {
    epoch: u32,
    /// The number of the oldest entry that it has.
    first: u64,
    entries: Vec<Invalidation>,
    is_away: bool,
}

impl Log {
    fn last(&self) -> u64 {
        self.first + self.entries.len() as u64 - 1
    }

    fn epoch(&self) -> Epoch {
        Epoch::of(&self.epoch.to_string())
    }
}

/// The entries on the disk, or on their way there.
struct Write {
    key: usize,
    version: u8,
    fetch: u64,
    stored: LogPosition,
}

#[derive(Default)]
struct Disk {
    entries: HashMap<usize, Write>,
    queue: Vec<Write>,
    /// Up to where nothing may be used by a later process.
    given_up: HashMap<Epoch, u64>,
}

impl Disk {
    fn forget_after_restart(&mut self, up_to: Option<LogPosition>) {
        match up_to {
            Some(LogPosition { epoch, number }) => _ = self.given_up.insert(epoch, number),
            None => self.entries.clear(),
        }
    }

    fn write_out(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        let write = self.queue.remove(0);
        if self.entries.get(&write.key).is_none_or(|known| known.fetch < write.fetch) {
            self.entries.insert(write.key, write);
        }
    }

    /// The process that wrote to it is gone.
    fn restart(&mut self) {
        self.queue.clear();
        let given_up = &self.given_up;
        self.entries.retain(|_, entry| given_up.get(&entry.stored.epoch).is_none_or(|number| entry.stored.number > *number));
    }
}

struct Fetched {
    key: usize,
    version: u8,
    position: Position,
    number: u64,
}

struct World {
    log: Log,
    disk: Disk,
    store: MemoryStore,
    fetches: Vec<Fetched>,
    /// Purges that the log does not have yet, in the memory of the process.
    journal: Vec<Invalidation>,
    fetched: u64,
    origin: [u8; KEYS],
    /// The oldest version that may be served, after the purges that were acknowledged, and after those that are in the log.
    acknowledged: [u8; KEYS],
    logged: [u8; KEYS],
    /// How often the disk answered.
    from_disk: u64,
}

impl World {
    fn new() -> Self {
        Self {
            log: Log { epoch: 1, first: 1, entries: Vec::new(), is_away: false },
            disk: Disk::default(),
            store: empty(),
            fetches: Vec::new(),
            journal: Vec::new(),
            fetched: 0,
            origin: [0; KEYS],
            acknowledged: [0; KEYS],
            logged: [0; KEYS],
            from_disk: 0,
        }
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Write(key) => self.origin[key] += 1,
            Step::Purge { key, way } => self.purge(key, way),
            Step::PurgeElsewhere { key, way } => {
                self.log.entries.push(Invalidation::hard([target(key, way)]));
                raise(&mut self.logged, self.origin, key, way);
            }
            Step::Follow => self.follow(),
            Step::Reach(yes) => self.log.is_away = !yes,
            Step::Trim(kept) => {
                let gone = self.log.entries.len().saturating_sub(kept);
                self.log.entries.drain(..gone);
                self.log.first += gone as u64;
            }
            Step::Fetch(key) => {
                self.fetched += 1;
                let position = self.store.ledger().position();
                self.fetches.push(Fetched { key, version: self.origin[key], position, number: self.fetched });
            }
            Step::Commit(which) if !self.fetches.is_empty() => {
                let fetched = self.fetches.swap_remove(which % self.fetches.len());
                self.commit(&fetched);
            }
            Step::Commit(_) => {}
            Step::WriteOut => self.disk.write_out(),
            Step::Read(key) => self.read(key)?,
            Step::Restart { replaced } => self.restart(replaced),
        }
        Ok(())
    }

    /// As the cache does it: here, then in the log, and where that is away the disk is told.
    fn purge(&mut self, key: usize, way: usize) {
        let invalidation = Invalidation::hard([target(key, way)]);
        let ledger = self.store.ledger();
        ledger.apply(&invalidation, NOW);
        if self.log.is_away || !self.journal.is_empty() {
            self.disk.forget_after_restart(ledger.log_position(ledger.position()));
            self.journal.push(invalidation);
        } else {
            self.log.entries.push(invalidation);
            raise(&mut self.logged, self.origin, key, way);
            self.follow();
        }
        raise(&mut self.acknowledged, self.origin, key, way);
    }

    fn follow(&mut self) {
        if self.log.is_away {
            return;
        }
        self.log.entries.append(&mut self.journal);
        let ledger = self.store.ledger();
        if ledger.position().log_number() + 1 < self.log.first {
            ledger.start_over_at(self.log.first - 1);
        }
        (self.log.first..).zip(&self.log.entries).for_each(|(number, invalidation)| ledger.apply_logged(number, invalidation));
        ledger.enter(self.log.epoch());
        for key in 0..KEYS {
            self.acknowledged[key] = self.acknowledged[key].max(self.logged[key]);
        }
    }

    fn commit(&mut self, &Fetched { key, version, position, number }: &Fetched) {
        let stored = self.store.ledger().log_position(position);
        if self.store.commit(Arc::new(response(key, version, position, number)))
            && let Some(stored) = stored
        {
            self.disk.queue.push(Write { key, version, fetch: number, stored });
        }
    }

    fn read(&mut self, key: usize) -> Result<(), TestCaseError> {
        let primary = primary(key);
        let version = match self.store.lookup(self.store.slot_key_of(&primary), &HeaderMap::new(), NOW) {
            Lookup::Found(found) => found.body().segments()[0][0],
            _ => {
                let Some(entry) = self.disk.entries.get(&key) else { return Ok(()) };
                let Some(position) = self.store.ledger().position_of(entry.stored) else { return Ok(()) };
                let loaded = response(key, entry.version, position, entry.fetch);
                if !loaded.is_valid(self.store.ledger()) {
                    return Ok(());
                }
                self.store.commit(Arc::new(loaded));
                self.from_disk += 1;
                entry.version
            }
        };
        prop_assert!(version >= self.acknowledged[key], "version {version} of key {key}, purged below {}", self.acknowledged[key]);
        Ok(())
    }

    fn restart(&mut self, replaced: bool) {
        if replaced {
            // Its numbers are no larger than those that were used before.
            let length = self.log.last() as usize;
            (self.log.epoch, self.log.first, self.log.entries) = (self.log.epoch + 1, 1, vec![Invalidation::default(); length]);
        }
        self.disk.restart();
        (self.store, self.fetches, self.journal) = (empty(), Vec::new(), Vec::new());
        self.follow();
    }
}

fn empty() -> MemoryStore {
    MemoryStore::new(1 << 16, 1 << 12, Arc::new(Ledger::default()))
}

/// A purge: nothing older than what the origin has now.
fn raise(bounds: &mut [u8; KEYS], origin: [u8; KEYS], key: usize, way: usize) {
    (0..KEYS).filter(|other| concerns(key, way, *other)).for_each(|other| bounds[other] = bounds[other].max(origin[other]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_was_purged_comes_back_from_a_disk(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step)?;
        }
    }
}

fn world_after(steps: &[Step]) -> World {
    let mut world = World::new();
    steps.iter().for_each(|step| world.take(step).expect("nothing old is read"));
    world
}

const RESTART: Step = Step::Restart { replaced: false };

/// Something is stored, written out, and read by the next process.
fn stored_and_read() -> Vec<Step> {
    vec![Step::Follow, Step::Fetch(0), Step::Commit(0), Step::WriteOut, RESTART, Step::Read(0)]
}

/// The model must be able to read from the disk at all.
#[test]
fn the_model_reads_what_an_earlier_process_has_stored() {
    assert_eq!(world_after(&stored_and_read()).from_disk, 1);
}

/// The judge must be able to say no.
#[test]
fn the_model_sees_old_data_where_a_purge_was_forgotten_with_the_process() {
    let mut steps = stored_and_read();
    steps.truncate(4);
    steps.extend([Step::Reach(false), Step::Write(0), Step::Purge { key: 0, way: 0 }, Step::Reach(true)]);
    let mut world = world_after(&steps);
    world.disk.given_up.clear();
    world.take(&RESTART).expect("nothing is read");
    world.take(&Step::Read(0)).expect_err("old data after an acknowledgement");
}
