//! The request that goes to the origin, and the judgement of its answer.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{Method, Request, Response};
use larder_semantics::entity_tag::is_strong;
use larder_semantics::reuse::ahead::spread;
use larder_semantics::storage::worth_remembering;
use larder_semantics::validation::upstream_fields;
use larder_semantics::{Disposition, Exchange, Policy, Reason, StoredHead, Timestamp, VarySpec, on_response, worth_storing};
use larder_store::{StoredBody, StoredResponse, Variant};

use super::state::Fetch;
use crate::body::request::RequestBody;
use crate::cache::random_of;
use crate::lookup::plan::UpstreamMode;
use crate::lookup::request::ForTheStore;
use crate::rules::Guarded;
use crate::service::CacheService;
use crate::upstream::{InBackground, Upstream};

impl Fetch {
    pub(super) fn request<S: Upstream>(&self, service: &CacheService<S>) -> Request<RequestBody> {
        let mut parts = self.request.parts.clone();
        service.route.reduce_to_key(&mut parts);
        let headers = &mut parts.headers;
        match &self.mode {
            UpstreamMode::Verbatim => {}
            UpstreamMode::Whole => {
                upstream_fields(&self.request.context, headers, &self.heads());
                if !self.selected && !self.candidates.is_empty() {
                    // A date says nothing about other variants.
                    headers.remove(IF_MODIFIED_SINCE);
                }
            }
            UpstreamMode::FillRange { part, missing, .. } => part.meta.fetch_fields(headers, *missing),
            UpstreamMode::RevalidatePart(part) => {
                headers.remove(IF_MODIFIED_SINCE);
                headers.extend(part.meta.head.origin_etag().map(|tag| (IF_NONE_MATCH, tag)));
            }
        }
        if self.in_background {
            parts.extensions.insert(InBackground);
        }
        if parts.method == Method::POST {
            // "The If-None-Match condition [...] evaluates to false" is a 412 for it (RFC 9110 §13.1.2), and a range means nothing (§14.2).
            [IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE, IF_RANGE].iter().for_each(|name| _ = parts.headers.remove(name));
        }
        Request::from_parts(parts, self.request.body())
    }

    fn heads(&self) -> Vec<&StoredHead> {
        self.candidates.iter().map(|stored| &stored.head).collect()
    }

