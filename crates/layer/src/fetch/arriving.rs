//! A stored response whose body is on its way from a tier behind the memory. Where that breaks off, the origin brings the rest of the same
//! representation, or all of it once more, and its clients do not notice. Where that is another one, the body breaks off.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use larder_semantics::content::Fitness;
use larder_semantics::{StoredHead, Withheld};
use larder_store::codec::{BodyProof, ResponseRecord};
use larder_store::{Arriving, BodyBuilder, Chunks, Recording, RemoteBody, RemoteError, StoredBody, StoredResponse};
use tokio::sync::oneshot;
use tracing::debug;

use super::pump::{Kept, Pump};
use super::rest::{Again, Backed, Before, Rest, STALL, is_resumable, within};
use super::state::Fetch;
use crate::body::aside::Aside;
use crate::body::log::{LogHandle, body_log};
use crate::body::pending::{PendingBody, PendingResponse};
use crate::collapse::outcome::{FetchOutcome, Own, Reply};
use crate::error::BodyError;
use crate::lookup::request::ClientRequest;
use crate::service::CacheService;
use crate::steps::Stopwatch;
use crate::tiers::look_up::Promotion;
use crate::upstream::Upstream;

impl Fetch {
    /// Streams a stored body to its readers, and into memory once it is proven complete.
    pub(super) async fn store_arriving<S: Upstream>(
        mut self: Box<Self>,
        service: CacheService<S>,
        Arriving { record, chunks }: Arriving,
        promotion: Promotion,
        reply: oneshot::Sender<Reply<S::Body>>,
    ) {
        if let Some(body) = chunks.remote().filter(|_| record.body().length > service.cache.max_in_memory) {
            return self.serve_remote(service, &record, body, reply);
        }
        let (writer, handle) = body_log(Arc::clone(&service.cache.in_flight));
        let length = Some(record.body().length);
        let (head, variant) = (Arc::clone(record.head()), record.variant().cloned());
        let (tags, position, recording) = (record.tags().clone(), record.position(), record.recording().cloned());
        let body = PendingBody::Arriving(handle);
        let pending = Arc::new(PendingResponse { head, variant, body, length, recording, tags, more_tags: false, kept: true, position });
        let Some(reader) = pending.body.reader() else { return };
        // The client's reader is there before any follower's, so that the first frame finds it.
        let landed = self.deliver(FetchOutcome::Arriving(pending), Own::Reader(reader), reply);
        let body = ArrivingBody::new(service.clone(), Arc::clone(&self.request), &record, chunks);
        let pump = Pump {
            fetch: self,
            service,
            kept: Kept::Stored(record, promotion),
            withheld: Withheld::default(),
            writer,
            landed,
            length,
            given_up: None,
            stopwatch: Stopwatch::idle(),
        };
        pump.run(pin!(body), Poll::Pending).await;
    }
}

impl Fetch {
    /// Hands a body that is too long for the memory to the client and to the requests that wait, which read it from its tier, each at its own place.
    /// No later request waits for it.
    fn serve_remote<S: Upstream>(
        mut self: Box<Self>,
        service: CacheService<S>,
        record: &ResponseRecord,
        body: Arc<dyn RemoteBody>,
        reply: oneshot::Sender<Reply<S::Body>>,
    ) {
        let (head, length, in_flight) = (Arc::clone(record.head()), record.body().length, Arc::clone(&service.cache.in_flight));
        let backed = Backed::new(body, service, Arc::clone(&self.request), (Arc::clone(&head), length));
        let handle = LogHandle::of_remote(Arc::new(backed), length, record.trailers().cloned(), &in_flight);
        let pending = Arc::new(PendingResponse {
            head,
            variant: record.variant().cloned(),
            body: PendingBody::Arriving(handle),
            length: Some(length),
            recording: record.recording().cloned(),
            tags: record.tags().clone(),
            more_tags: false,
            kept: true,
            position: record.position(),
        });
        let Some(reader) = pending.body.reader() else { return };
        drop(self.deliver(FetchOutcome::Arriving(pending), Own::Reader(reader), reply));
    }
}

impl<S: Upstream> Pump<S> {
    /// Takes a response that a tier has, or another replica is fetching, into memory, unless it was invalidated while it arrived.
    pub(super) fn promote(
        &self,
        record: &ResponseRecord,
        last: Option<&Bytes>,
        trailers: Option<HeaderMap>,
        recording: Option<Recording>,
    ) -> Option<Arc<StoredResponse>> {
        let frames: Vec<Bytes> = self.writer.frames().into_iter().chain(last.cloned()).collect();
        let body = StoredBody::from_segments(frames.clone(), trailers.clone()).or_else(|| {
            // Some of them came from an origin, and are of any size.
            let mut builder = BodyBuilder::new(frames.iter().map(|frame| frame.len() as u64).sum());
            frames.iter().for_each(|frame| builder.push(frame));
            builder.finish(trailers)
        })?;
        let (cache, route) = (&self.service.cache, &self.service.route);
        // What a tier has was judged before it was stored there.
        let is_relayed = matches!(self.kept, Kept::Relayed(..));
        let fitness = if is_relayed { self.fetch.judge_body(route, record.head(), frames.iter()) } else { Fitness::Fit(None) };
        if fitness == Fitness::Unfit {
            return None;
        }
        let completed = if is_relayed { route.completed(record.head(), &body, &fitness) } else { None };
        cache.saw_fetch(record.fetch());
        let response = record.with_body(body.with_recording(recording));
        let response = Arc::new(match completed {
            Some(head) => response.freshened(&head, response.position, response.fetch),
            None => response,
        });
        cache.keep(&response).then_some(response)
    }
}

