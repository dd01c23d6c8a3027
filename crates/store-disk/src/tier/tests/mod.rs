//! The tier over a directory of its own, one process after another.

mod faults;
mod forms;
mod histories;
mod processes;
mod spooled;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use larder_disk_options::{Admission, DiskOptions};
use larder_semantics::{KeyBuffer, KeyRules, Target, Timestamp, VarySpec};
use larder_store::{
    Invalidation, InvalidationTarget, Ledger, LoadRequest, Loaded, NewRemoteBody, Published, RemoteError, RemoteStore, SEGMENT,
    StoredResponse, Variant, Write,
};
use tempfile::TempDir;

use super::store::DiskStore;
use crate::clocks::Clocks;
use crate::fixtures::{body, key, response, write_of};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

#[expect(clippy::disallowed_methods, reason = "the clock of a test")]
const CLOCKS: Clocks = Clocks { monotonic: Instant::now, wall: || Timestamp::from_secs(1_000) };

/// A process that has the store open.
struct Process {
    store: DiskStore,
    ledger: Arc<Ledger>,
}

fn options(folder: &TempDir) -> DiskOptions {
    DiskOptions { admission: Admission::All, timeout: LONG, ..DiskOptions::new(folder.path().join("cache"), DiskOptions::MIN_CAPACITY) }
}

impl Process {
    /// Begins to open the directory.
    fn begin(options: DiskOptions) -> Self {
        Self::by(options, CLOCKS)
    }

    /// By other clocks.
    fn by(options: DiskOptions, clocks: Clocks) -> Self {
        let ledger = Arc::<Ledger>::default();
        let store = DiskStore::start(options, clocks, Arc::clone(&ledger), true, None).expect("it starts");
        Self { store, ledger }
    }

    /// Begins to open the directory, where Redis keeps the log, which was read to its end.
    fn beside_redis(folder: &TempDir) -> Self {
        let ledger = Arc::<Ledger>::default();
        ledger.enter(crate::fixtures::epoch());
        let store = DiskStore::start(options(folder), CLOCKS, Arc::clone(&ledger), false, None).expect("it starts");
        Self { store, ledger }
    }

    async fn start(folder: &TempDir) -> Self {
        Self::with(options(folder)).await
    }

    async fn with(options: DiskOptions) -> Self {
        let process = Self::begin(options);
        assert!(process.store.usable(LONG).await, "{:?}", process.store.problem());
        process
    }

    /// Ends well.
    async fn end(self) {
        assert_eq!(self.store.close(LONG).await, 0);
    }

    /// Stores a response as the cache does that fetches it now, as the fetch of this number.
    async fn put(&self, path: &str, length: usize, fetch: u64) {
        self.put_variant(path, length, fetch, None).await;
    }

    async fn put_variant(&self, path: &str, length: usize, fetch: u64, variant: Option<Variant>) {
        self.store.commit(self.write(path, length, fetch, variant)).await;
        self.written().await;
    }

    fn write(&self, path: &str, length: usize, fetch: u64, variant: Option<Variant>) -> Write {
        let mut response = response(path, length, fetch, variant);
        response.position = self.ledger.position();
        Write { log_position: self.ledger.log_position(self.ledger.position()), ..write_of(response) }
    }

    /// Waits until all that was to be written is.
    async fn written(&self) {
        self.store.tier.queue.idle().await;
    }

    async fn load(&self, path: &str, request: &HeaderMap) -> Result<Loaded, RemoteError> {
        let ask = LoadRequest { key: &key(path), request, spec: None, newer_than: 0, lease: None, awaited: None };
        self.store.load(ask).await
    }

    /// The fetch whose response may be used.
    async fn get(&self, path: &str) -> Option<u64> {
        self.get_for(path, &HeaderMap::new()).await.map(|stored| stored.fetch)
    }

    async fn get_for(&self, path: &str, request: &HeaderMap) -> Option<Arc<StoredResponse>> {
        let stored = match self.load(path, request).await {
            Ok(Loaded::Response(stored)) => stored,
            Ok(Loaded::Arriving(arriving)) => Arc::new(arriving.whole().await.expect("all of it")),
            Ok(_) | Err(_) => return None,
        };
        stored.is_valid(&self.ledger).then_some(stored)
    }

