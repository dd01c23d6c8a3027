//! A model of three replicas behind one log of invalidations: whatever the order of writes, purges, fills and reads, nobody is given
//! data that a purge which all replicas have applied said was old. The history of every run is judged, not the mechanism.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use larder_semantics::{FreshnessLifetime, HeadFlags, KeyBuffer, KeyRules, LifetimeSource, PrimaryKey, StoredHead, Target, Timestamp};
use larder_store::{BodyBuilder, Invalidation, InvalidationTarget, Ledger, Lookup, MemoryStore, Position, StoredResponse, Tag};
use proptest::prelude::*;
use proptest::sample::Index;

const KEYS: usize = 4;
const REPLICAS: usize = 3;
const NOW: Timestamp = Timestamp::from_secs(1_000);

#[derive(Clone, Debug)]
enum Step {
    /// The origin's data changes.
    Write(usize),
    /// A purge enters the log.
    Purge { key: usize, way: usize, soft: bool },
    /// A replica applies the next invalidation of the log.
    Deliver(usize),
    /// A replica begins to fetch.
    Begin { replica: usize, key: usize },
    /// The origin answers a fetch.
    Answer(Index),
    /// What a fetch brought is stored.
    Commit(Index),
    /// A client asks.
    Read { replica: usize, key: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let (key, replica) = (0..KEYS, 0..REPLICAS);
    prop_oneof![
        2 => key.clone().prop_map(Step::Write),
        2 => (key.clone(), 0..7_usize, any::<bool>()).prop_map(|(key, way, soft)| Step::Purge { key, way, soft }),
        5 => replica.clone().prop_map(Step::Deliver),
        4 => (replica.clone(), key.clone()).prop_map(|(replica, key)| Step::Begin { replica, key }),
        4 => any::<Index>().prop_map(Step::Answer),
        4 => any::<Index>().prop_map(Step::Commit),
        5 => (replica, key).prop_map(|(replica, key)| Step::Read { replica, key }),
    ]
}

/// Keys 0 and 1 lie under one prefix, 2 and 3 under another; even keys share a tag.
fn path(key: usize) -> String {
    format!("/p{}/k{key}", key / 2)
}

fn primary(key: usize) -> PrimaryKey {
    let rules = KeyRules::default();
    let mut buffer = KeyBuffer::default();
    rules.derive(Target { scheme: "http", authority: "a.example", path: &path(key), query: None }, &HeaderMap::new(), &mut buffer);
    buffer.to_key()
}

fn target(key: usize, way: usize) -> InvalidationTarget {
    match way {
        0 => InvalidationTarget::Url(primary(key).url().to_owned()),
        1 => InvalidationTarget::Tag(format!("parity:{}", key % 2)),
        2 => InvalidationTarget::Prefix(format!("a.example/p{}", key / 2)),
        3 => InvalidationTarget::Prefix(path(key)),
        4 => InvalidationTarget::Pattern(format!("*.example/*/k{key}")),
        5 => InvalidationTarget::Route("r".to_owned()),
        _ => InvalidationTarget::All,
    }
}

/// What a target means, said without the ledger.
fn concerns(key: usize, way: usize, other: usize) -> bool {
    match way {
        0 | 3 | 4 => other == key,
        1 => other % 2 == key % 2,
        2 => other / 2 == key / 2,
        _ => true,
    }
}

struct Fetch {
    replica: usize,
    key: usize,
    position: Position,
    number: u64,
    version: Option<u8>,
}

struct Logged {
    invalidation: Invalidation,
    /// For each key it concerns: the version that the origin had when it entered the log.
    least: [Option<u8>; KEYS],
}

struct World {
    stores: Vec<MemoryStore>,
    applied: [usize; REPLICAS],
    log: Vec<Logged>,
    origin: [u8; KEYS],
    fetches: Vec<Fetch>,
    begun: u64,
}

impl World {
    fn new() -> Self {
        let stores = (0..REPLICAS).map(|_| MemoryStore::new(1 << 20, 1 << 16, Arc::new(Ledger::default()))).collect();
        Self { stores, applied: [0; REPLICAS], log: Vec::new(), origin: [0; KEYS], fetches: Vec::new(), begun: 0 }
    }

