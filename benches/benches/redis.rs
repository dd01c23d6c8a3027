//! The cost of the tier in Redis: a hit beside the bare client's `GET` of as many bytes on the same kind of connection, and Redis's memory
//! for a stored response; and how soon a server that hung is used again. A real redis-server is started for it. Processor time is this process's own, without the server's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use larder_redis::{Clocks, Compression, RedisOptions, RedisServers, RedisStore, RedisUrl, SealKey, SealKeys, WriteMode};
use larder_semantics::{
    FreshnessLifetime, HeadFlags, KeyBuffer, KeyRules, LifetimeSource, PrimaryKey, StoredFields, StoredHead, Target, Timestamp,
};
use larder_store::{BodyBuilder, LeaseTerms, LoadRequest, Loaded, Position, RemoteError, RemoteStore, StoredResponse, Tag, Write};
use larder_testkit::wait::eventually;
use larder_testkit::{Redis, Result};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};

const BODY: usize = 1024;
const ROUNDS: usize = 20_000;
const STORED: usize = 10_000;
const AT_ONCE: usize = 64;
/// A setting that makes a difference.
type Change = fn(&mut RedisOptions);

const DAY: Duration = Duration::from_secs(86_400);

fn main() -> Result<()> {
    // Asked for as a test it only has to be there.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return Ok(());
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure())
}

async fn measure() -> Result<()> {
    let server = Redis::start().await?;
    println!("{:<28} {:>12} {:>14} {:>14}", "1 KiB, one at a time", "us each", "cpu us each", "64 at once /s");
    bare(&server).await?;
    let settings: [(&str, Change); 3] = [("hit", |_| ()), ("hit, compressed", compressed), ("hit, sealed", sealed)];
    for (name, change) in settings {
        server.command(&["FLUSHALL"]).await?;
        hits(name, &store(&server, change).await?).await?;
    }
    println!("\n{:<28} {:>12}", "1 KiB stored", "bytes each");
    for (name, change) in settings {
        server.command(&["FLUSHALL"]).await?;
        memory(name, &server, &store(&server, change).await?).await?;
    }
    recovery(&server).await
}

/// From the moment a server that hung goes on until a look-up has its answer again.
async fn recovery(server: &Redis) -> Result<()> {
    let store = store(server, |options| options.timeout = Duration::from_millis(50)).await?;
    let (key, request) = (key(0), HeaderMap::new());
    let ask = LoadRequest { key: &key, request: &request, spec: None, newer_than: 0, lease: None, awaited: None };
    println!();
    for round in 1..=5 {
        server.signal(Signal::STOP)?;
        while !matches!(store.load(ask).await, Err(RemoteError::Open)) {}
        server.signal(Signal::CONT)?;
        let since = now();
        eventually("waiting for an answer", || async { Ok(store.load(ask).await.ok().map(drop)) }).await?;
        println!("recovery {round}: {} ms", (now() - since).as_millis());
    }
    Ok(())
}

fn compressed(options: &mut RedisOptions) {
    options.compress = Some(Compression { min: 1024, level: 3 });
}

fn sealed(options: &mut RedisOptions) {
    options.keys = SealKey::parse(&"07".repeat(32)).ok().map(|key| SealKeys { key, old_keys: Vec::new() });
}

async fn store(server: &Redis, change: Change) -> Result<RedisStore> {
    let mut options = RedisOptions::new(RedisServers::Single(RedisUrl::parse(&server.url())?));
    options.write = WriteMode::Through;
    options.timeout = Duration::from_secs(5);
    change(&mut options);
    let store = RedisStore::start(options, Clocks { monotonic: now, wall: None }, Arc::default(), None)?;
    eventually("waiting for the log to be read", || async { Ok(store.stats().log_lag.map(drop)) }).await?;
    Ok(store)
}