    /// As the cache does it: here, then in the log, and where that does not take it the tier is told.
    async fn purge(&self, path: &str) -> Published {
        let invalidation = Invalidation::hard([InvalidationTarget::Url(format!("http://a{path}"))]);
        self.ledger.apply(&invalidation, Timestamp::from_secs(1_000));
        let up_to = self.ledger.log_position(self.ledger.position());
        // Redis is away.
        let (mut published, mut outlives) = (Published::Kept, false);
        if let Some(log) = self.store.log() {
            published = log.publish(invalidation).await;
            outlives = matches!(published, Published::Logged(_)) || published == Published::Kept && log.outlives_process();
        }
        if !outlives {
            self.store.forget_after_restart(up_to).await;
        }
        published
    }
}

impl DiskStore {
    /// Whether it would take a body of this path while it arrives.
    fn begin_body_of(&self, path: &str) -> bool {
        let (key, stored) = (key(path), response(path, 1, 1, None));
        self.begin_body(NewRemoteBody { key: &key, variant: None, head: &stored.head, fetch: 9, length: None }).is_some()
    }
}

impl super::Tier {
    fn read_notes_now(&self) {
        self.take_over(&self.engine().expect("open"), &mut Default::default());
    }
}

fn language(value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("accept-language"), HeaderValue::from_static(value))])
}

fn variant(value: &'static str) -> Variant {
    Variant::of(VarySpec::new(vec![HeaderName::from_static("accept-language")]), &language(value))
}

#[tokio::test]
async fn a_response_is_found_as_it_was_stored() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder).await;
    for (at, length) in [0, 1, 5_000, SEGMENT, SEGMENT + 1, 9 * SEGMENT].into_iter().enumerate() {
        let path = format!("/{at}");
        process.put(&path, length, 7).await;
        let stored = process.get_for(&path, &HeaderMap::new()).await.expect("it is there");
        assert_eq!(stored.body().segments(), body(length).segments(), "{length} bytes");
        assert_eq!((stored.fetch, stored.key()), (7, key(&path)));
    }
    assert_eq!(process.get("/x").await, None);
    let stats = process.store.stats();
    assert_eq!((stats.hits, stats.misses, stats.written, stats.entries), (6, 1, 6, 6));
}

#[tokio::test]
async fn a_long_body_is_not_read_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder).await;
    process.put("/x", 5 * SEGMENT, 1).await;
    let Ok(Loaded::Arriving(mut arriving)) = process.load("/x", &HeaderMap::new()).await else { panic!("it arrives") };
    assert!(arriving.chunks.ahead() <= SEGMENT as u64);
    for segment in body(5 * SEGMENT).segments() {
        assert_eq!(arriving.chunks.next().await, Some(Ok(segment.clone())));
        assert!(arriving.chunks.ahead() <= SEGMENT as u64);
    }
    assert_eq!((arriving.chunks.next().await, arriving.chunks.ahead()), (None, 0));
}

#[tokio::test]
async fn what_may_be_taken_into_memory_takes_no_more_there_than_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder).await;
    process.put("/long", SEGMENT + 100_000, 1).await;
    process.put("/short", 100_000, 1).await;
    let Ok(Loaded::Arriving(mut arriving)) = process.load("/long", &HeaderMap::new()).await else { panic!("it arrives") };
    let mut segments = Vec::new();
    while let Some(segment) = arriving.chunks.next().await {
        segments.push(segment.expect("it is there"));
    }
    let Ok(Loaded::Response(short)) = process.load("/short", &HeaderMap::new()).await else { panic!("it is there") };
    segments.extend(short.body().segments().to_vec());
    drop(short);
    let taken: Vec<Option<usize>> =
        segments.into_iter().map(|segment| segment.try_into_mut().ok().map(|segment| segment.capacity())).collect();
    assert_eq!(taken, [SEGMENT, 100_000, 100_000].map(Some));
}

#[tokio::test]
async fn variants_are_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder).await;
    process.put_variant("/x", 1, 1, Some(variant("de"))).await;
    process.put_variant("/x", 2, 2, Some(variant("fr"))).await;
    process.end().await;
    let process = Process::start(&folder).await;
    for (language_asked, length) in [("de", Some(1)), ("fr", Some(2)), ("en", None)] {
        let stored = process.get_for("/x", &language(language_asked)).await;
        assert_eq!(stored.map(|stored| stored.body_length()), length, "{language_asked}");
    }
}