    /// The oldest version that may still pass for current, and the oldest that may be served at all, after what all have applied.
    fn least(&self, key: usize) -> (u8, u8) {
        let acknowledged = self.applied.into_iter().min().unwrap_or_default();
        let bounds = self.log[..acknowledged].iter().filter_map(|logged| Some((logged.invalidation.soft, logged.least[key]?)));
        bounds.fold((0, 0), |(current, any), (soft, least)| (current.max(least), if soft { any } else { any.max(least) }))
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Write(key) => self.origin[*key] += 1,
            Step::Purge { key, way, soft } => {
                let invalidation = Invalidation { targets: vec![target(*key, *way)], soft: *soft };
                let least = std::array::from_fn(|other| concerns(*key, *way, other).then(|| self.origin[other]));
                self.log.push(Logged { invalidation, least });
            }
            Step::Deliver(replica) => {
                let next = self.applied[*replica];
                if let Some(logged) = self.log.get(next) {
                    self.stores[*replica].ledger().apply_logged(next as u64 + 1, &logged.invalidation);
                    self.applied[*replica] += 1;
                }
            }
            Step::Begin { replica, key } => {
                self.begun += 1;
                let position = self.stores[*replica].ledger().position();
                self.fetches.push(Fetch { replica: *replica, key: *key, position, number: self.begun, version: None });
            }
            Step::Answer(which) => {
                if !self.fetches.is_empty() {
                    let at = which.index(self.fetches.len());
                    let version = self.origin[self.fetches[at].key];
                    self.fetches[at].version.get_or_insert(version);
                }
            }
            Step::Commit(which) => {
                let answered: Vec<usize> = (0..self.fetches.len()).filter(|at| self.fetches[*at].version.is_some()).collect();
                if !answered.is_empty() {
                    let fetch = self.fetches.swap_remove(*which.get(&answered));
                    self.stores[fetch.replica].commit(stored(&fetch));
                }
            }
            Step::Read { replica, key } => self.read(*replica, *key)?,
        }
        Ok(())
    }

    fn read(&self, replica: usize, key: usize) -> Result<(), TestCaseError> {
        let (store, primary) = (&self.stores[replica], primary(key));
        if let Lookup::Found(found) = store.lookup(store.slot_key_of(&primary), &HeaderMap::new(), NOW) {
            let version = found.body().segments()[0][0];
            let (current, any) = self.least(key);
            prop_assert!(version >= any, "replica {replica} gave version {version} of key {key}, purged below {any}");
            prop_assert!(version >= current || found.is_softened(), "version {version} of key {key} passed for current, not {current}");
        }
        Ok(())
    }
}

fn stored(fetch: &Fetch) -> Arc<StoredResponse> {
    let key = primary(fetch.key);
    let tags = [Tag::surrogate(&format!("parity:{}", fetch.key % 2)), Tag::route("r")];
    let mut body = BodyBuilder::new(1);
    body.push(&[fetch.version.unwrap_or_default()]);
    let body = body.finish(None).expect("complete");
    let head = StoredHead {
        status: StatusCode::OK,
        headers: (&HeaderMap::new()).into(),
        response_time: NOW,
        initial_age: 0,
        lifetime: FreshnessLifetime { seconds: 60, source: LifetimeSource::MaxAge },
        stale_while_revalidate: 0,
        stale_if_error: 0,
        flags: HeadFlags::default(),
        date_seconds: NOW.as_secs(),
        origin_control: None,
    };
    Arc::new(StoredResponse::new(&key, None, &head, body, &tags, fetch.position, fetch.number))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_older_than_an_acknowledged_purge_is_read(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step)?;
        }
    }
}

/// The judge must be able to say no: a replica that has not applied a purge gives old data, which is fine until it is acknowledged.
#[test]
fn the_model_sees_old_data_where_a_purge_is_not_yet_acknowledged() {
    let mut world = World::new();
    let read = Step::Read { replica: 0, key: 0 };
    let purge = Step::Purge { key: 0, way: 0, soft: false };
    world.take(&Step::Begin { replica: 0, key: 0 }).expect("nothing is read");
    world.fetches[0].version = Some(0);
    world.stores[0].commit(stored(&world.fetches[0]));
    for step in [Step::Write(0), purge, read.clone()] {
        world.take(&step).expect("not acknowledged: old data may be read");
    }
    // Told that all have applied it, while replica 0 has not, the judge objects.
    world.applied = [1; REPLICAS];
    world.take(&read).expect_err("old data after an acknowledgement");
}
