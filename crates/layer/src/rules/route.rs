//! The settings of one route.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Uri};
use larder_semantics::content::graphql::CacheHint;
use larder_semantics::content::model::{USAGE_SAVED, saved_field};
use larder_semantics::content::{ContentRules, Fitness};
use larder_semantics::reuse::adjusted::hinted;
use larder_semantics::{EtagSource, KeyBuffer, KeyRules, Policy, PrimaryKey, RequestContext, StoredHead, entity_tag};
use larder_store::{InvalidationTarget, StoredBody, Tag, Tags};
use smallvec::SmallVec;

use super::content::Turns;
use super::guard::Guard;
use super::{BypassRate, ContentDecoder, MayBypass, NoTags, NoWrites, RouteRulesBuilder, TagSource, TierChoice, WriteRules};
use crate::effective_target::EffectiveTarget;
use crate::task::pressure::Pressure;

/// The longest body that is stored, unless set otherwise, in bytes.
pub(crate) const MAX_OBJECT: u64 = 8 << 20;

/// Bytes of the longest body that a tag is made of: it is hashed at once, between two others' requests.
const MAX_TAGGED: u64 = 1 << 20;

/// Fields in which an origin is told the host that the client asked for. `Forwarded` names the client too, but an origin that reads one of its
/// parameters may read the others.
const NAMING_THE_HOST: [&str; 4] = ["host", "forwarded", "x-forwarded-host", "x-original-host"];

/// How long a request waits for another one's fetch, unless set otherwise.
const COLLAPSE_WAIT: Duration = Duration::from_secs(10);

/// The settings of one route: one [`CacheLayer`](crate::CacheLayer) has one.
///
/// The default follows RFC 9111 and nothing else: what the inner service's `Cache-Control` allows is stored for as long as that says, under
/// the URL as it was sent. [`RouteRules::builder`] changes that.
#[derive(Clone, Debug)]
pub struct RouteRules {
    /// Its place in the list of routes; what metrics are counted under.
    pub(crate) index: usize,
    pub(crate) name: Arc<str>,
    /// The class that it took its settings from, if there is one: what is stored can be purged by it.
    pub(crate) class: Option<Arc<str>>,
    pub(crate) policy: Policy,
    pub(crate) key: KeyRules,
    /// How the content of requests enters their keys; `None`: requests with content pass through.
    pub(crate) content: Option<ContentRules>,
    pub(super) content_decoder: Option<Arc<dyn ContentDecoder>>,
    /// Where several answers are kept for one content.
    pub(super) turns: Option<Arc<Turns>>,
    /// Whether fields of the request say how long its answer is kept ([`RouteRulesBuilder::client_controls`]).
    pub(crate) client_controls: bool,
    /// `false`: everything passes through.
    pub(crate) cache: bool,
    /// The longest body that is stored, in bytes.
    pub(crate) max_object: u64,
    /// The tiers behind the memory that are used.
    pub(crate) tiers: TierChoice,
    /// How long a request waits for another one's exchange before it fetches by itself.
    pub(crate) collapse_wait: Duration,
    /// Whether `Cache-Status` tells the key of what was looked up (RFC 9211 §2.7).
    pub(crate) cache_status_key: bool,
    /// Whether answers get fields that are not stored: asked once a request, instead of each setting.
    pub(super) amends: bool,
    pub(crate) may_bypass: MayBypass,
    /// How often the clients of one network may; `None`: as often as they like.
    pub(crate) bypass_rate: Option<BypassRate>,
    pub(crate) tags: Arc<dyn TagSource>,
    /// Made once, since every fetch needs them.
    pub(super) common_tags: Tags,
    pub(crate) writes: Arc<dyn WriteRules>,
    /// Where the inner service says that requests wait for a place.
    pub(crate) pressure: Pressure,
    pub(crate) guard: Guard,
}

impl Default for RouteRules {
    fn default() -> Self {
        let mut rules = Self {
            index: 0,
            name: "default".into(),
            class: None,
            policy: Policy::default(),
            key: KeyRules::default(),
            content: None,
            content_decoder: None,
            turns: None,
            client_controls: false,
            cache: true,
            max_object: MAX_OBJECT,
            tiers: TierChoice::default(),
            collapse_wait: COLLAPSE_WAIT,
            cache_status_key: false,
            amends: false,
            may_bypass: MayBypass::anyone(),
            bypass_rate: None,
            tags: Arc::new(NoTags),
            common_tags: Tags::default(),
            writes: Arc::new(NoWrites),
            pressure: Pressure::default(),
            guard: Guard::default(),
        };
        rules.common_tags = rules.make_common_tags();
        rules
    }
}

impl RouteRules {
    /// Settings that begin with the defaults.
    pub fn builder() -> RouteRulesBuilder {
        Self::default().to_builder()
    }

    /// Settings that begin with these.
    pub fn to_builder(&self) -> RouteRulesBuilder {
        RouteRulesBuilder::new(self.clone())
    }

    /// Its place in the list of routes.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The class that it took its settings from.
    pub fn class(&self) -> Option<&Arc<str>> {
        self.class.as_ref()
    }

    /// Whether the inner service has no place for a request that no client waits for.
    pub fn is_full(&self) -> bool {
        self.pressure.is_full()
    }

