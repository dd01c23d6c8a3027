//! The cost of a purge with a thousand, a hundred thousand and a million entries in the store, while hits load it; and what look-ups
//! cost after one, when every entry has to be checked again once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, StatusCode};
use larder_semantics::{FreshnessLifetime, HeadFlags, KeyBuffer, KeyRules, LifetimeSource, PrimaryKey, StoredHead, Target, Timestamp};
use larder_store::{Invalidation, InvalidationTarget, Ledger, Lookup, MemoryStore, StoredBody, StoredResponse, Tag};

const NOW: Timestamp = Timestamp::from_secs(1_000);

fn key(number: usize) -> PrimaryKey {
    let rules = KeyRules::default();
    let mut buffer = KeyBuffer::default();
    let path = format!("/api/v1/projects/{}/issues/{number}", number % 100);
    rules.derive(Target { scheme: "http", authority: "api.example.com", path: &path, query: None }, &HeaderMap::new(), &mut buffer);
    buffer.to_key()
}

fn head() -> StoredHead {
    StoredHead {
        status: StatusCode::OK,
        headers: (&HeaderMap::new()).into(),
        response_time: NOW,
        initial_age: 0,
        lifetime: FreshnessLifetime { seconds: 3_600, source: LifetimeSource::MaxAge },
        stale_while_revalidate: 0,
        stale_if_error: 0,
        flags: HeadFlags::default(),
        date_seconds: NOW.as_secs(),
        origin_control: None,
    }
}

/// A store with so many entries, and some of their keys.
fn filled(entries: usize) -> (Arc<MemoryStore>, Arc<Vec<PrimaryKey>>) {
    let store = Arc::new(MemoryStore::new(8 << 30, 8 << 20, Arc::new(Ledger::default())));
    let head = head();
    for number in 0..entries {
        let key = key(number);
        let tags = [Tag::surrogate(&format!("issue:{number}")), Tag::route("issue.detail"), Tag::namespace("default")];
        let response = StoredResponse::new(&key, None, &head, StoredBody::default(), &tags, store.ledger().position(), 1);
        assert!(store.commit(Arc::new(response)));
    }
    let keys = (0..entries).step_by(entries.div_ceil(1_000)).map(key).collect();
    (store, Arc::new(keys))
}

fn look_up(store: &MemoryStore, key: &PrimaryKey) -> bool {
    matches!(store.lookup(store.slot_key_of(key), &HeaderMap::new(), NOW), Lookup::Found(_))
}

/// Hits in another thread for as long as it lives.
struct Load(Arc<AtomicBool>, Option<std::thread::JoinHandle<u64>>);

impl Load {
    fn new(store: &Arc<MemoryStore>, keys: &Arc<Vec<PrimaryKey>>) -> Self {
        let (stop, store, keys) = (Arc::new(AtomicBool::new(false)), Arc::clone(store), Arc::clone(keys));
        let stopped = Arc::clone(&stop);
        let hits = std::thread::spawn(move || {
            let mut hits = 0;
            while !stopped.load(Ordering::Relaxed) {
                hits += keys.iter().filter(|key| look_up(&store, key)).count() as u64;
            }
            hits
        });
        Self(stop, Some(hits))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        if let Some(hits) = self.1.take() {
            assert!(hits.join().expect("the load runs to its end") > 0);
        }
    }
}

/// The target of the purge of this number.
type Named = fn(usize) -> InvalidationTarget;

fn purge(criterion: &mut Criterion) {
    let kinds: [(&str, Named); 4] = [
        ("tag", |n| InvalidationTarget::Tag(format!("elsewhere:{}", n % 1_000))),
        ("prefix", |n| InvalidationTarget::Prefix(format!("api.example.com/elsewhere/{}", n % 1_000))),
        ("pattern", |n| InvalidationTarget::Pattern(format!("*.example.com/elsewhere/{}/*", n % 100))),
        ("everything, softly", |_| InvalidationTarget::All),
    ];
    for entries in [1_000, 100_000, 1_000_000] {
        let (store, keys) = filled(entries);
        let load = Load::new(&store, &keys);
        let mut group = criterion.benchmark_group("purge");
        for (kind, target) in kinds {
            let mut number = 0;
            group.bench_function(BenchmarkId::new(kind, entries), |bencher| {
                bencher.iter(|| {
                    number += 1;
                    store.ledger().apply(&Invalidation { targets: vec![target(number)], soft: kind.contains("softly") }, NOW)
                });
            });
        }
        drop(load);
        group.bench_function(BenchmarkId::new("look-up, nothing purged since", entries), |bencher| {
            let mut at = 0;
            keys.iter().for_each(|key| assert!(look_up(&store, key)));
            bencher.iter(|| {
                at = (at + 1) % keys.len();
                look_up(&store, &keys[at])
            });
        });
        group.bench_function(BenchmarkId::new("purge of a tag and a look-up", entries), |bencher| {
            let mut at = 0;
            bencher.iter(|| {
                at = (at + 1) % keys.len();
                store.ledger().apply(&Invalidation::hard([InvalidationTarget::Tag("elsewhere".to_owned())]), NOW);
                look_up(&store, &keys[at])
            });
        });
    }
}

criterion_group!(benches, purge);
criterion_main!(benches);
