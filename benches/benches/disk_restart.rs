//! A restart over a full disk: seconds until the first hit, until all of the index is known, and what that takes.
//!
//! `cargo bench -p larder-benches --bench disk_restart -- [ENTRIES [DIRECTORY]]`: a million small entries by default, in a directory that is removed afterwards.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode};
use larder_disk::{Admission, Clocks, DiskOptions, DiskStore};
use larder_semantics::{
    FreshnessLifetime, HeadFlags, KeyBuffer, KeyRules, LifetimeSource, PrimaryKey, StoredFields, StoredHead, Target, Timestamp,
};
use larder_store::{BodyBuilder, Ledger, LoadRequest, Loaded, RemoteStore, StoredResponse, Write};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const NOW: Timestamp = Timestamp::from_secs(1_000);

const LONG: Duration = Duration::from_secs(600);

/// Writes that may wait at a time.
const MAX_QUEUED: u64 = 3_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let entries = arguments.first().and_then(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let parent = arguments.get(1).map_or_else(std::env::temp_dir, Into::into);
    let directory = parent.join(format!("larder-disk-restart-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let measured = runtime.block_on(measure(&directory, entries));
    std::fs::remove_dir_all(&directory)?;
    measured
}

async fn measure(directory: &Path, entries: u64) -> Result<()> {
    fill(directory, entries).await?;
    for ending in ["first restart", "and again"] {
        let began = now();
        let store = start(directory)?;
        while !is_there(&store, entries - 1).await {
            tokio::task::yield_now().await;
        }
        let first = began.elapsed();
        assert!(store.usable(LONG).await, "{:?}", store.problem());
        let whole = began.elapsed();
        let stats = store.stats();
        assert!(is_there(&store, 0).await);
        println!(
            "{ending}: {} entries, first hit after {:.3} s, all known after {:.3} s, {:.1} bytes of index each",
            stats.entries,
            first.as_secs_f64(),
            whole.as_secs_f64(),
            stats.index_bytes as f64 / stats.entries as f64
        );
        store.close(LONG).await;
    }
    Ok(())
}

/// As a process leaves it that has stored all of them and ends.
async fn fill(directory: &Path, entries: u64) -> Result<()> {
    let ledger = Arc::<Ledger>::default();
    let store = DiskStore::start(options(directory), CLOCKS, Arc::clone(&ledger), true, None)?;
    assert!(store.usable(LONG).await, "{:?}", store.problem());
    let head = head();
    for number in 0..entries {
        let position = ledger.position();
        let mut body = BodyBuilder::new(16);
        body.push(format!("{number:016}").as_bytes());
        let body = body.finish(None).ok_or("a body")?;
        let response = StoredResponse::new(&key(number), None, &head, body, &[], position, number + 1);
        let (keep, log_position) = (Duration::from_secs(3_600), ledger.log_position(position));
        store.commit(Write { response: Arc::new(response), keep, lease: None, log_position }).await;
        while store.stats().queued > MAX_QUEUED {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let left = store.close(LONG).await;
    println!("{entries} entries of 16 bytes stored, {left} not written");
    Ok(())
}

async fn is_there(store: &DiskStore, number: u64) -> bool {
    let request = HeaderMap::new();
    let ask = LoadRequest { key: &key(number), request: &request, spec: None, newer_than: 0, lease: None, awaited: None };
    matches!(store.load(ask).await, Ok(Loaded::Response(_)))
}

fn options(directory: &Path) -> DiskOptions {
    DiskOptions { admission: Admission::All, write_rate: None, ..DiskOptions::new(directory.to_owned(), 4 << 30) }
}

fn start(directory: &Path) -> Result<DiskStore> {
    Ok(DiskStore::start(options(directory), CLOCKS, Arc::default(), true, None)?)
}

const CLOCKS: Clocks = Clocks { monotonic: now, wall: || NOW };

fn key(number: u64) -> PrimaryKey {
    let mut buffer = KeyBuffer::default();
    let path = format!("/api/v1/issues/{number}");
    let target = Target { scheme: "http", authority: "api.example.com", path: &path, query: None };
    KeyRules::default().derive(target, &HeaderMap::new(), &mut buffer);
    buffer.to_key()
}

fn head() -> StoredHead {
    StoredHead {
        status: StatusCode::OK,
        headers: StoredFields::from(&HeaderMap::new()),
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

#[expect(clippy::disallowed_methods, reason = "this is what measures time")]
fn now() -> Instant {
    Instant::now()
}
