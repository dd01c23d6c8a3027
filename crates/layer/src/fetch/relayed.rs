//! An answer that another replica is fetching, read from the tier that both share while it arrives there. Where that breaks off, the origin
//! brings the rest of the same representation, or all of it once more; where that is another one, the body breaks off.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http_body::{Body, Frame};
use larder_semantics::storage::is_event_stream;
use larder_semantics::{StoredHead, Withheld};
use larder_store::{Piece, Pieces, Relayed, RemoteError};
use tokio::sync::oneshot;
use tracing::debug;

use super::pump::{Kept, Pump};
use super::rest::{Again, Before, Rest, STALL, is_resumable, within};
use super::state::Fetch;
use crate::body::aside::Aside;
use crate::body::log::body_log;
use crate::body::pending::{PendingBody, PendingResponse};
use crate::collapse::outcome::{FetchOutcome, Own, Reply};
use crate::error::BodyError;
use crate::lookup::request::ClientRequest;
use crate::service::CacheService;
use crate::steps::Stopwatch;
use crate::tiers::look_up::Promotion;
use crate::upstream::Upstream;

impl Fetch {
    /// Streams the answer of another replica to its readers here, and into memory once it is proven complete.
    pub(super) async fn store_relayed<S: Upstream>(
        mut self: Box<Self>,
        service: CacheService<S>,
        Relayed { record, length, pieces, .. }: Relayed,
        promotion: Promotion,
        reply: oneshot::Sender<Reply<S::Body>>,
    ) {
        let (writer, handle) = body_log(Arc::clone(&service.cache.in_flight));
        let (head, variant) = (Arc::clone(record.head()), record.variant().cloned());
        let (tags, position, body) = (record.tags().clone(), record.position(), PendingBody::Arriving(handle));
        let pending =
            Arc::new(PendingResponse { head, variant, body, length, recording: None, tags, more_tags: false, kept: true, position });
        let Some(reader) = pending.body.reader() else { return };
        // The client's reader is there before any follower's, so that the first frame finds it.
        let landed = self.deliver(FetchOutcome::Arriving(pending), Own::Reader(reader), reply);
        let before = if is_resumable(&self.request, record.head(), length) {
            None
        } else {
            Before::of(&service, &self.request, &record, length).map(Box::new)
        };
        let walk = Walk {
            service: service.clone(),
            request: Arc::clone(&self.request),
            head: Arc::clone(record.head()),
            source: Source::Relay(pieces),
            got: 0,
            length,
            before,
            aside: Aside::new(&service.cache.in_flight),
        };
        let body = RelayedBody { next: Some(Box::pin(walk.step())) };
        let pump = Pump {
            fetch: self,
            service,
            kept: Kept::Relayed(record, promotion),
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

/// The body of such an answer, from wherever it comes.
struct RelayedBody<S: Upstream> {
    /// `None` after the end.
    next: Option<Step<S>>,
}

type Step<S> = Pin<Box<dyn Future<Output = Result<Option<(Walk<S>, Frame<Bytes>)>, BodyError>> + Send>>;

/// How far it has come.
struct Walk<S: Upstream> {
    service: CacheService<S>,
    request: Arc<ClientRequest>,
    head: Arc<StoredHead>,
    source: Source<S::Body>,
    got: u64,
    /// As the origin announced it to the other replica.
    length: Option<u64>,
    /// Present where all of it can be asked for once more, and nothing less.
    before: Option<Box<Before>>,
    aside: Aside,
}

/// Where the next bytes come from.
enum Source<B> {
    Relay(Box<dyn Pieces>),
    Rest(Rest<B>),
    Again(Again<B>),
}

impl<S: Upstream> Walk<S> {
    /// The next frame; `None` at the end.
    async fn step(mut self) -> Result<Option<(Self, Frame<Bytes>)>, BodyError> {
        // Between two events its origin may be silent for as long as it likes.
        let is_live = self.head.headers.get(&CONTENT_TYPE).as_ref().is_some_and(is_event_stream);
        let stall = if is_live { Duration::MAX } else { STALL };
        loop {
            let data = match &mut self.source {
                Source::Relay(pieces) => {
                    pieces.limit_ahead(self.aside.max_segments());
                    let next = within(stall, pieces.next()).await?;
                    self.aside.set(pieces.ahead());
                    match next {
                        None => return Ok(None),
                        Some(Ok(Piece::Data(data))) => data,
                        Some(Ok(Piece::Trailers(trailers))) => return Ok(Some((self, Frame::trailers(trailers)))),
                        // Its end is missing, but nothing before it.
                        Some(Err(_)) if self.length == Some(self.got) => return Ok(None),
                        Some(Err(error)) => {
                            self.turn_to_origin(error).await?;
                            continue;
                        }
                    }
                }
                Source::Rest(_) if self.length == Some(self.got) => return Ok(None),
                Source::Rest(rest) => within(stall, rest.next()).await??,
                Source::Again(again) => match within(stall, again.next()).await??.map(Frame::into_data) {
                    None => return Ok(None),
                    Some(Ok(data)) => data,
                    Some(Err(trailers)) => return Ok(Some((self, trailers))),
                },
            };
            if data.is_empty() {
                continue;
            }
            self.got += data.len() as u64;
            self.before.iter_mut().for_each(|before| before.add(&data));
            if self.length.is_some_and(|length| self.got > length) {
                return Err(BodyError::Stored(RemoteError::Damaged));
            }
            return Ok(Some((self, Frame::data(data))));
        }
    }

    /// Asks the origin for the bytes that the relay did not bring. They can be told from others by a range where it is known how many there are, and
    /// otherwise by those before them.
    async fn turn_to_origin(&mut self, error: RemoteError) -> Result<(), BodyError> {
        debug!("the answer of another replica broke off after {} bytes: {error}", self.got);
        self.aside.set(0);
        let Self { service, request, head, .. } = self;
        self.source = match self.length {
            Some(length) if is_resumable(request, head, Some(length)) => {
                Source::Rest(Rest::ask(service, request, head, (self.got, length), error).await?)
            }
            _ => Source::Again(Again::ask(service, request, self.before.as_deref(), error).await?),
        };
        Ok(())
    }
}

impl<S: Upstream> Body for RelayedBody<S> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        let outcome = ready!(next.as_mut().poll(cx));
        self.next = None;
        Poll::Ready(match outcome {
            Ok(Some((walk, frame))) => {
                self.next = Some(Box::pin(walk.step()));
                Some(Ok(frame))
            }
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        })
    }
}
