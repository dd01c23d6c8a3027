//! Answers that are parts, or that are about a stored part (RFC 9111 §3.3, §3.4).

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::{Response, StatusCode};
use larder_semantics::range::{ByteRange, PartialAnswer, PartialResponse, PartialUse, RangeSet};
use larder_semantics::{Disposition, Exchange, MethodKind, Reason, StoredHead, Withheld, on_response};
use larder_store::StoredPart;
use tokio::sync::oneshot;

use super::pump::{Kept, Pump};
use super::state::{Fetch, Naming};
use crate::body::CacheBody;
use crate::body::log::{InFlight, body_log};
use crate::body::pieces::Pieces;
use crate::cache::Cache;
use crate::collapse::outcome::{FetchOutcome, Own, OwnFields, PartAnswer, Reply, add_own, own_fields};
use crate::lookup::plan::UpstreamMode;
use crate::respond;
use crate::rules::group_tags;
use crate::service::CacheService;
use crate::steps::Stopwatch;
use crate::upstream::Upstream;

/// The kind of an answer to a request for a range.
pub(super) enum Partly<B> {
    /// Nothing of the kind.
    No,
    /// It cannot be used: the client's own range has to go to the origin.
    AskAgain {
        /// The whole is larger than the route keeps.
        too_large: bool,
    },
    /// A part to store; where it was fetched to complete another one, with that.
    Store { meta: Box<PartialResponse>, missing: Option<Box<Joining>> },
    /// The stored part is still good.
    Confirmed(Box<Confirmed<B>>),
}

/// An answer made of stored bytes around those that arrive.
pub(super) struct Joining {
    answer: PartialAnswer,
    head: StoredHead,
    part: Arc<StoredPart>,
    before: Option<ByteRange>,
    /// The part of the arriving bytes that is wanted.
    arriving: std::ops::Range<u64>,
    after: Option<ByteRange>,
}

/// A stored part that a 304 confirmed, and how it answers the request.
pub(super) struct Confirmed<B> {
    part: StoredPart,
    response: Response<CacheBody<B>>,
    keep: bool,
}

impl Fetch {
    /// Classifies an answer to a request for a range. `announced` is its length, `max` that of the longest body that is stored, in bytes.
    pub(super) fn part_of<B>(&self, exchange: &Exchange<'_>, announced: Option<u64>, max: u64, in_flight: &Arc<InFlight>) -> Partly<B> {
        if exchange.request.method != MethodKind::Get || !exchange.request.range {
            return Partly::No;
        }
        let too_large = announced.is_some_and(|length| length > max);
        match (&self.mode, exchange.status) {
            (UpstreamMode::Whole | UpstreamMode::FillRange { .. }, StatusCode::OK)
                if too_large && RangeSet::parse(exchange.request_headers).is_some() =>
            {
                Partly::AskAgain { too_large }
            }
            (UpstreamMode::Verbatim | UpstreamMode::RevalidatePart(_), StatusCode::PARTIAL_CONTENT) => stored_alone(exchange, max),
            // Asked for the whole, an origin or a cache before it sent a part all the same.
            (UpstreamMode::Whole, StatusCode::PARTIAL_CONTENT) if self.candidates.is_empty() => stored_alone(exchange, max),
            (UpstreamMode::FillRange { part, wanted, missing }, StatusCode::PARTIAL_CONTENT) => {
                let found = storable(exchange, max).and_then(|meta| Some((joining(part, &meta, *wanted, *missing)?, meta)));
                found.map_or(Partly::AskAgain { too_large: false }, |(joining, meta)| Partly::Store {
                    meta,
                    missing: Some(Box::new(joining)),
                })
            }
            (UpstreamMode::FillRange { .. }, StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::NOT_MODIFIED) => {
                Partly::AskAgain { too_large: false }
            }
            (UpstreamMode::RevalidatePart(part), StatusCode::NOT_MODIFIED) => match self.confirmed(part, exchange, in_flight) {
                Some(confirmed) => Partly::Confirmed(Box::new(confirmed)),
                None => Partly::AskAgain { too_large: false },
            },
            _ => Partly::No,
        }
    }

    fn confirmed<B>(&self, part: &StoredPart, exchange: &Exchange<'_>, in_flight: &Arc<InFlight>) -> Option<Confirmed<B>> {
        let Disposition::Freshen { answer: fresh, .. } = on_response(exchange, &[&part.meta.head]) else { return None };
        let same_tags = self.naming == Naming::Nothing || (self.naming == Naming::Tags && self.tags == part.tags);
        let same_groups = group_tags(part.key.url(), &fresh.head) == group_tags(part.key.url(), &part.meta.head);
        let keep = fresh.keep && fresh.vary == part.meta.vary && same_tags && same_groups;
        let part = part.freshened(*fresh.head, self.position, self.number);
        let PartialUse::Answer(answer) = part.meta.answer(exchange.request, exchange.request_headers) else { return None };
        let response = respond::from_part(&answer, &part, in_flight, part.meta.head.age(exchange.response_time))?;
        Some(Confirmed { part, response, keep })
    }