    pub(super) fn exchange<'a, S: Upstream, B>(
        &'a self,
        service: &'a CacheService<S>,
        response: &'a Response<B>,
        request_time: Timestamp,
    ) -> Exchange<'a> {
        Exchange {
            policy: self.policy.as_deref().unwrap_or(&service.route.policy),
            request: &self.request.context,
            method: self.request.method(),
            request_headers: &self.request.parts.headers,
            request_time,
            response_time: service.cache.clock.now(),
            status: response.status(),
            headers: response.headers(),
        }
    }

    pub(super) fn judge<S: Upstream>(&self, service: &CacheService<S>, exchange: &Exchange<'_>, announced: Option<u64>) -> Disposition {
        let disposition = self.spread(exchange.policy, on_response(exchange, &self.heads()));
        match disposition {
            Disposition::Store { .. } if announced.is_some_and(|length| length > service.route.max_object) => {
                Disposition::Pass { reason: Reason::TooLarge, remember: true }
            }
            Disposition::Store { .. } if let Some(reason) = self.objection_to_storing(service, exchange) => {
                Disposition::Pass { reason, remember: worth_remembering(reason, exchange.status) }
            }
            Disposition::Store { ref vary, .. } if let Some(reason) = self.guarded_head(service, exchange, vary.as_ref()) => {
                Disposition::Pass { reason, remember: worth_remembering(reason, exchange.status) }
            }
            // Its fields would be stored with what it confirms.
            Disposition::Freshen { .. } if let Some(reason) = self.guarded_update(service, exchange) => Disposition::Refetch { reason },
            // It says that something failed, whatever lifetime it is given.
            Disposition::Store { .. } if self.is_unfit(exchange.status, exchange.headers) => {
                Disposition::Pass { reason: Reason::UnfitAnswer, remember: false }
            }
            // Another variant stands in for nothing.
            Disposition::ServeStale { .. } if !self.selected => Disposition::Pass { reason: Reason::UpstreamError, remember: false },
            // Without a strong entity tag the variant that was meant is unknown.
            Disposition::Freshen { .. } if !self.selected && !exchange.headers.get(ETAG).is_some_and(is_strong) => {
                Disposition::Refetch { reason: Reason::ValidatorMismatch }
            }
            Disposition::Pass { reason: Reason::Head, .. } if self.selected => {
                if self.guarded_update(service, exchange).is_none() {
                    self.update_by_head(service, exchange);
                }
                disposition
            }
            _ => disposition,
        }
    }

    /// Why an answer that may be stored is not for everyone, as far as its head tells.
    pub(super) fn guarded_head<S: Upstream>(
        &self,
        service: &CacheService<S>,
        exchange: &Exchange<'_>,
        vary: Option<&VarySpec>,
    ) -> Option<Reason> {
        service.route.guarded_head(self.guarded(vary), exchange.status, exchange.headers)
    }

    /// Why the fields of an answer must not become those of the stored response that was asked about.
    fn guarded_update<S: Upstream>(&self, service: &CacheService<S>, exchange: &Exchange<'_>) -> Option<Reason> {
        let variant = self.candidates.first().and_then(|stored| stored.variant());
        self.guarded_head(service, exchange, variant.map(|variant| &variant.spec))
    }

    /// Why a part that may be stored is not for everyone.
    pub(super) fn guarded_part<S: Upstream>(&self, service: &CacheService<S>, exchange: &Exchange<'_>) -> Option<Reason> {
        let refused = || service.route.refuses_part(&self.request.parts, exchange.headers).then_some(Reason::PartialContent);
        self.guarded_head(service, exchange, None).or_else(refused)
    }

    /// Why an answer that may be stored is not for everyone, as far as its body tells. Where that depends on who asks, what is stored is dropped, too, and
    /// the key is remembered for those who show who they are.
    /// `digest` is that of a body of which only the beginning is at hand.
    pub(super) fn guarded_body<'b, S: Upstream>(
        &self,
        service: &CacheService<S>,
        vary: Option<&VarySpec>,
        head: &StoredHead,
        frames: impl Iterator<Item = &'b Bytes> + Clone,
        digest: Option<u64>,
    ) -> Option<Reason> {
        let reason = service.route.guarded_body(self.guarded(vary), head, frames, digest, &service.cache.answers)?;
        if reason == Reason::DiffersByClient {
            self.drop_stored(service, vary, head);
        }
        // The next clients will hardly have the same answer: they need not wait for each other's. Those without credentials are not meant.
        if matches!(reason, Reason::DiffersByClient | Reason::NamesClient) && self.request.context.has_credentials() {
            self.remember(&service.cache, reason);
        }
        Some(reason)
    }

    /// Drops what is stored for the request, in the tiers behind the memory also where that has nothing.
    fn drop_stored<S: Upstream>(&self, service: &CacheService<S>, vary: Option<&VarySpec>, head: &StoredHead) {
        // Also one that the log of invalidations does not vouch for now: it will again.
        if let Some(stored) = service.stored_for(&self.request).response() {
            service.cache.remove(stored);
        }
        if !service.cache.tiers.is_empty() {
            let variant = vary.map(|vary| Variant::of(vary.clone(), &self.request.parts.headers));
            let (key, body) = (&self.request.key, StoredBody::default());
            service.cache.remove(&StoredResponse::new(key, variant, head, body, &[], self.position, self.number));
        }
    }

    /// The request, for guards.
    fn guarded<'a>(&'a self, vary: Option<&'a VarySpec>) -> Guarded<'a> {
        Guarded { parts: &self.request.parts, key: &self.request.key, vary, is_trial: self.is_trial }
    }

    /// Gives what is stored or confirmed together lifetimes that do not end together, where the route says so.
    fn spread(&self, policy: &Policy, mut disposition: Disposition) -> Disposition {
        if policy.ttl_jitter > 0 {
            let random = random_of(self.number);
            match &mut disposition {
                Disposition::Store { head, .. } => {
                    if let Some(shorter) = spread(policy, head, random) {
                        *head = Arc::new(shorter);
                    }
                }
                Disposition::Freshen { answer, .. } => {
                    if let Some(shorter) = spread(policy, &answer.head, random) {
                        *answer.head = shorter;
                    }
                }
                _ => {}
            }
        }
        disposition
    }

    /// Why a response that may be stored is not worth it. One that replaces a stored one is, and so is one that is fetched for the store alone.
    pub(super) fn objection_to_storing<S: Upstream>(&self, service: &CacheService<S>, exchange: &Exchange<'_>) -> Option<Reason> {
        let policy = &service.route.policy;
        let is_for_the_store = || self.in_background || self.request.parts.extensions.get::<ForTheStore>().is_some();
        if !self.candidates.is_empty() || (policy.min_hits <= 1 && policy.min_origin_time == 0) || is_for_the_store() {
            return None;
        }
        let requests = if policy.min_hits > 1 { service.requests_for(&self.request) + u32::from(self.is_trial) } else { 1 };
        worth_storing(policy, exchange.request_time, exchange.response_time, requests).err()
    }
}
