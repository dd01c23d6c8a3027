//! A body on its way from the origin to its readers, and into the store.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame};
use larder_semantics::content::{Asked, Fitness};
use larder_semantics::range::PartialResponse;
use larder_semantics::storage::is_event_stream;
use larder_semantics::{Reason, Withheld};
use larder_store::codec::ResponseRecord;
use larder_store::{BodyBuilder, Lease, Recording, StoredBody, StoredPart, Tag, Variant};
use tokio::time::Sleep;

use super::giving_up::{given_up, left};
use super::rest::STALL;
use super::spool::Spool;
use super::state::Fetch;
use crate::body::log::LogWriter;
use crate::body::pending::PendingResponse;
use crate::body::tape::Tape;
use crate::collapse::flight::Landed;
use crate::collapse::outcome::FetchOutcome;
use crate::error::{BodyError, BoxError, FetchError};
use crate::service::CacheService;
use crate::steps::{Step, Stopwatch};
use crate::task::pressure::GivenUp;
use crate::tiers::look_up::Promotion;
use crate::upstream::{Upstream, UpstreamBody};

/// How long a fill goes on for the store alone, after its last client left. A fetch in the background never had one, and goes on while its origin sends.
const DETACHED: Duration = Duration::from_secs(60);

/// Longest content of an error that followers share, in bytes. Of a longer one they get the status.
const MAX_SHARED_ERROR: u64 = 64 * 1024;

/// A body on its way.
pub(super) struct Pump<S> {
    pub(super) fetch: Box<Fetch>,
    pub(super) service: CacheService<S>,
    pub(super) kept: Kept,
    /// Fields that its head keeps from others, and so do its trailers.
    pub(super) withheld: Withheld,
    pub(super) writer: LogWriter,
    /// Present while others may join.
    pub(super) landed: Option<Landed>,
    /// As the origin announced it.
    pub(super) length: Option<u64>,
    /// Ready when there are no readers and other requests wait for the place that the exchange takes.
    pub(super) given_up: Option<GivenUp>,
    /// The time of the body, for who traces it.
    pub(super) stopwatch: Stopwatch,
}

/// The kind of entry that a complete body becomes.
pub(super) enum Kept {
    /// A response.
    Whole(Arc<PendingResponse>),
    /// A part of one.
    Part(Box<PartialResponse>),
    /// A response that a tier has.
    Stored(Box<ResponseRecord>, Promotion),
    /// A response that another replica is fetching.
    Relayed(Box<ResponseRecord>, Promotion),
    /// Nothing: it is an error with this status, for those who wait for it.
    Error(StatusCode),
}

/// Where the body is kept that has come so far.
pub(super) enum Keeping {
    /// All of it, in the log.
    InMemory {
        /// Whether a tier may be asked to take it.
        may_spool: bool,
    },
    /// In a tier.
    Spooled(Box<Spool>),
    /// Nowhere.
    Not,
}

/// The readers of a body, as far as its waits for frames have seen them.
#[derive(Default)]
struct Watch {
    detached: Option<Pin<Box<Sleep>>>,
    has_left: bool,
}

/// The end of a wait for a frame.
enum Waited {
    /// The frame, or the end.
    Frame(Option<Result<Frame<Bytes>, FetchError>>),
    /// The origin has fallen silent.
    TooLong,
    /// There are no readers any more.
    InVain,
}

/// A frame, the end, or nothing yet.
pub(super) type Polled = Poll<Option<Result<Frame<Bytes>, FetchError>>>;

/// How much of a body was there with its head.
pub(super) enum Begun {
    /// All of it, proven complete.
    Whole(StoredBody),
    /// Not all that is wanted, and this was polled.
    Unfinished(Polled),
}