/// The body of a stored response, from wherever it comes.
struct ArrivingBody<S: Upstream> {
    next: Option<Step<S>>,
    left: u64,
    trailers: Option<HeaderMap>,
}

type Step<S> = Pin<Box<dyn Future<Output = Result<(Walk<S>, Bytes), BodyError>> + Send>>;

/// How far it has come.
struct Walk<S: Upstream> {
    service: CacheService<S>,
    request: Arc<ClientRequest>,
    head: Arc<StoredHead>,
    source: Source<S::Body>,
    proof: BodyProof,
    /// Present where all of it can be asked for once more, and nothing less.
    before: Option<Box<Before>>,
    aside: Aside,
}

/// Where the next bytes come from.
enum Source<B> {
    /// The tier behind the memory.
    Store(Box<dyn Chunks>),
    /// The origin, with the rest.
    Rest(Rest<B>),
    /// The origin, with all of it.
    Again(Again<B>),
}

impl<S: Upstream> ArrivingBody<S> {
    fn new(service: CacheService<S>, request: Arc<ClientRequest>, record: &ResponseRecord, chunks: Box<dyn Chunks>) -> Self {
        let mut aside = Aside::new(&service.cache.in_flight);
        aside.set(chunks.ahead());
        let (head, proof, length) = (Arc::clone(record.head()), BodyProof::new(record.body()), Some(record.body().length));
        let before =
            if is_resumable(&request, &head, length) { None } else { Before::of(&service, &request, record, length).map(Box::new) };
        let walk = Walk { service, request, head, source: Source::Store(chunks), proof, before, aside };
        Self { next: Some(Box::pin(walk.step())), left: record.body().length, trailers: record.trailers().cloned() }
    }
}

impl<S: Upstream> Walk<S> {
    /// The next bytes. The last ones only where all of them together are the body that was stored.
    async fn step(mut self) -> Result<(Self, Bytes), BodyError> {
        let bytes = loop {
            let bytes = match &mut self.source {
                Source::Store(chunks) => {
                    chunks.limit_ahead(self.aside.max_segments());
                    let next = within(STALL, chunks.next()).await?.unwrap_or(Err(RemoteError::Incomplete));
                    self.aside.set(chunks.ahead());
                    match next {
                        Ok(chunk) => chunk,
                        Err(error) => {
                            self.aside.set(0);
                            self.turn_to_origin(error).await?;
                            continue;
                        }
                    }
                }
                Source::Rest(rest) => within(STALL, rest.next()).await??,
                Source::Again(again) => {
                    let next = within(STALL, again.next()).await??.ok_or(BodyError::Stored(RemoteError::Incomplete))?;
                    match next.into_data() {
                        Ok(data) => data,
                        Err(_) => continue,
                    }
                }
            };
            if !bytes.is_empty() {
                break bytes;
            }
        };
        if !self.proof.add(&bytes) {
            return Err(BodyError::Stored(RemoteError::Damaged));
        }
        self.before.iter_mut().for_each(|before| before.add(&bytes));
        Ok((self, bytes))
    }

    /// Asks the origin for the bytes that the tier could not deliver.
    async fn turn_to_origin(&mut self, error: RemoteError) -> Result<(), BodyError> {
        let (got, left) = (self.proof.got(), self.proof.left());
        debug!("a stored body broke off {left} bytes before its end: {error}");
        let Self { service, request, head, .. } = self;
        self.source = match is_resumable(request, head, Some(got + left)) {
            true => Source::Rest(Rest::ask(service, request, head, (got, got + left), error).await?),
            false => Source::Again(Again::ask(service, request, self.before.as_deref(), error).await?),
        };
        Ok(())
    }
}

impl<S: Upstream> Body for ArrivingBody<S> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(next) = &mut self.next else {
            return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
        };
        let outcome = ready!(next.as_mut().poll(cx));
        self.next = None;
        Poll::Ready(Some(match outcome {
            Ok((walk, bytes)) => {
                self.left = walk.proof.left();
                if self.left > 0 {
                    self.next = Some(Box::pin(walk.step()));
                }
                Ok(Frame::data(bytes))
            }
            Err(error) => {
                self.trailers = None;
                Err(error)
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && self.trailers.is_none()
    }
}
