//! Invalidations whose targets are members of a write's JSON bodies: those of its request and of its answer.
//!
//! Bodies pass as they come. The one frame of the answer with which everything is known, or the body's last one, is held back until what
//! it names is old everywhere: a client that has read that far never gets older data afterwards. That does not depend on the client.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use larder_store::{Invalidation, InvalidationTarget};
use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::body::CacheBody;
use crate::body::log::{LogWriter, body_log};
use crate::body::request::{ClientBody, RequestBody};
use crate::cache::Cache;
use crate::clock::monotonic;
use crate::error::{BodyError, BoxError, FetchError};
use crate::json::{Content, JsonFields, Scanner};
use crate::rules::{BodyInvalidation, Invalidates, Refetch};
use crate::task::background::run_in_background;
use crate::task::detached::detach;
use crate::task::unfinished::UnfinishedGuard;
use crate::upstream::announced_length;

/// How long an answer is read for its members after its client left.
const DETACHED: Duration = Duration::from_secs(60);

/// Watches the bodies of a write for the members that its rules need.
pub(crate) struct BodyWatcher {
    rules: Box<dyn BodyInvalidation>,
    /// `None` where nothing in the request is asked for, or it cannot be read.
    request: Option<Arc<Mutex<Seen>>>,
    /// The targets that are old already.
    early: Vec<InvalidationTarget>,
    /// Refetches that begin once everything is old: the last target may concern them too.
    refetches: Vec<Refetch>,
}

/// The members seen so far in a request's body.
#[derive(Debug)]
struct Seen {
    scanner: Scanner,
    ended: bool,
}

/// The targets that are known beforehand, a watcher where there are more, and the body to be sent in place of the client's.
pub(crate) fn watch<R: ClientBody>(
    invalidates: Invalidates,
    fields: &HeaderMap,
    body: R,
) -> (Vec<InvalidationTarget>, Option<BodyWatcher>, RequestBody) {
    let Invalidates { known, by_bodies, .. } = invalidates;
    match by_bodies {
        Some(rules) => {
            let (watcher, body) = BodyWatcher::about(rules, fields, body);
            (known, Some(watcher), body)
        }
        None => (known, None, RequestBody::new(body)),
    }
}

impl BodyWatcher {
    /// Rules about a request whose body is still to come, and that body, to be sent in place of the client's.
    fn about<R: ClientBody>(rules: Box<dyn BodyInvalidation>, fields: &HeaderMap, body: R) -> (Self, RequestBody) {
        let wanted = rules.in_request();
        if wanted.is_empty() || body.is_end_stream() || !readable("request", fields) {
            return (Self { rules, request: None, early: Vec::new(), refetches: Vec::new() }, RequestBody::new(body));
        }
        let seen = Arc::new(Mutex::new(Seen { scanner: Scanner::new(wanted), ended: false }));
        let body = RequestBody::new(Tee { body, seen: Arc::clone(&seen) });
        (Self { rules, request: Some(seen), early: Vec::new(), refetches: Vec::new() }, body)
    }

    /// The targets that are known when the answer's head is there, or when there will be none.
    pub(crate) fn early(&mut self) -> Vec<InvalidationTarget> {
        if self.is_request_read() {
            self.early = self.rules.targets(&self.request(), &JsonFields::default());
        }
        self.early.clone()
    }

    /// Takes refetches that begin once everything is old.
    pub(crate) fn refetch_later(&mut self, refetches: Vec<Refetch>) {
        self.refetches = refetches;
    }

    /// The targets that are known when there will be no answer.
    pub(crate) fn unanswered(&self) -> Vec<InvalidationTarget> {
        self.targets(&JsonFields::default())
    }

    /// Whether more may be known once the body of this answer has been read; an origin may also answer before it has read the request.
    pub(crate) fn waits_for(&self, answer: &HeaderMap, is_empty: bool) -> bool {
        !self.is_request_read() || (!is_empty && !self.rules.in_response().is_empty() && readable("answer", answer))
    }

    fn is_request_read(&self) -> bool {
        self.request.as_ref().is_none_or(|seen| {
            let seen = lock(seen);
            seen.ended || seen.scanner.is_done()
        })
    }

    fn request(&self) -> JsonFields {
        self.request.as_ref().map(|seen| lock(seen).scanner.fields().clone()).unwrap_or_default()
    }