/// Looks whether a body of the `announced` length is there as a whole, in one piece of `max` bytes at most: then neither log nor reader
/// is needed.
pub(super) fn begin<B: UpstreamBody>(mut body: Pin<&mut B>, announced: Option<u64>, max: u64, cx: &mut Context<'_>) -> Begun {
    let data = if body.is_end_stream() {
        Bytes::new()
    } else {
        let polled = poll_next(body.as_mut(), cx);
        match polled {
            Poll::Ready(Some(Ok(frame))) if body.is_end_stream() => match frame.into_data() {
                Ok(data) if data.len() as u64 <= max => data,
                Ok(data) => return Begun::Unfinished(Poll::Ready(Some(Ok(Frame::data(data))))),
                Err(frame) => return Begun::Unfinished(Poll::Ready(Some(Ok(frame)))),
            },
            unfinished => return Begun::Unfinished(unfinished),
        }
    };
    let length = data.len() as u64;
    let mut builder = BodyBuilder::new(length);
    builder.push(&data);
    match builder.finish(None) {
        Some(whole) if announced.is_none_or(|announced| announced == length) => Begun::Whole(whole),
        _ => Begun::Unfinished(if data.is_empty() { Poll::Pending } else { Poll::Ready(Some(Ok(Frame::data(data)))) }),
    }
}

fn poll_next<B>(body: Pin<&mut B>, cx: &mut Context<'_>) -> Polled
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    body.poll_frame(cx).map_err(FetchError::of)
}

impl<S: Upstream> Pump<S> {
    /// Runs until the body ends, or it has no readers and is not to be stored any more. `begun` was polled of it already.
    pub(super) async fn run<B: UpstreamBody>(mut self, mut body: Pin<&mut B>, mut begun: Polled) {
        let (mut keeping, mut got) = (Keeping::InMemory { may_spool: true }, 0);
        let mut tape = self.is_recorded().then(Tape::begin);
        let mut last = None;
        let mut trailers = None;
        let mut watch = Watch::default();
        loop {
            if !self.writer.room().await {
                return;
            }
            let begun = std::mem::replace(&mut begun, Poll::Pending);
            let next = match if begun.is_ready() { begun } else { poll_fn(|cx| Poll::Ready(poll_next(body.as_mut(), cx))).await } {
                Poll::Ready(next) => next,
                Poll::Pending => match self.wait_for(body.as_mut(), &mut watch).await {
                    Waited::Frame(next) => next,
                    Waited::TooLong => return self.writer.break_off(BodyError::Stalled),
                    Waited::InVain if self.is_wanted_after_all() => continue,
                    Waited::InVain => return,
                },
            };
            match next {
                Some(Err(error)) => {
                    self.fetch.end_lease_failed(&self.service.cache, &error);
                    let error = BodyError::of(error, self.status());
                    return self.writer.break_off(error);
                }
                None => break,
                Some(Ok(frame)) => match frame.into_data() {
                    Err(frame) => {
                        trailers = frame.into_trailers().ok();
                        trailers.iter_mut().for_each(|trailers| self.withheld.remove_from(&self.service.route.policy, trailers));
                    }
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => {
                        got += data.len() as u64;
                        tape.iter_mut().for_each(|tape| tape.add(&data));
                        self.fetch.share_no_more_than(&self.service.cache, got);
                        if self.outgrows(&keeping, got) {
                            keeping = Box::pin(self.keep_elsewhere(keeping, got)).await;
                        }
                        if body.is_end_stream() {
                            // Held back until it is stored, so that a client that asks again at once finds it.
                            last = Some(data);
                            break;
                        }
                        match keeping {
                            Keeping::Spooled(spool) => keeping = Box::pin(self.spool_on(spool, data, got)).await,
                            Keeping::InMemory { .. } | Keeping::Not => self.writer.append(data),
                        }
                    }
                },
            }
        }
        if let Some(announced) = self.length.filter(|announced| *announced != got) {
            return self.writer.break_off(BodyError::Length { announced, got });
        }
        let recording = tape.and_then(Tape::finish);
        let mut promoted = None;
        let keeping = match keeping {
            Keeping::Spooled(spool) => Box::pin(self.finish_spool(spool, last.as_ref(), trailers.clone(), got)).await,
            keeping => keeping,
        };
        let stored = match &self.kept {
            _ if matches!(keeping, Keeping::Not) => None,
            Kept::Stored(record, _) | Kept::Relayed(record, _) => {
                promoted = self.promote(record, last.as_ref(), trailers.clone(), recording);
                promoted.as_ref().map(|response| response.body())
            }
            _ => self.commit(got, last.as_ref(), trailers.clone(), recording).await,
        };
        self.stopwatch.stop(|| Step::Store { bytes: got, stored: stored.is_some() });
        match stored {
            // They read the last bytes there too.
            Some(body) => self.writer.stored(body),
            None => last.into_iter().for_each(|last| self.writer.append(last)),
        }
        self.writer.complete(trailers);
        if let (Some(response), Kept::Stored(_, promotion) | Kept::Relayed(_, promotion)) = (promoted, self.kept) {
            self.service.cache.promote_to_nearer(response, promotion, &self.service.route.tiers).await;
        }
    }