#[tokio::test]
async fn only_a_later_fetch_than_the_one_that_is_known_is_returned() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder).await;
    process.put("/x", 1, 5).await;
    let request = HeaderMap::new();
    for (newer_than, found) in [(4, true), (5, false)] {
        let ask = LoadRequest { key: &key("/x"), request: &request, spec: None, newer_than, lease: None, awaited: None };
        assert_eq!(matches!(process.store.load(ask).await, Ok(Loaded::Response(_))), found, "newer than {newer_than}");
    }
}

#[tokio::test]
async fn a_renewed_head_is_found_with_the_body_that_it_belongs_to() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder).await;
    process.put("/x", 3 * SEGMENT, 1).await;
    let Write { response, keep, log_position, .. } = process.write("/x", 3 * SEGMENT, 1, None);
    let renewed = Arc::new(response.freshened(&response.head, response.position, 2));
    let before = process.store.stats().written_bytes;
    process.store.freshen(Write { response: renewed, keep, lease: None, log_position }).await;
    process.written().await;
    assert!(process.store.stats().written_bytes - before < 2_000, "the head alone is written");
    let stored = process.get_for("/x", &HeaderMap::new()).await.expect("it is there");
    assert_eq!((stored.fetch, stored.body_fetch(), stored.body_length()), (2, 1, 3 * SEGMENT as u64));
}

#[tokio::test]
async fn a_response_is_written_when_it_is_asked_for_a_second_time() {
    let folder = tempfile::tempdir().unwrap();
    let second_hit = || DiskOptions { admission: Admission::SecondHit, ..options(&folder) };
    let process = Process::with(second_hit()).await;
    let (once, twice) = (process.write("/once", 1, 1, None), process.write("/twice", 1, 1, None));
    let in_memory = (Arc::clone(&once.response), Arc::clone(&twice.response));
    process.store.commit(once).await;
    process.store.commit(twice).await;
    in_memory.1.mark_asked();
    process.end().await;
    let process = Process::with(second_hit()).await;
    assert_eq!((process.get("/once").await, process.get("/twice").await), (None, Some(1)));
}

#[tokio::test]
async fn a_response_that_was_asked_for_is_written_although_the_disk_always_has_something_to_do() {
    static SECONDS: AtomicU64 = AtomicU64::new(0);
    #[expect(clippy::disallowed_methods, reason = "the clock of a test")]
    let monotonic = || Instant::now() + Duration::from_secs(SECONDS.fetch_add(1, Ordering::Relaxed));
    let folder = tempfile::tempdir().unwrap();
    let second_hit = DiskOptions { admission: Admission::SecondHit, ..options(&folder) };
    let process = Process::by(second_hit, Clocks { monotonic, ..CLOCKS });
    assert!(process.store.usable(LONG).await);
    let asked = process.write("/asked", 1, 1, None);
    let in_memory = Arc::clone(&asked.response);
    process.store.commit(asked).await;
    in_memory.mark_asked();
    process.store.remove(&response("/other", 1, 1, None));
    process.written().await;
    assert_eq!(process.get("/asked").await, Some(1));
}

#[tokio::test]
async fn bodies_larger_than_max_object_and_writes_beyond_the_rate_are_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::with(DiskOptions { max_object: 1_000, write_rate: Some(10), ..options(&folder) }).await;
    process.put("/large", 1_001, 1).await;
    assert!(!process.store.takes(1_001));
    process.put("/a", 1_000, 1).await;
    process.put("/b", 1_000, 1).await;
    assert_eq!([process.get("/large").await, process.get("/a").await, process.get("/b").await], [None, Some(1), None]);
    assert_eq!((process.store.stats().written, process.store.stats().held_back), (1, 1));
    process.put("/a", 1_000, 2).await;
    assert_eq!(process.get("/a").await, None, "no older response stays in the place of one that is held back");
}