    /// The settings that bear on decisions.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The settings that bear on keys.
    pub fn key(&self) -> &KeyRules {
        &self.key
    }

    /// The invalidations of writes.
    pub fn writes(&self) -> &Arc<dyn WriteRules> {
        &self.writes
    }

    /// A URL as it stands in keys, for an [`Invalidation`](crate::Invalidation): scheme, host and query have their normal form there. `uri` is
    /// absolute, or a path of the host in `headers`, as in a request.
    pub fn url(&self, uri: &Uri, headers: &HeaderMap) -> InvalidationTarget {
        InvalidationTarget::Url(self.key.url_of(EffectiveTarget::default().target(uri, headers)))
    }

    /// Takes out of a request what its key leaves out, so that an answer that is shared is not made of what only this client sent: its parameters,
    /// and the host where all hosts share a response.
    pub(crate) fn reduce_to_key(&self, parts: &mut Parts) {
        if let Some(uri) = self.key.query.as_in_key(&parts.uri) {
            parts.uri = uri;
        }
        if !self.key.host {
            NAMING_THE_HOST.iter().for_each(|name| _ = parts.headers.remove(*name));
            let path = parts.uri.path_and_query().cloned();
            parts.uri = path.map(Uri::from).unwrap_or_default();
        }
    }

    /// Whether answers get fields that are not stored ([`Served::amended`](crate::Served)).
    pub(crate) fn amends(&self) -> bool {
        self.amends
    }

    /// The head of a response with a tag of its body, where the route wants one and the origin has sent none.
    fn tagged(&self, head: &StoredHead, body: &StoredBody) -> Option<StoredHead> {
        let wants = self.policy.etag == EtagSource::Body && head.status == StatusCode::OK && body.len() <= MAX_TAGGED;
        (wants && !head.has_etag()).then(|| head.with_etag(entity_tag::of_body(body.segments().iter().map(|segment| &segment[..]))))
    }

    /// The head of a response once its body is known: with a tag of the body, and with what it has cost or says of its lifetime; `None` where nothing is added.
    pub(crate) fn completed(&self, head: &StoredHead, body: &StoredBody, fitness: &Fitness) -> Option<StoredHead> {
        let tagged = self.tagged(head, body);
        if let Fitness::Hinted(CacheHint { ttl: Some(ttl), .. }) = fitness {
            return hinted(&self.policy, tagged.as_ref().unwrap_or(head), *ttl).or(tagged);
        }
        let Fitness::Fit(Some(judged)) = fitness else { return tagged };
        let Some(saved) = saved_field(judged) else { return tagged };
        Some(tagged.as_ref().unwrap_or(head).with_field(USAGE_SAVED, saved))
    }

    /// Everything that is known of an answer's tags before it is there, besides that of its URL. `None` where they are too many or too long,
    /// so that the answer is not stored.
    pub(crate) fn known_tags(&self, request: &Parts, key: &PrimaryKey) -> Option<Tags> {
        let (of_request, of_key) = (self.tags.tags(request)?, self.tags.tags_of_key(key));
        let named = Tag::surrogates(of_request.iter().chain(&of_key).map(String::as_str))?;
        let identity = key.identity();
        if named.is_empty() && identity.is_none() {
            return Some(Arc::clone(&self.common_tags));
        }
        let mut tags = SmallVec::<[Tag; 8]>::from_slice(&self.common_tags);
        tags.extend(identity.map(|text| [Tag::identity(text), Tag::any_identity()]).into_iter().flatten());
        tags.extend(named);
        Some(tags[..].into())
    }

    /// The tags that all answers under these settings have.
    pub(super) fn make_common_tags(&self) -> Tags {
        let class = self.class.as_deref().map(Tag::class);
        [Tag::route(&self.name), Tag::namespace(&self.key.namespace)].into_iter().chain(class).collect()
    }

    /// The caching conditions of a request whose `key` was derived. A client that shows private cookies instead of the fields that identities
    /// are made of shares nothing with others, whatever the origin says of lifetimes: as with `Authorization` (RFC 9111 §3.5).
    pub(crate) fn context(&self, method: &Method, headers: &HeaderMap, key: &KeyBuffer) -> RequestContext {
        let has_authorization = self.key.authorization_in_key() || key.claimed() || (self.key.needs_identity && key.identified());
        let mut context = RequestContext::new(method, headers, &self.policy, key.identified(), has_authorization);
        if context.private_cookies {
            context.private_cookies = self.key.has_private_cookies(headers);
            context.authorization |= context.private_cookies && self.key.overlooks_cookies();
        }
        context
    }
}

#[cfg(test)]
mod tests {
    use http::header::HOST;

    use super::*;

    #[test]
    fn rfc9110_4_2_3_a_url_is_purged_by_its_normal_form() {
        let rules = RouteRules::builder().sort_query(true).build();
        let mut headers = HeaderMap::new();
        let absolute = Uri::from_static("HTTP://Example.COM:80/a?c=2&b=1");
        let expected = InvalidationTarget::Url("http://example.com/a?b=1&c=2".to_owned());
        assert_eq!(rules.url(&absolute, &headers), expected);
        headers.insert(HOST, http::HeaderValue::from_static("example.com"));
        assert_eq!(rules.url(&Uri::from_static("/a?b=1&c=2"), &headers), expected);
    }
}
