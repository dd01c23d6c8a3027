//! Responses for these tests, and shorthands for storing and finding them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use larder_redis::{Clocks, RedisOptions, RedisServers, RedisStore, RedisUrl, WriteMode};
use larder_semantics::{
    FreshnessLifetime, HeadFlags, KeyBuffer, KeyRules, LifetimeSource, PrimaryKey, StoredFields, StoredHead, Target, Timestamp, VarySpec,
};
use larder_store::{
    BodyBuilder, Invalidation, InvalidationTarget, Lease, LeaseTerms, Ledger, LoadRequest, Loaded, Position, Published, RemoteError,
    RemoteStore, StoredBody, StoredResponse, Subject, Tag, Validity, Variant, Write,
};
use larder_testkit::wait::eventually;
use larder_testkit::{Redis, Result};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// The pattern of the keys of entries, leases and chunks; the log's do not match.
pub(crate) const ENTRIES: &str = "larder:{????????????????????????????????}*";

pub(crate) async fn entries(redis: &Redis) -> Result<i64> {
    redis.count(&["EVAL", "return #redis.call('KEYS', ARGV[1])", "0", ENTRIES]).await
}

pub(crate) struct Setup {
    pub(crate) redis: Redis,
    pub(crate) store: RedisStore,
}

impl Setup {
    /// A server, and a store whose writes are done when they return.
    pub(crate) async fn start() -> Result<Self> {
        Self::with(&[], |_| ()).await
    }

    pub(crate) async fn with(settings: &[&str], change: impl FnOnce(&mut RedisOptions)) -> Result<Self> {
        let redis = Redis::start_with(settings).await?;
        let store = another(&redis, change).await?;
        Ok(Self { redis, store })
    }
}

/// A replica with what a gateway has: its own ledger, which the store's log goes into.
pub(crate) struct Replica {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) store: RedisStore,
}

impl Replica {
    pub(crate) async fn start(redis: &Redis) -> Result<Self> {
        Self::with(|ledger| replica(redis, ledger, |_| ())).await
    }

    pub(crate) async fn with(start: impl FnOnce(Arc<Ledger>) -> RedisStore) -> Result<Self> {
        let ledger = Arc::default();
        let store = start(Arc::clone(&ledger));
        has_read_the_log(&store).await?;
        Ok(Self { ledger, store })
    }

    pub(crate) async fn invalidate(&self, name: &str) -> Published {
        let invalidation = Invalidation::hard([InvalidationTarget::Tag(name.to_owned())]);
        let published = self.store.log().publish(invalidation.clone()).await;
        self.ledger.apply(&invalidation, Timestamp::from_secs(1_000));
        published
    }

    pub(crate) fn vouches(&self, name: &str, since: Position) -> bool {
        self.ledger.check(&Subject { url: "http://a/", tags: (&[Tag::surrogate(name)]).into() }, since) == Validity::Valid
    }

    pub(crate) async fn has_read(&self, number: u64) -> Result<()> {
        let read = || async { Ok((self.store.stats().log_number >= number).then_some(())) };
        eventually(format!("waiting for entry {number} of the log"), read).await
    }
}

/// Another replica's store on the same server, once it has read the log.
pub(crate) async fn another(redis: &Redis, change: impl FnOnce(&mut RedisOptions)) -> Result<RedisStore> {
    let store = replica(redis, Arc::default(), change);
    has_read_the_log(&store).await?;
    Ok(store)
}

pub(crate) async fn has_read_the_log(store: &RedisStore) -> Result<()> {
    eventually("waiting for the log to be read", || async { Ok(store.stats().log_lag.map(drop)) }).await
}

/// A replica with this ledger, as it starts.
pub(crate) fn replica(redis: &Redis, ledger: Arc<Ledger>, change: impl FnOnce(&mut RedisOptions)) -> RedisStore {
    replica_by(CLOCKS, redis, ledger, change)
}