    fn targets(&self, answer: &JsonFields) -> Vec<InvalidationTarget> {
        let mut old = self.rules.targets(&self.request(), answer);
        old.retain(|target| !self.early.contains(target));
        old
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What such a body names stays as it is, so operators have to know: once a minute, since clients send as many as they like.
fn warn_broken(what: &str) {
    static TOLD: Mutex<Option<Instant>> = Mutex::new(None);
    let (now, mut told) = (monotonic(), TOLD.lock().unwrap_or_else(PoisonError::into_inner));
    if told.is_some_and(|told| now.saturating_duration_since(told) < Duration::from_secs(60)) {
        return;
    }
    *told = Some(now);
    drop(told);
    tracing::warn!("{what} of a write says that it is JSON, and is not: targets of invalidations behind the mistake are not read");
}

fn readable(what: &str, fields: &HeaderMap) -> bool {
    match Content::of(fields) {
        Content::Json => true,
        Content::Coded => {
            tracing::debug!("a {what} has a content coding, so targets of invalidations in it are not read");
            false
        }
        Content::Other => false,
    }
}

pin_project! {
    /// A client's body on its way to the origin, seen by a scanner.
    struct Tee<B> {
        #[pin]
        body: B,
        seen: Arc<Mutex<Seen>>,
    }
}

impl<B: Body<Data = Bytes>> Body for Tee<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let polled = ready!(this.body.as_mut().poll_frame(cx));
        let mut seen = lock(this.seen);
        match &polled {
            Some(Ok(frame)) => {
                let was_broken = seen.scanner.is_broken();
                frame.data_ref().into_iter().for_each(|data| seen.scanner.push(data));
                if seen.scanner.is_broken() && !was_broken {
                    warn_broken("the request");
                }
                seen.ended = this.body.is_end_stream();
            }
            Some(Err(_)) | None => seen.ended = true,
        }
        drop(seen);
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project! {
    /// An answer's body that is watched for members.
    pub(crate) struct Watched<B> {
        #[pin]
        body: B,
        watch: Option<Watch>,
        // Ready when the rest of the body is waited for no longer.
        given_up: Pin<Box<dyn Future<Output = ()> + Send>>,
        settling: Option<JoinHandle<()>>,
        held: Option<Option<Result<Frame<Bytes>, BoxError>>>,
    }
}

/// The scanner of an answer's body, and the rules that need it. Dropped before the body ended, it invalidates the targets known by then.
struct Watch {
    cache: Arc<Cache>,
    watcher: Option<BodyWatcher>,
    scanner: Scanner,
    /// Until every member was found for the first time.
    unfinished: Option<UnfinishedGuard>,
}

/// What is known of an answer after a frame.
enum Known {
    /// Not every member.
    Part,
    /// Every member; but one may be named again, and the last one counts.
    All,
    /// Further frames can add nothing.
    Whole,
}

impl Watch {
    /// Looks at a frame, which may be the last one.
    fn see(&mut self, frame: &Frame<Bytes>, is_last: bool) -> Known {
        frame.data_ref().into_iter().for_each(|data| self.scanner.push(data));
        let (wants, is_request_read) =
            self.watcher.as_ref().map_or((false, true), |watcher| (!watcher.rules.in_response().is_empty(), watcher.is_request_read()));
        match is_request_read {
            _ if is_last => Known::Whole,
            true if !wants || self.scanner.is_done() => Known::Whole,
            true if self.scanner.has_all() => Known::All,
            _ => Known::Part,
        }
    }

    /// Whether an end of the process is held up for it.
    fn is_waited_for(&self) -> bool {
        self.unfinished.is_some()
    }

    /// Makes old what the members name so far. Refetches wait for the last of them.
    fn settle_so_far(&mut self) -> Option<JoinHandle<()>> {
        let watcher = self.watcher.as_mut()?;
        let old = watcher.targets(self.scanner.fields());
        watcher.refetches.extend(watcher.rules.refetch(&old));
        watcher.early.extend(old.iter().cloned());
        self.invalidate(old, Vec::new())
    }

    fn settle(&mut self) -> Option<JoinHandle<()>> {
        let mut watcher = self.watcher.take()?;
        if self.scanner.is_broken() {
            warn_broken("the answer");
        }
        let old = watcher.targets(self.scanner.fields());
        let mut refetches = std::mem::take(&mut watcher.refetches);
        refetches.extend(watcher.rules.refetch(&old));
        self.invalidate(old, refetches)
    }

    /// A task of its own, so that a client that leaves does not stop it.
    fn invalidate(&mut self, old: Vec<InvalidationTarget>, refetches: Vec<Refetch>) -> Option<JoinHandle<()>> {
        let unfinished = self.unfinished.take();
        if old.is_empty() {
            refetches.into_iter().for_each(run_in_background);
            return None;
        }
        let (cache, runtime) = (Arc::clone(&self.cache), Handle::try_current().ok()?);
        let unfinished = unfinished.unwrap_or_else(|| cache.unfinished.begin());
        let settle = async move {
            cache.invalidate_by_write(&Invalidation::hard(old)).await;
            drop(unfinished);
            refetches.into_iter().for_each(run_in_background);
        };
        Some(runtime.spawn(settle))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.settle();
    }
}

impl<B: Body<Data = Bytes>> Watched<B> {
    /// The body of an answer with these fields.
    fn new(cache: Arc<Cache>, watcher: BodyWatcher, fields: &HeaderMap, body: B) -> Self {
        let wanted = if Content::of(fields) == Content::Json { watcher.rules.in_response() } else { &[] };
        let (scanner, unfinished) = (Scanner::new(wanted), Arc::clone(&cache.unfinished));
        let watch = Watch { cache, watcher: Some(watcher), scanner, unfinished: Some(unfinished.begin()) };
        let given_up = Box::pin(async move { unfinished.given_up().await });
        Self { body, watch: Some(watch), given_up, settling: None, held: None }
    }

    /// Whether everything that it names is old, or is being made so.
    fn is_settled(&self) -> bool {
        self.watch.is_none()
    }
}

impl<B> Body for Watched<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        if this.held.is_none() {
            let polled = match this.body.as_mut().poll_frame(cx) {
                Poll::Ready(polled) => polled.map(|frame| frame.map_err(Into::into)),
                Poll::Pending if this.watch.as_ref().is_some_and(Watch::is_waited_for) && this.given_up.as_mut().poll(cx).is_ready() => {
                    Some(Err(FetchError::lost().into()))
                }
                Poll::Pending => return Poll::Pending,
            };
            let known = match (&polled, this.watch.as_mut()) {
                (_, None) => return Poll::Ready(polled),
                (Some(Ok(frame)), Some(watch)) => watch.see(frame, this.body.is_end_stream()),
                (Some(Err(_)) | None, Some(_)) => Known::Whole,
            };
            *this.settling = match known {
                Known::Whole => this.watch.take().and_then(|mut watch| watch.settle()),
                Known::All => this.watch.as_mut().and_then(Watch::settle_so_far),
                Known::Part => return Poll::Ready(polled),
            };
            *this.held = Some(polled);
        }
        if let Some(settling) = this.settling {
            _ = ready!(Pin::new(settling).poll(cx));
        }
        *this.settling = None;
        Poll::Ready(this.held.take().flatten())
    }

