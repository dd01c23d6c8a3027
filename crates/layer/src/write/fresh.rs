//! What is stored and fresh for the content of a request, in memory or in a tier. What is not there is not asked for.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};
use http::request::Parts;
use http::{HeaderMap, Request};
use larder_semantics::content::ContentKey;
use larder_semantics::{KeyBuffer, PrimaryKey, Reason};
use larder_store::StoredResponse;

use crate::body::content::joined;
use crate::effective_target::EffectiveTarget;
use crate::lookup::looked_up::{Hit, LookedUp};
use crate::lookup::request::ClientRequest;
use crate::outcome::Served;
use crate::rules::RouteRules;
use crate::service::CacheService;
use crate::tiers::look_up::{TierAnswer, ask};
use crate::upstream::Upstream;

/// A stored response that answers a request whose content has a certain key.
pub(crate) struct Fresh {
    hit: Hit,
    request: Arc<ClientRequest>,
}

impl Fresh {
    pub(crate) fn stored(&self) -> &StoredResponse {
        &self.hit.stored
    }

    /// Its age in seconds.
    pub(crate) fn age(&self) -> u32 {
        self.hit.age
    }

    /// As an answer, which is given for this reason.
    pub(crate) fn served<S: Upstream>(mut self, service: &CacheService<S>, reason: Reason) -> Served<S::Body> {
        self.hit.reason = reason;
        self.hit.served(&self.request.context, &self.request.parts.headers, &service.cache.in_flight)
    }
}

/// A request for all of what is stored, whatever part of it the client wants.
pub(crate) fn without_conditions(mut parts: Parts) -> Parts {
    const CONDITIONS: [http::HeaderName; 6] = [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];
    CONDITIONS.iter().for_each(|name| _ = parts.headers.remove(name));
    parts
}

impl<S: Upstream> CacheService<S> {
    /// The fresh response to a request with this content.
    pub(crate) async fn find_fresh(&self, parts: Parts, content: &ContentKey, effective: &EffectiveTarget) -> Option<Fresh> {
        let mut request = Request::from_parts(parts, ());
        let (context, key, looked_up) = {
            let mut key = KeyBuffer::default();
            let context = self.prepare(&mut request, Some(content), effective, &mut key).ok()?;
            if self.asks_for_bypass(&request, &key, effective.client) {
                return None;
            }
            let looked_up = self.look_up::<S::Body>(&context, request.headers(), self.cache.store.slot_key(&key));
            (context, key.to_key(), looked_up)
        };
        let request = Arc::new(ClientRequest::new(&self.route, request.into_parts().0, context, key));
        let hit = match looked_up {
            LookedUp::Hit(hit) if !hit.wants_refresh => hit,
            LookedUp::Fetch(plan) if plan.may_be_stored_elsewhere() && !self.cache.tiers.is_empty() => {
                let answer = Box::pin(ask(&self.cache, &self.route, &request, &plan.found, None)).await;
                let stored = match answer {
                    TierAnswer::Serve(stored, _) => stored,
                    TierAnswer::Arriving(arriving, _) if arriving.record.body().length <= self.cache.max_in_memory => {
                        Arc::new(arriving.whole().await.ok()?)
                    }
                    _ => return None,
                };
                let now = self.cache.clock.now();
                Hit { age: stored.head.age(now), stored, reason: Reason::Fresh, now, wants_refresh: false }
            }
            _ => return None,
        };
        hit.stored.mark_asked();
        Some(Fresh { hit, request })
    }

    /// What memory has for a request with this content. Nothing counts that as a use.
    pub(crate) fn hit_in_memory(&self, parts: Parts, content: &ContentKey, effective: &EffectiveTarget) -> Option<Hit> {
        self.peek_in_memory(parts, content, effective)?.1
    }

    /// The same with the key; `None` where it has none, or the client asks for a bypass.
    pub(crate) fn peek_in_memory(
        &self,
        parts: Parts,
        content: &ContentKey,
        effective: &EffectiveTarget,
    ) -> Option<(PrimaryKey, Option<Hit>)> {
        let (mut request, mut key) = (Request::from_parts(parts, ()), KeyBuffer::default());
        let context = self.prepare(&mut request, Some(content), effective, &mut key).ok()?;
        if self.asks_for_bypass(&request, &key, effective.client) {
            return None;
        }
        let now = self.cache.clock.now();
        let found = self.cache.store.peek(self.cache.store.slot_key(&key), request.headers(), now);
        let hit = match self.decide_about::<S::Body>(&context, request.headers(), found, now) {
            LookedUp::Hit(hit) => Some(hit),
            _ => None,
        };
        Some((key.to_key(), hit))
    }
}

impl RouteRules {
    /// The whole body of a stored response without its content coding; `None` where that cannot be undone.
    pub(crate) fn plain_body(&self, stored: &StoredResponse) -> Option<Bytes> {
        let body = joined(stored.body().segments().iter());
        let Some(coding) = stored.head.headers.get(&CONTENT_ENCODING) else { return Some(body) };
        let max_length = usize::try_from(self.max_object).unwrap_or(usize::MAX);
        self.decoded(&HeaderMap::from_iter([(CONTENT_ENCODING, coding)]), &body, max_length).map(Bytes::from)
    }
}