/// Wall clock and processor time of one of `ROUNDS`, and how many a second there are when many ask.
async fn report<F: Future<Output = ()>>(name: &str, mut work: impl FnMut() -> F) {
    for _ in 0..ROUNDS / 10 {
        work().await;
    }
    let (wall, cpu) = (now(), processor());
    for _ in 0..ROUNDS {
        work().await;
    }
    let each = |time: Duration| time.as_secs_f64() * 1e6 / ROUNDS as f64;
    let (wall, cpu) = (each(now() - wall), each(processor() - cpu));
    let started = now();
    let mut asking: FuturesUnordered<_> = (0..AT_ONCE).map(|_| work()).collect();
    for _ in 0..ROUNDS {
        asking.next().await;
        asking.push(work());
    }
    let rate = ROUNDS as f64 / (now() - started).as_secs_f64();
    println!("{name:<28} {wall:>12.1} {cpu:>14.1} {rate:>14.0}");
}

async fn bare(server: &Redis) -> Result<()> {
    let client = redis::Client::open(server.url())?;
    let config = ConnectionManagerConfig::new().set_pipeline_buffer_size(1024);
    let mut connection = ConnectionManager::new_with_config(client, config).await?;
    redis::cmd("SET").arg("bare").arg(vec![b'x'; BODY]).query_async::<()>(&mut connection).await?;
    report("bare GET", || {
        let mut connection = connection.clone();
        async move {
            let got: Vec<u8> = redis::cmd("GET").arg("bare").query_async(&mut connection).await.expect("the server is there");
            assert_eq!(got.len(), BODY);
        }
    })
    .await;
    Ok(())
}

async fn hits(name: &str, store: &RedisStore) -> Result<()> {
    let (key, request) = (key(0), HeaderMap::new());
    commit(store, 0).await;
    report(name, || async {
        let terms = LeaseTerms { term: DAY, position: Position::default(), instead_of: None };
        let ask = LoadRequest { key: &key, request: &request, spec: None, newer_than: 0, lease: Some(terms), awaited: None };
        assert!(matches!(store.load(ask).await, Ok(Loaded::Response(found)) if found.body_length() == BODY as u64));
    })
    .await;
    Ok(())
}

async fn memory(name: &str, server: &Redis, store: &RedisStore) -> Result<()> {
    let before = used(server).await?;
    for number in 0..STORED {
        commit(store, number).await;
    }
    println!("{name:<28} {:>12.0}", (used(server).await? - before) / STORED as f64);
    Ok(())
}

async fn used(server: &Redis) -> Result<f64> {
    let info = server.command(&["INFO", "memory"]).await?;
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    line.and_then(|number| number.trim().parse().ok()).ok_or_else(|| larder_testkit::Error::new("no used_memory"))
}

async fn commit(store: &RedisStore, number: usize) {
    let mut builder = BodyBuilder::new(BODY as u64);
    // As JSON is: words that come again, and numbers that do not.
    let text: String = (0..BODY).map(|n| format!("{{\"id\":{},\"state\":\"open\"}},", number * 31 + n * 7_919 % 10_007)).collect();
    builder.push(&text.as_bytes()[..BODY]);
    let body = builder.finish(None).expect("as long as it was announced");
    let tags = [Tag::namespace("default")];
    let response = StoredResponse::new(&key(number), None, &head(), body, &tags, Position::of_log(1), number as u64 + 1);
    store.commit(Write { response: Arc::new(response), keep: DAY, lease: None, log_position: None }).await;
}

fn key(number: usize) -> PrimaryKey {
    let rules = KeyRules::default();
    let mut buffer = KeyBuffer::default();
    let path = format!("/api/v1/projects/{}/issues/{number}", number % 100);
    rules.derive(Target { scheme: "http", authority: "api.example.com", path: &path, query: None }, &HeaderMap::new(), &mut buffer);
    buffer.to_key()
}

fn head() -> StoredHead {
    let fields = [("content-type", "application/json"), ("cache-control", "max-age=60"), ("etag", "\"0123456789abcdef\"")];
    let fields: HeaderMap = fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
    StoredHead {
        status: StatusCode::OK,
        headers: StoredFields::from(&fields),
        response_time: Timestamp::from_secs(1_000),
        initial_age: 0,
        lifetime: FreshnessLifetime { seconds: 60, source: LifetimeSource::MaxAge },
        stale_while_revalidate: 0,
        stale_if_error: 0,
        flags: HeadFlags::default(),
        date_seconds: 1_000,
        origin_control: None,
    }
}

fn processor() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[expect(clippy::disallowed_methods, reason = "what is measured is time itself")]
fn now() -> Instant {
    Instant::now()
}