    fn is_end_stream(&self) -> bool {
        self.watch.is_none() && self.held.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.held.is_some() { SizeHint::default() } else { self.body.size_hint() }
    }
}

/// The answer of a write whose body is watched.
pub(crate) fn watched<B: Body<Data = Bytes>>(cache: &Arc<Cache>, watcher: BodyWatcher, response: Response<B>) -> Response<Watched<B>> {
    let (head, body) = response.into_parts();
    let body = Watched::new(Arc::clone(cache), watcher, &head.headers, body);
    Response::from_parts(head, body)
}

/// Passes an answer on while it is read. A task of its own reads it, so the targets in it are invalidated even if its client leaves.
pub(crate) fn pass_watched<B>(cache: &Arc<Cache>, watcher: BodyWatcher, response: Response<B>) -> Response<CacheBody<B>>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let answer = watched(cache, watcher, response);
    let length = announced_length(&answer);
    let (writer, handle) = body_log(Arc::clone(&cache.in_flight));
    let (head, body) = answer.into_parts();
    let passed = match handle.reader() {
        Some(reader) => CacheBody::arriving(reader, length),
        None => CacheBody::empty(),
    };
    writer.stop_keeping();
    detach(relay(body, head.status, writer));
    Response::from_parts(head, passed)
}

async fn relay<B>(body: Watched<B>, status: StatusCode, writer: LogWriter)
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let mut body = pin!(body);
    let mut trailers = None;
    let mut alone = pin!(tokio::time::sleep(DETACHED));
    loop {
        if writer.room().await {
            alone.set(tokio::time::sleep(DETACHED));
        } else if body.is_settled() {
            return;
        }
        let frame = tokio::select! {
            biased;
            frame = poll_fn(|cx| body.as_mut().poll_frame(cx)) => frame,
            () = alone.as_mut(), if !writer.has_readers() => return,
        };
        match frame {
            None => return writer.complete(trailers),
            Some(Err(error)) => return writer.break_off(BodyError::of(FetchError::of(error), status)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => writer.append(data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
    }
}