    /// Waits for a frame that is not there yet: timers are made only then.
    async fn wait_for(&mut self, mut body: Pin<&mut impl UpstreamBody>, watch: &mut Watch) -> Waited {
        let Watch { detached, has_left } = watch;
        let detached = detached.get_or_insert_with(|| Box::pin(tokio::time::sleep(DETACHED)));
        let is_from_elsewhere = matches!(self.kept, Kept::Stored(..) | Kept::Relayed(..));
        // A response that comes from elsewhere takes no place at the origin.
        if self.given_up.is_none() && !self.fetch.in_background && !is_from_elsewhere {
            self.given_up = Some(self.unattended());
        }
        *has_left &= !self.writer.has_readers();
        // It also may read more than it shows: it times its sources itself.
        let stall = if is_from_elsewhere || self.is_event_stream() { Duration::MAX } else { STALL };
        let is_bounded = !self.fetch.in_background || self.is_event_stream();
        let mut next = pin!(tokio::time::timeout(stall, poll_fn(|cx| poll_next(body.as_mut(), cx))));
        loop {
            tokio::select! {
                biased;
                next = next.as_mut() => return next.map_or(Waited::TooLong, Waited::Frame),
                () = detached.as_mut(), if is_bounded => match self.left_for().map(|left| DETACHED.saturating_sub(left)) {
                    Some(Duration::ZERO) => return Waited::InVain,
                    more => detached.set(tokio::time::sleep(more.unwrap_or(DETACHED))),
                },
                () = left(&self.writer, *has_left, self.fetch.permit.as_ref()), if self.given_up.is_some() => {
                    *has_left = !self.writer.has_readers();
                    // A request may wait already, which found that the body was wanted.
                    self.given_up = Some(self.unattended());
                }
                () = given_up(&mut self.given_up) => {
                    if !self.is_wanted() { return Waited::InVain }
                    self.given_up = Some(self.unattended());
                }
            }
        }
    }

    /// Whether it is a stream that is recorded: events, or an answer of a model that comes piece by piece. A tier has the recording already.
    fn is_recorded(&self) -> bool {
        let is_streamed = || match self.fetch.request.asked() {
            Asked::Model(asked) => asked.streams,
            _ => false,
        };
        self.service.route.policy.record_streams
            && matches!(self.kept, Kept::Whole(_) | Kept::Relayed(..))
            && (self.is_event_stream() || is_streamed())
    }

    /// Whether its origin may be silent between two events for as long as it likes.
    pub(super) fn is_event_stream(&self) -> bool {
        let head = match &self.kept {
            Kept::Whole(pending) => &pending.head,
            Kept::Stored(record, _) | Kept::Relayed(record, _) => record.head(),
            Kept::Part(_) | Kept::Error(_) => return false,
        };
        head.headers.get(&CONTENT_TYPE).as_ref().is_some_and(is_event_stream)
    }

    /// The status of the answer.
    fn status(&self) -> StatusCode {
        match &self.kept {
            Kept::Whole(pending) => pending.head.status,
            Kept::Part(_) => StatusCode::PARTIAL_CONTENT,
            Kept::Stored(record, _) | Kept::Relayed(record, _) => record.head().status,
            Kept::Error(status) => *status,
        }
    }

    /// The number of bytes that are kept for readers that join late.
    pub(super) fn max_kept(&self) -> u64 {
        let max_object = self.service.route.max_object;
        if matches!(self.kept, Kept::Error(_)) { max_object.min(MAX_SHARED_ERROR) } else { max_object }
    }

