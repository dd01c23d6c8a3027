//! Why a request goes to the origin, and how.

use std::sync::Arc;

use http::Response;
use larder_semantics::range::ByteRange;
use larder_semantics::{CacheStatus, ForwardReason, Reason};
use larder_store::{Departure, Lookup, StoredPart};

use super::request::ClientRequest;
use crate::body::CacheBody;
use crate::outcome::{CacheResult, Outcome, Served};
use crate::respond;

/// Why a request goes to the origin, and how.
#[derive(Clone, Debug)]
pub(crate) struct FetchPlan {
    pub(crate) reason: Reason,
    pub(crate) forward: ForwardReason,
    pub(crate) found: Lookup,
    mode: UpstreamMode,
    /// Neither waits for another request's exchange nor makes others wait for its own.
    pub(crate) alone: bool,
    bypass: bool,
    /// Nothing but the origin's own answer to this request will do.
    pub(crate) origin_only: bool,
}

impl FetchPlan {
    /// The client set the bypass parameter: the store is not asked, but renewed.
    pub(crate) fn bypass() -> Self {
        let found = Lookup::Absent(Departure::Unknown);
        Self {
            reason: Reason::BypassParameter,
            forward: ForwardReason::Bypass,
            found,
            mode: UpstreamMode::Whole,
            alone: true,
            bypass: true,
            origin_only: false,
        }
    }

    /// The stored response has to be validated.
    pub(crate) fn validate(reason: Reason, found: Lookup) -> Self {
        let alone = !is_collapsed(reason);
        Self { reason, forward: reason.forward(), found, mode: UpstreamMode::Whole, alone, bypass: false, origin_only: false }
    }

    /// Nothing stored can be used.
    pub(crate) fn forward(reason: Reason, found: Lookup) -> Self {
        let reason = match &found {
            Lookup::HitForMiss { .. } => Reason::HitForMiss,
            Lookup::VaryMiss(_, Departure::Unknown) if reason == Reason::Absent => Reason::VaryMiss,
            Lookup::Partial(_) if reason == Reason::Absent => Reason::Partial,
            Lookup::Unvouched(_) if reason == Reason::Absent => Reason::Unvouched,
            Lookup::Absent(departure) | Lookup::VaryMiss(_, departure) if reason == Reason::Absent => absent(*departure),
            _ => reason,
        };
        let alone = !is_absent(reason) && !matches!(reason, Reason::VaryMiss | Reason::Unvouched);
        Self { reason, forward: reason.forward(), found, mode: UpstreamMode::Whole, alone, bypass: false, origin_only: false }
    }

    /// A stored part has to be validated, or something added to it.
    pub(crate) fn about_part(reason: Reason, part: Arc<StoredPart>, mode: UpstreamMode) -> Self {
        Self { reason, forward: reason.forward(), found: Lookup::Partial(part), mode, alone: true, bypass: false, origin_only: false }
    }

    /// The same for a request that nothing but the origin's own answer will do: what is stored neither answers it, nor is it validated, nor does it stand in
    /// for an error.
    pub(crate) fn by_origin_only(self) -> Self {
        let found = match self.found {
            // It holds no response, and tells how the request goes up.
            found @ Lookup::HitForMiss { .. } => found,
            _ => Lookup::Absent(Departure::Unknown),
        };
        Self { found, mode: UpstreamMode::Whole, origin_only: true, ..self }
    }

    /// How the client's own preconditions and range go up: unchanged where nothing of the answer is likely to be kept.
    pub(crate) fn mode(&self, request: &ClientRequest) -> UpstreamMode {
        let reason = if matches!(self.found, Lookup::HitForMiss { .. }) { Reason::HitForMiss } else { self.reason };
        let as_sent = request.context.directives.no_store || matches!(reason, Reason::HitForMiss | Reason::OriginPrecondition);
        if as_sent { UpstreamMode::Verbatim } else { self.mode.clone() }
    }