#[tokio::test]
async fn a_response_too_large_for_the_disk_leaves_no_older_one_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::with(DiskOptions { max_object: 1_000, ..options(&folder) }).await;
    for path in ["/renewed", "/freshened", "/y"] {
        process.put(path, 1, 1).await;
    }
    process.put("/renewed", 1_001, 2).await;
    process.store.freshen(process.write("/freshened", 1_001, 2, None)).await;
    process.written().await;
    let found = async |process: &Process| [process.get("/renewed").await, process.get("/freshened").await, process.get("/y").await];
    assert_eq!(found(&process).await, [None, None, Some(1)]);
    process.end().await;
    assert_eq!(found(&Process::start(&folder).await).await, [None, None, Some(1)]);
}

/// A variant that is not written: it was fetched for the first time, it is beyond the rate, or it is too large.
#[tokio::test]
async fn a_variant_that_is_not_written_leaves_no_older_response_without_vary() {
    let ways = [
        DiskOptions { admission: Admission::SecondHit, ..DiskOptions::new("".into(), 0) },
        DiskOptions { write_rate: Some(1), admission: Admission::All, ..DiskOptions::new("".into(), 0) },
        DiskOptions { max_object: 1_000, admission: Admission::All, ..DiskOptions::new("".into(), 0) },
    ];
    for way in ways {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(&folder).await;
        process.put("/x", 1, 1).await;
        process.put_variant("/y", 1, 1, Some(variant("de"))).await;
        process.end().await;
        let options = DiskOptions { admission: way.admission, write_rate: way.write_rate, max_object: way.max_object, ..options(&folder) };
        let process = Process::with(options).await;
        process.store.tier.rate_spends(1_000_000);
        for path in ["/x", "/y"] {
            process.put_variant(path, 1_001, 2, Some(variant("fr"))).await;
        }
        process.end().await;
        let process = Process::start(&folder).await;
        assert_eq!(process.get("/x").await, None, "for all languages");
        assert_eq!(process.get_for("/y", &language("de")).await.map(|stored| stored.fetch), Some(1), "variants stay");
    }
}

#[tokio::test]
async fn a_removed_response_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder).await;
    process.put("/x", 1, 1).await;
    process.put("/y", 1, 5).await;
    process.store.remove(&response("/x", 1, 1, None));
    process.store.remove(&response("/y", 1, 4, None));
    process.written().await;
    assert_eq!((process.get("/x").await, process.get("/y").await), (None, Some(5)));
    process.end().await;
    let process = Process::start(&folder).await;
    assert_eq!((process.get("/x").await, process.get("/y").await), (None, Some(5)));
}

#[tokio::test]
async fn a_response_that_a_later_process_could_not_judge_takes_the_place_of_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder).await;
    process.put("/x", 1, 1).await;
    let unjudged = Write { log_position: None, ..process.write("/x", 1, 2, None) };
    process.store.commit(unjudged).await;
    process.written().await;
    assert_eq!(process.get("/x").await, None);
}

/// The same path in two namespaces, as two sites or two versions of one have it.
#[tokio::test]
async fn two_namespaces_in_one_directory_have_nothing_in_common() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder).await;
    let of = |namespace: &str| {
        let (mut rules, mut buffer) = (KeyRules::default(), KeyBuffer::default());
        namespace.clone_into(&mut rules.namespace);
        rules.derive(Target { scheme: "http", authority: "a", path: "/x", query: None }, &HeaderMap::new(), &mut buffer);
        buffer.to_key()
    };
    for (namespace, length) in [("one", 10), ("two", 20)] {
        let write = process.write("/x", length, 1, None);
        let other = &write.response;
        let stored = StoredResponse::new(&of(namespace), None, &other.head, other.body(), &[], other.position, 1);
        process.store.commit(Write { response: Arc::new(stored), ..write }).await;
    }
    process.written().await;
    for (namespace, length) in [("one", Some(10)), ("two", Some(20)), ("three", None)] {
        let (key, request) = (of(namespace), HeaderMap::new());
        let ask = LoadRequest { key: &key, request: &request, spec: None, newer_than: 0, lease: None, awaited: None };
        let found = match process.store.load(ask).await {
            Ok(Loaded::Response(stored)) => Some(stored.body_length()),
            _ => None,
        };
        assert_eq!(found, length, "{namespace}");
    }
}