    /// From now on the client's range goes to the origin as it came, and no other request waits for the answer.
    pub(super) fn ask_as_sent(&mut self, cache: &Cache, too_large: bool) {
        self.forget(cache);
        if too_large {
            self.remember(cache, Reason::TooLarge);
        }
        self.candidates.clear();
        self.selected = false;
        self.mode = UpstreamMode::Verbatim;
        self.permit = None;
    }

    /// Drops the part that the origin was asked about.
    pub(super) fn forget_part(&self, cache: &Cache) {
        if let Some(part) = self.mode.part() {
            cache.store.remove_part(part);
        }
    }

    pub(super) fn keep_confirmed<S: Upstream>(
        &self,
        service: &CacheService<S>,
        confirmed: Confirmed<S::Body>,
        own: OwnFields,
    ) -> PartAnswer<S::Body> {
        let Confirmed { part, mut response, keep } = confirmed;
        let ttl = part.meta.head.ttl(service.cache.clock.now());
        add_own(response.headers_mut(), own);
        if keep {
            service.cache.store.commit_part(part, service.route.max_object);
        } else if !self.request.context.authorization {
            self.forget_part(&service.cache);
        }
        PartAnswer { response, code: StatusCode::NOT_MODIFIED, confirmed: Some(ttl) }
    }

    /// Streams a part to the client, and into the store once it is proven complete.
    pub(super) async fn store_part<S: Upstream>(
        mut self: Box<Self>,
        service: CacheService<S>,
        response: Response<S::Body>,
        meta: Box<PartialResponse>,
        missing: Option<Box<Joining>>,
        reply: oneshot::Sender<Reply<S::Body>>,
    ) {
        let (writer, handle) = body_log(Arc::clone(&service.cache.in_flight));
        let Some(reader) = handle.reader() else { return };
        let length = Some(meta.coverage.length());
        let own = own_fields(&response);
        let (head, body) = response.into_parts();
        let answer = match missing {
            Some(joining) => {
                let Joining { answer, head, part, before, arriving, after } = *joining;
                let mut headers = answer.fields(&head);
                respond::show_initial_age(&mut headers, &head);
                add_own(&mut headers, own);
                let (mut pieces, in_flight) = (Pieces::default(), &service.cache.in_flight);
                before.into_iter().for_each(|range| pieces.push_part(&part, in_flight, range));
                pieces.push_arriving(reader, arriving.start, arriving.end);
                after.into_iter().for_each(|range| pieces.push_part(&part, in_flight, range));
                respond::respond(StatusCode::PARTIAL_CONTENT, headers, CacheBody::pieces(pieces))
            }
            None => {
                let mut headers = head.headers;
                meta.head.show_own(&mut headers);
                respond::respond(head.status, headers, CacheBody::arriving(reader, length))
            }
        };
        let part = PartAnswer { response: answer, code: head.status, confirmed: None };
        self.deliver(FetchOutcome::NotShared, Own::Part(part), reply);
        let pump = Pump {
            fetch: self,
            service,
            kept: Kept::Part(meta),
            withheld: Withheld::default(),
            writer,
            landed: None,
            length,
            given_up: None,
            stopwatch: Stopwatch::idle(),
        };
        pump.run(pin!(body), Poll::Pending).await;
    }
}

fn stored_alone<B>(exchange: &Exchange<'_>, max: u64) -> Partly<B> {
    storable(exchange, max).map_or(Partly::No, |meta| Partly::Store { meta, missing: None })
}

/// The part of a 206 to store, where it may be stored and is not too large.
fn storable(exchange: &Exchange<'_>, max: u64) -> Option<Box<PartialResponse>> {
    PartialResponse::of_exchange(exchange).ok().filter(|meta| meta.coverage.length() <= max).map(Box::new)
}

/// Joins the stored part and the arriving one to the range that the client wants; `None` where they do not make it up.
fn joining(part: &Arc<StoredPart>, arriving: &PartialResponse, wanted: ByteRange, missing: ByteRange) -> Option<Joining> {
    let [range] = arriving.coverage.ranges() else { return None };
    let joined = part.meta.join(arriving).filter(|_| arriving.coverage.contains(missing))?;
    let before = missing.first.checked_sub(1).filter(|last| wanted.first <= *last).map(|last| ByteRange { first: wanted.first, last });
    let after = (missing.last < wanted.last).then(|| ByteRange { first: missing.last + 1, last: wanted.last });
    let is_there = |stored: &Option<ByteRange>| stored.is_none_or(|stored| part.meta.coverage.contains(stored));
    (is_there(&before) && is_there(&after)).then(|| Joining {
        answer: PartialAnswer { ranges: [wanted].into_iter().collect(), complete_length: joined.complete_length, multipart: None },
        head: joined.head,
        part: Arc::clone(part),
        before,
        arriving: missing.first - range.first..missing.last + 1 - range.first,
        after,
    })
}