    /// Takes the result of a later look-up, and keeps the reason that this request had from the start. A plan about a part is replaced whole,
    /// since it depends on the part.
    pub(crate) fn renew(&mut self, newer: Self) {
        match newer.found {
            Lookup::Partial(_) => *self = newer,
            found => self.found = found,
        }
    }

    /// Whether another replica may have what this one lacks. Where only the origin can answer, no replica is asked.
    pub(crate) fn may_be_stored_elsewhere(&self) -> bool {
        !self.origin_only && (is_absent(self.reason) || matches!(self.reason, Reason::VaryMiss | Reason::Stale | Reason::MustRevalidate))
    }

    pub(crate) fn result(&self) -> CacheResult {
        if self.bypass { CacheResult::Bypass } else { CacheResult::Miss }
    }

    /// The origin's answer as it came.
    pub(crate) fn pass<B>(
        &self,
        request: &ClientRequest,
        response: Response<CacheBody<B>>,
        reason: Reason,
        status: CacheStatus,
    ) -> Served<B> {
        let (parts, body) = response.into_parts();
        let status = CacheStatus { fwd_status: Some(parts.status.as_u16()), detail: Some(reason.as_str()), ..status };
        let mut headers = parts.headers;
        respond::annotate(&mut headers, self.result(), &status);
        let mut outcome = Outcome::new(self.result(), reason, Some(request.key.clone()));
        outcome.forward = Some(self.forward);
        Served { response: respond::respond(parts.status, headers, body), outcome }
    }
}

/// Why nothing is stored, as far as that is known.
fn absent(departure: Departure) -> Reason {
    match departure {
        Departure::Unknown => Reason::Absent,
        Departure::Purged => Reason::Purged,
        Departure::Evicted => Reason::Evicted,
        Departure::Expired => Reason::Expired,
    }
}

/// Whether nothing is stored, whatever became of it.
fn is_absent(reason: Reason) -> bool {
    matches!(reason, Reason::Absent | Reason::Purged | Reason::Evicted | Reason::Expired)
}

/// Whether one request's validation answers others too. A response that has to be validated for every request is not waited for; nor does a client wait
/// that wants the origin's own answer.
pub(crate) fn is_collapsed(reason: Reason) -> bool {
    matches!(reason, Reason::Stale | Reason::MustRevalidate)
}

/// How the client's preconditions and range go up.
#[derive(Clone, Debug)]
pub(crate) enum UpstreamMode {
    /// Not at all: the whole is fetched, and they are answered from it.
    Whole,
    /// As they came.
    Verbatim,
    /// Only for the bytes of the range that a stored part lacks.
    FillRange {
        /// The part.
        part: Arc<StoredPart>,
        /// The range that the client wants.
        wanted: ByteRange,
        /// The bytes of it that have to be fetched.
        missing: ByteRange,
    },
    /// As they came, unless the stale part is still good.
    RevalidatePart(Arc<StoredPart>),
}

impl UpstreamMode {
    /// The stored part that the origin is asked about.
    pub(crate) fn part(&self) -> Option<&Arc<StoredPart>> {
        match self {
            Self::FillRange { part, .. } | Self::RevalidatePart(part) => Some(part),
            Self::Whole | Self::Verbatim => None,
        }
    }
}

/// The member of `Cache-Status` for what was forwarded.
pub(crate) fn forwarded(reason: Reason, forward: ForwardReason) -> CacheStatus {
    CacheStatus { fwd: Some(forward), ..detail(reason) }
}

pub(crate) fn detail(reason: Reason) -> CacheStatus {
    // The commonest reasons are said by `fwd` already.
    let plain = matches!(reason, Reason::Fresh | Reason::Absent | Reason::VaryMiss | Reason::Stale | Reason::Collapsed);
    CacheStatus { detail: (!plain).then_some(reason.as_str()), ..CacheStatus::default() }
}
