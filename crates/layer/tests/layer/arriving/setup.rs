//! A cache whose tier has one long body, and sends it as the test says.

use crate::common;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use common::{Origin, OriginBody, get};
use http::{HeaderMap, HeaderValue, StatusCode};
use larder_semantics::{FreshnessLifetime, HeadFlags, LifetimeSource, StoredFields, StoredHead};
use larder_store::codec::{Record, decode, encode};
use larder_store::{
    AppliedBy, Arriving, BodyBuilder, Chunks, Invalidation, InvalidationLog, LoadRequest, Loaded, Position, Published, RemoteError,
    RemoteStore, SEGMENT, StoreFuture, StoredResponse, Tag, Write,
};
use larder_tower::clock::Clock;
use larder_tower::{Cache, CacheService, EffectiveTarget, Served, Tiers};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub(super) const ETAG: &str = "\"1\"";

/// A tier with one response, for whatever is asked, whose chunks come as the test sends them.
#[derive(Debug)]
pub(super) struct Tier {
    pub(super) content: Bytes,
    pub(super) etag: Option<&'static str>,
    pub(super) age: u64,
    /// One for each load.
    pub(super) bodies: Mutex<VecDeque<UnboundedReceiver<Result<Bytes, RemoteError>>>>,
    pub(super) loads: AtomicUsize,
    pub(super) commits: AtomicUsize,
}

pub(super) struct Sent(UnboundedReceiver<Result<Bytes, RemoteError>>);

impl Chunks for Sent {
    fn next(&mut self) -> StoreFuture<'_, Option<Result<Bytes, RemoteError>>> {
        Box::pin(self.0.recv())
    }

    fn ahead(&self) -> u64 {
        7
    }
}

impl Tier {
    fn arriving(&self, ask: LoadRequest<'_>, body: UnboundedReceiver<Result<Bytes, RemoteError>>) -> Arriving {
        let fields = self.etag.map(|etag| (http::header::ETAG, HeaderValue::from_static(etag)));
        let head = StoredHead {
            status: StatusCode::OK,
            headers: StoredFields::from(&fields.into_iter().collect::<HeaderMap>()),
            response_time: common::START,
            initial_age: self.age as u32,
            lifetime: FreshnessLifetime { seconds: 60, source: LifetimeSource::MaxAge },
            stale_while_revalidate: 0,
            stale_if_error: 0,
            flags: HeadFlags::default(),
            date_seconds: common::START.as_secs(),
            origin_control: None,
        };
        let mut builder = BodyBuilder::new(self.content.len() as u64);
        builder.push(&self.content);
        let body_stored = builder.finish(None).unwrap();
        let tags = [Tag::surrogate("t")];
        let stored = StoredResponse::new(ask.key, None, &head, body_stored, &tags, Position(0), 7);
        match decode(encode(&stored, Position(0)).into(), ask.key, None) {
            Ok(Record::Response(record)) => Arriving { record, chunks: Box::new(Sent(body)) },
            other => panic!("{other:?}"),
        }
    }
}

impl RemoteStore for Tier {
    fn name(&self) -> &'static str {
        "shared"
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn load<'a>(&'a self, ask: LoadRequest<'a>) -> StoreFuture<'a, Result<Loaded, RemoteError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.loads.fetch_add(1, Ordering::SeqCst);
            let body = self.bodies.lock().unwrap().pop_front();
            Ok(match body.filter(|_| ask.newer_than < 7) {
                Some(body) => Loaded::Arriving(self.arriving(ask, body)),
                None => Loaded::Nothing(None),
            })
        })
    }

    fn commit(&self, _: Write) -> StoreFuture<'_, ()> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    }

    fn freshen(&self, _: Write) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn remove(&self, _: &StoredResponse) {}
}

#[derive(Debug)]
pub(crate) struct NoLog;

impl InvalidationLog for NoLog {
    fn publish(&self, _: Invalidation) -> StoreFuture<'_, Published> {
        Box::pin(std::future::ready(Published::Kept))
    }

    fn applied_by(&self, _: u64) -> StoreFuture<'_, Option<AppliedBy>> {
        Box::pin(std::future::ready(None))
    }
}

/// A cache before an origin, with a tier behind its memory.
pub(super) struct Setup {
    pub(super) cache: CacheService<Origin>,
    pub(super) tier: Arc<Tier>,
    pub(super) content: Bytes,
    pub(super) chunks: Option<UnboundedSender<Result<Bytes, RemoteError>>>,
}

pub(super) struct Stored {
    pub(super) length: usize,
    pub(super) etag: Option<&'static str>,
    pub(super) age: u64,
    pub(super) capacity: u64,
}

/// Two full chunks and a short one.
pub(super) const STORED: Stored = Stored { length: 2 * SEGMENT + 5, etag: Some(ETAG), age: 0, capacity: 64 << 20 };

pub(super) fn content(length: usize) -> Bytes {
    (0..length).map(|index| (index % 251) as u8).collect()
}

impl Setup {
    pub(super) fn new(stored: Stored, origin: Origin) -> Self {
        let content = content(stored.length);
        let (chunks, body) = unbounded_channel();
        let tier = Arc::new(Tier {
            content: content.clone(),
            etag: stored.etag,
            age: stored.age,
            bodies: Mutex::new([body].into()),
            loads: AtomicUsize::new(0),
            commits: AtomicUsize::new(0),
        });
        let (clock, _) = Clock::manual(common::START);
        let tiers = Tiers::new().then(Arc::clone(&tier) as _).with_log(Arc::new(NoLog));
        let cache = Cache::builder(stored.capacity).max_object(1 << 20).clock(clock).tiers(tiers).build();
        let rules = common::builder().max_object(64 << 20).build();
        Self { cache: CacheService::new(origin, cache, Arc::new(rules)), tier, content, chunks: Some(chunks) }
    }

    pub(super) fn chunk(&self, number: usize) -> Bytes {
        let end = ((number + 1) * SEGMENT).min(self.content.len());
        self.content.slice(number * SEGMENT..end)
    }

    pub(super) fn send(&self, chunk: Result<Bytes, RemoteError>) {
        self.chunks.as_ref().expect("still sending").send(chunk).expect("somebody reads");
    }

    pub(super) fn send_chunks(&self, numbers: std::ops::Range<usize>) {
        numbers.for_each(|number| self.send(Ok(self.chunk(number))));
    }

    pub(super) fn loads(&self) -> usize {
        self.tier.loads.load(Ordering::SeqCst)
    }

    pub(super) async fn serve(&self) -> Served<OriginBody> {
        self.cache.serve(get("/a"), EffectiveTarget::default(), |_| ()).await.expect("an answer")
    }

    pub(super) fn held(&self) -> u64 {
        self.cache.cache().stats().bytes_in_flight
    }

    /// Until the exchange under way is over.
    pub(super) async fn settled(&self) {
        while self.cache.cache().stats().fills_in_flight > 0 {
            tokio::task::yield_now().await;
        }
    }
}
