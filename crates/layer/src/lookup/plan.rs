//! Why a request goes to the origin, and how.

use std::sync::Arc;

use http::Response;
use larder_semantics::range::ByteRange;
use larder_semantics::{CacheStatus, ForwardReason, Reason};
use larder_store::{Lookup, StoredPart};

use super::request::Asked;
use crate::body::CacheBody;
use crate::outcome::{CacheResult, Outcome, Served};
use crate::respond;

/// Why a request goes to the origin, and how.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) reason: Reason,
    pub(crate) forward: ForwardReason,
    pub(crate) found: Lookup,
    going: Going,
    /// Neither waits for another request's exchange nor makes others wait for its own.
    pub(crate) alone: bool,
    bypass: bool,
}

impl Plan {
    /// The client set the bypass parameter: the store is not asked, but renewed.
    pub(crate) fn bypass() -> Self {
        let found = Lookup::Absent;
        Self { reason: Reason::BypassParameter, forward: ForwardReason::Bypass, found, going: Going::Whole, alone: true, bypass: true }
    }

    /// The stored response has to be validated.
    pub(crate) fn validate(reason: Reason, found: Lookup) -> Self {
        let alone = !is_collapsed(reason);
        Self { reason, forward: reason.forward(), found, going: Going::Whole, alone, bypass: false }
    }

    /// Nothing stored can be used.
    pub(crate) fn forward(reason: Reason, found: Lookup) -> Self {
        let reason = match &found {
            Lookup::HitForMiss => Reason::HitForMiss,
            Lookup::VaryMiss(_) if reason == Reason::NotStored => Reason::VaryMiss,
            Lookup::Partial(_) if reason == Reason::NotStored => Reason::Partial,
            Lookup::Unvouched(_) if reason == Reason::NotStored => Reason::Unvouched,
            _ => reason,
        };
        let alone = !matches!(reason, Reason::NotStored | Reason::VaryMiss | Reason::Unvouched);
        Self { reason, forward: reason.forward(), found, going: Going::Whole, alone, bypass: false }
    }

    /// A stored part has to be validated, or something added to it.
    pub(crate) fn about_part(reason: Reason, part: Arc<StoredPart>, going: Going) -> Self {
        Self { reason, forward: reason.forward(), found: Lookup::Partial(part), going, alone: true, bypass: false }
    }

    /// How the client's own preconditions and range go up: unchanged where nothing of the answer is likely to be kept.
    pub(crate) fn going(&self, asked: &Asked) -> Going {
        let reason = if matches!(self.found, Lookup::HitForMiss) { Reason::HitForMiss } else { self.reason };
        let as_sent = asked.context.directives.no_store || matches!(reason, Reason::HitForMiss | Reason::OriginPrecondition);
        if as_sent { Going::AsSent } else { self.going.clone() }
    }

    /// Takes what a later look-up found, for the reason that this request had from the start. What is asked about a part depends on the part.
    pub(crate) fn renew(&mut self, newer: Self) {
        match newer.found {
            Lookup::Partial(_) => *self = newer,
            found => self.found = found,
        }
    }

    /// Whether another replica may have what this one lacks. What only the origin can say is not asked of anybody else.
    pub(crate) fn may_be_stored_elsewhere(&self) -> bool {
        matches!(self.reason, Reason::NotStored | Reason::VaryMiss | Reason::Stale | Reason::MustRevalidate)
    }

    pub(crate) fn result(&self) -> CacheResult {
        if self.bypass { CacheResult::Bypass } else { CacheResult::Miss }
    }

    /// The origin's answer as it came.
    pub(crate) fn pass<B>(&self, asked: &Asked, response: Response<CacheBody<B>>, reason: Reason, status: CacheStatus) -> Served<B> {
        let (parts, body) = response.into_parts();
        let status = CacheStatus { fwd_status: Some(parts.status.as_u16()), detail: Some(reason.as_str()), ..status };
        let mut headers = parts.headers;
        respond::annotate(&mut headers, self.result(), &status);
        let mut outcome = Outcome::new(self.result(), reason, Some(asked.key.clone()));
        outcome.forward = Some(self.forward);
        Served { response: respond::respond(parts.status, headers, body), outcome }
    }
}

/// Whether one request's validation answers others too. What has to be validated for every request is not made to wait; nor is a client
/// that wants the origin's own word.
pub(crate) fn is_collapsed(reason: Reason) -> bool {
    matches!(reason, Reason::Stale | Reason::MustRevalidate)
}

/// How the client's preconditions and range go up.
#[derive(Clone, Debug)]
pub(crate) enum Going {
    /// Not at all: the whole is fetched, and they are answered from it.
    Whole,
    /// As they came.
    AsSent,
    /// Only for what a stored part lacks of the range.
    Missing {
        /// The part.
        part: Arc<StoredPart>,
        /// What the client wants.
        wanted: ByteRange,
        /// What of it has to be fetched.
        missing: ByteRange,
    },
    /// As they came, unless the stale part is still good.
    IfChanged(Arc<StoredPart>),
}

impl Going {
    /// The stored part that the origin is asked about.
    pub(crate) fn part(&self) -> Option<&Arc<StoredPart>> {
        match self {
            Self::Missing { part, .. } | Self::IfChanged(part) => Some(part),
            Self::Whole | Self::AsSent => None,
        }
    }
}

/// The member of `Cache-Status` for what was forwarded.
pub(crate) fn forwarded(reason: Reason, forward: ForwardReason) -> CacheStatus {
    CacheStatus { fwd: Some(forward), ..detail(reason) }
}

pub(crate) fn detail(reason: Reason) -> CacheStatus {
    // The commonest reasons are said by `fwd` already.
    let plain = matches!(reason, Reason::Fresh | Reason::NotStored | Reason::VaryMiss | Reason::Stale | Reason::Collapsed);
    CacheStatus { detail: (!plain).then_some(reason.as_str()), ..CacheStatus::default() }
}