/// The same by other clocks.
pub(crate) fn replica_by(clocks: Clocks, redis: &Redis, ledger: Arc<Ledger>, change: impl FnOnce(&mut RedisOptions)) -> RedisStore {
    let mut options = RedisOptions::new(RedisServers::Single(RedisUrl::parse(&redis.url()).unwrap()));
    options.write = WriteMode::Through;
    // The machine that runs the tests may be busy; the tests of slowness set their own.
    options.timeout = Duration::from_secs(5);
    change(&mut options);
    RedisStore::start(options, clocks, ledger, None).unwrap()
}

/// The response that these tests store.
pub(crate) const CLOCKS: Clocks = Clocks { monotonic: now, wall: None };

#[expect(clippy::disallowed_methods, reason = "the store is handed its clock, and these tests are what hands it")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The machine's time, as the store is handed it.
pub(crate) fn wall() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the store is handed its clock, and these tests are what hands it")]
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(since.as_millis() as u64)
}

/// A lease for so long, for a fetch that begins where nothing was invalidated yet.
pub(crate) fn terms(term: Duration) -> LeaseTerms {
    LeaseTerms { term, position: Position::default(), instead_of: None }
}

pub(crate) fn key(path: &str) -> PrimaryKey {
    let rules = KeyRules::default();
    let mut buffer = KeyBuffer::default();
    rules.derive(Target { scheme: "http", authority: "a", path, query: None }, &HeaderMap::new(), &mut buffer);
    buffer.to_key()
}

pub(crate) fn head(etag: &'static str) -> StoredHead {
    let mut headers = HeaderMap::new();
    headers.insert("etag", HeaderValue::from_static(etag));
    StoredHead {
        status: StatusCode::OK,
        headers: StoredFields::from(&headers),
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

pub(crate) fn body(bytes: &[u8]) -> StoredBody {
    let mut builder = BodyBuilder::new(bytes.len() as u64);
    builder.push(bytes);
    builder.finish(None).unwrap()
}

pub(crate) fn response(path: &str, fetch: u64, content: &[u8]) -> StoredResponse {
    StoredResponse::new(&key(path), None, &head("\"1\""), body(content), &[], Position::of_log(3), fetch)
}

pub(crate) fn variant(path: &str, fetch: u64, language: &'static str) -> StoredResponse {
    let spec = VarySpec::new(vec![HeaderName::from_static("accept-language")]);
    response(path, fetch, language.as_bytes()).with_variant(Some(Variant::of(spec, &speaking(language))))
}

pub(crate) fn speaking(language: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("accept-language"), HeaderValue::from_static(language))])
}

pub(crate) async fn commit(store: &RedisStore, response: StoredResponse, lease: Option<Lease>) {
    store.commit(Write { response: Arc::new(response), keep: MINUTE, lease, log_position: None }).await;
}

/// The entry for a request, without asking for a lease.
pub(crate) async fn find(store: &RedisStore, path: &str, request: &HeaderMap) -> Option<Arc<StoredResponse>> {
    let ask = LoadRequest { key: &key(path), request, spec: None, newer_than: 0, lease: None, awaited: None };
    match store.load(ask).await.unwrap() {
        Loaded::Response(response) => Some(response),
        Loaded::Arriving(arriving) => Some(Arc::new(arriving.whole().await.unwrap())),
        Loaded::Nothing(None) => None,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn text(store: &RedisStore, path: &str) -> Option<String> {
    let found = find(store, path, &HeaderMap::new()).await?;
    Some(String::from_utf8_lossy(&found.body().segments().concat()).into_owned())
}

pub(crate) async fn ask_for_lease(store: &RedisStore, path: &str, deadline: Duration) -> Result<Loaded, RemoteError> {
    let (key, request) = (key(path), HeaderMap::new());
    store.load(LoadRequest { key: &key, request: &request, spec: None, newer_than: 0, lease: Some(terms(deadline)), awaited: None }).await
}

pub(crate) fn granted(loaded: Result<Loaded, RemoteError>) -> Lease {
    match loaded {
        Ok(Loaded::Nothing(Some(lease))) => lease,
        other => panic!("no lease: {other:?}"),
    }
}

pub(crate) fn pattern(length: usize) -> Bytes {
    (0..length).map(|index| (index % 251) as u8).collect()
}