    /// Whether the body cannot go on as it does: it is too long for where it is kept.
    fn outgrows(&self, keeping: &Keeping, got: u64) -> bool {
        match keeping {
            Keeping::Not => false,
            Keeping::Spooled(_) => got > self.max_kept(),
            Keeping::InMemory { may_spool } => {
                got > self.max_kept() || self.service.cache.in_flight.stays_full() || *may_spool && self.is_too_long_for_memory(got)
            }
        }
    }

    /// Too large for the store: from now on it only passes through, and no other request waits for it.
    pub(super) fn give_up_keeping(&mut self, got: u64) {
        self.writer.stop_keeping();
        if got > self.service.route.max_object && !matches!(self.kept, Kept::Error(_)) {
            self.fetch.remember(&self.service.cache, Reason::TooLarge);
        }
        if let Some(lease) = self.fetch.lease.take() {
            lease.not_shared();
        }
        self.landed = None;
        self.fetch.permit = None;
    }

    /// Stores the response. Returns the body, where the store has it as it came.
    async fn commit(
        &mut self,
        length: u64,
        last: Option<&Bytes>,
        trailers: Option<HeaderMap>,
        recording: Option<Recording>,
    ) -> Option<StoredBody> {
        let mut builder = BodyBuilder::new(length);
        let frames = self.writer.frames();
        frames.iter().chain(last).for_each(|frame| builder.push(frame));
        let lease = self.fetch.lease.take();
        let mut fitness = Fitness::Unfit;
        if let Kept::Whole(pending) = &self.kept {
            let vary = pending.variant.as_ref().map(|variant| &variant.spec);
            let frames = || frames.iter().chain(last);
            if self.fetch.guarded_body(&self.service, vary, &pending.head, frames(), None).is_some() {
                lease.into_iter().for_each(Lease::not_shared);
                // One of those who wait asks anew: the fault may be this request's alone.
                let _ = self.fetch.permit.take().and_then(|permit| permit.land(FetchOutcome::Refused));
                return None;
            }
            fitness = self.fetch.judge_body(&self.service.route, &pending.head, frames());
            // Those who have waited for the end read it all from the log.
            let followers = self.fetch.permit.take().filter(|_| self.fetch.is_for_followers(&self.service.route, &fitness));
            let landed = followers.and_then(|permit| permit.land(FetchOutcome::Fetched(Arc::clone(pending))));
            self.landed = landed.or(self.landed.take());
            if fitness == Fitness::Unfit || !pending.kept {
                lease.into_iter().for_each(Lease::not_shared);
                return None;
            }
        }
        if let Kept::Whole(pending) = &self.kept
            && pending.more_tags
        {
            let named = self.service.route.read_tags(&self.fetch.request.parts, frames.iter().chain(last));
            match named.and_then(|named| Tag::joined(&self.fetch.tags, &named).ok_or(Reason::TooManyTags)) {
                Ok(tags) => self.fetch.tags = tags,
                Err(reason) => {
                    self.fetch.remember(&self.service.cache, reason);
                    lease.into_iter().for_each(Lease::not_shared);
                    return None;
                }
            }
        }
        let cache = &self.service.cache;
        match &self.kept {
            Kept::Whole(pending) => {
                let rules = &self.service.route;
                let body = builder.finish(trailers)?.with_recording(recording);
                let response = self.fetch.stored(rules, pending, body, &fitness);
                cache.commit(Arc::clone(&response), lease, &rules.tiers).await.then(|| response.body())
            }
            Kept::Stored(..) | Kept::Relayed(..) | Kept::Error(_) => None,
            Kept::Part(meta) => {
                let body = builder.finish(None)?;
                let Fetch { request, position, number, tags, .. } = &*self.fetch;
                let variant = meta.vary.clone().map(|spec| Variant::of(spec, &request.parts.headers));
                let meta = PartialResponse::clone(meta);
                if let Some(part) = StoredPart::new(request.key.clone(), variant, meta, body, tags.clone(), *position, *number) {
                    cache.store.commit_part(part, self.service.route.max_object);
                    cache.settle();
                }
                None
            }
        }
    }
}
