//! Stored responses renewed by a 304 or by an answer to HEAD (RFC 9111 §4.3.4, §4.3.5), in the store and for the requests that wait.

use std::sync::Arc;

use larder_semantics::{Exchange, Freshened, HeadUpdate, StoredHead, VarySpec, head_update};
use larder_store::{StoredResponse, Tag, Validity, Variant};
use tokio::sync::oneshot;

use super::state::{Fetch, Naming};
use crate::collapse::outcome::{FetchOutcome, Own, OwnFields, Reply};
use crate::rules::{TagsInBody, group_tags};
use crate::service::CacheService;
use crate::upstream::Upstream;

impl Fetch {
    /// Updates the stored answer to GET by an answer to HEAD (RFC 9111 §4.3.5).
    pub(super) fn update_by_head<S: Upstream>(&self, service: &CacheService<S>, exchange: &Exchange<'_>) {
        let Some(stored) = self.candidates.first() else { return };
        match head_update(exchange, &stored.head, stored.body_length()) {
            HeadUpdate::Freshen { head, keep: true } | HeadUpdate::Stale(head) => match self.renewed(service, stored, &head) {
                (fresh, true) => service.cache.freshen_soon(Arc::new(fresh), &service.route.tiers),
                (_, false) => service.cache.remove(stored),
            },
            HeadUpdate::Freshen { keep: false, .. } => service.cache.remove(stored),
            HeadUpdate::Unrelated => {}
        }
    }

    /// A stored response with a head that the origin has just sent, and with the tags it named; and whether it can be purged by all that
    /// names it, before and from now on.
    fn renewed<S: Upstream>(&self, service: &CacheService<S>, stored: &StoredResponse, head: &StoredHead) -> (StoredResponse, bool) {
        let (groups, new_groups) = (group_tags(self.request.key.url(), &stored.head), group_tags(self.request.key.url(), head));
        if self.naming != Naming::Tags && groups == new_groups {
            return (stored.freshened(head, self.position, self.number), self.naming == Naming::Nothing);
        }
        let tags = match self.naming {
            // Those that it has, with the groups that it is in from now on.
            Naming::Nothing => {
                let kept: Vec<Tag> = stored.tags().iter().filter(|tag| !groups.contains(tag)).collect();
                Tag::joined(&kept, &new_groups)
            }
            Naming::TooMany => None,
            Naming::Tags => {
                let named = match service.route.tags_in(&stored.head.headers.to_map()) {
                    TagsInBody::None => Some(Vec::new()),
                    _ => service.route.read_tags(&self.request.parts, stored.body().segments().iter()).ok(),
                };
                named.and_then(|named| Tag::joined(&self.tags, &[named, new_groups].concat()))
            }
        };
        // A purge by a tag that it had until now, and that came while the origin was asked, was meant for it.
        let untouched = service.cache.store.ledger().check(&stored.subject(), self.position) == Validity::Valid;
        let whole = untouched && tags.is_some();
        let fresh = stored.retagged(head, &tags.unwrap_or_default(), self.position, self.number);
        if stored.variant().is_none_or(|variant| variant.suits(&self.request.parts.headers)) {
            return (fresh, whole);
        }
        // Its own request has given it others than this one, which are not told from those that the origin named.
        let own: Vec<Tag> = stored.tags().iter().collect();
        fresh.also_tagged(&own).map_or((fresh, false), |tagged| (tagged, whole))
    }

    pub(super) async fn freshen<S: Upstream>(
        mut self: Box<Self>,
        service: &CacheService<S>,
        answer: Freshened,
        own: OwnFields,
        reply: oneshot::Sender<Reply<S::Body>>,
    ) {
        let (Some(stored), cache) = (self.candidates.get(answer.index), &service.cache) else { return };
        let same_fields = selects_by(stored, answer.vary.as_ref());
        let (mut fresh, whole) = self.renewed(service, stored, &answer.head);
        let mut keep = answer.keep && whole;
        if !same_fields {
            (fresh, keep) = self.named_here(fresh, keep);
            fresh = fresh.with_variant(answer.vary.map(|spec| Variant::of(spec, &self.request.parts.headers)));
        }
        let mut fresh = Arc::new(fresh);
        if !keep {
            // It answers this request and is dropped, unless the answer that forbids to keep it is about one client's credentials.
            if !self.request.context.authorization {
                cache.remove(stored);
            }
            if let Some(lease) = self.lease.take() {
                lease.not_shared();
            }
            self.deliver(FetchOutcome::Validated { stored: fresh, is_shared: false }, Own::Fields(own), reply);
            return;
        }
        cache.freshen(Arc::clone(&fresh), self.lease.take(), &service.route.tiers).await;
        if !same_fields {
            // Its old place is one that requests with other fields would find it at.
            cache.remove(stored);
        }
        let mut is_shared = true;
        if let Some(variant) = fresh.variant()
            && !variant.suits(&self.request.parts.headers)
        {
            let copy = fresh.also_for(Variant::of(variant.spec.clone(), &self.request.parts.headers));
            let (copy, whole) = self.named_here(copy, true);
            (fresh, is_shared) = (Arc::new(copy), whole);
            if whole {
                cache.commit(Arc::clone(&fresh), None, &service.route.tiers).await;
            }
        }
        self.deliver(FetchOutcome::Validated { stored: fresh, is_shared }, Own::Fields(own), reply);
    }

    /// What is kept for this request from now on can be purged by the tags that it gives, besides those that were given before; and whether
    /// these are not too many.
    fn named_here(&self, fresh: StoredResponse, keep: bool) -> (StoredResponse, bool) {
        match fresh.also_tagged(&self.tags) {
            Some(tagged) => (tagged, keep),
            None => (fresh, false),
        }
    }

    /// Renews another response that the 304 confirmed. Where other fields select from now on, the requests that it was for are unknown.
    pub(super) fn freshen_other<S: Upstream>(&self, service: &CacheService<S>, other: Freshened) {
        let (Some(stored), cache) = (self.candidates.get(other.index), &service.cache) else { return };
        let url = self.request.key.url();
        let same_groups = group_tags(url, &stored.head) == group_tags(url, &other.head);
        if other.keep && same_groups && selects_by(stored, other.vary.as_ref()) {
            cache.freshen_soon(Arc::new(stored.freshened(&other.head, self.position, self.number)), &service.route.tiers);
        } else if !self.request.context.authorization {
            cache.remove(stored);
        }
    }
}

fn selects_by(stored: &StoredResponse, vary: Option<&VarySpec>) -> bool {
    stored.variant().map(|variant| &variant.spec) == vary
}
