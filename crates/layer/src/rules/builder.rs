//! The settings of a route, one by one.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use larder_semantics::content::ContentRules;
use larder_semantics::reuse::told::tells_its_own;
use larder_semantics::{
    ClientTtl, CookiePolicy, GuardMode, IdentityPart, KeyRules, PathCase, Policy, Replay, Scope, TokenVerifier, TtlMode,
};

use super::content::Turns;
use super::{BypassRate, ContentDecoder, GuardObserver, MayBypass, RouteRules, TagSource, TierChoice, WriteRules};
use crate::task::pressure::Pressure;

/// In a request under [`RouteRulesBuilder::client_controls`]: so many seconds its answer is kept.
pub const CACHE_TTL: &str = "larder-cache-ttl";

/// In such a request: it shares answers with those that say the same here.
pub const CACHE_NAMESPACE: &str = "larder-cache-namespace";

/// Builds [`RouteRules`]: each method changes one setting of the route.
///
/// ```
/// use std::time::Duration;
/// use larder_tower::{HeaderTags, RouteRules};
///
/// let rules = RouteRules::builder()
///     .name("issues")
///     .ttl(Duration::from_secs(60))                          // where the service names no lifetime
///     .stale_while_revalidate(Duration::from_secs(10))
///     .stale_if_error(Duration::from_secs(600))
///     .tags(HeaderTags::surrogate_key())
///     .build();
/// assert_eq!(&**rules.name(), "issues");
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RouteRulesBuilder {
    rules: RouteRules,
}

impl RouteRulesBuilder {
    pub(super) fn new(rules: RouteRules) -> Self {
        Self { rules }
    }

    /// The settings.
    pub fn build(mut self) -> RouteRules {
        self.rules.common_tags = self.rules.make_common_tags();
        let namespace = HeaderName::from_static(CACHE_NAMESPACE);
        if self.rules.client_controls && !self.rules.key.headers.contains(&namespace) {
            self.rules.key.headers.push(namespace);
        }
        self.rules.policy.shares_schemes = !self.rules.key.scheme;
        self.rules.turns = self.rules.content.as_ref().filter(|content| content.answers > 1).map(|_| Arc::new(Turns::new()));
        self.rules.amends = self.rules.cache_status_key || tells_its_own(&self.rules.policy) || self.rules.policy.replay != Replay::Fast;
        self.rules
    }

    fn set(mut self, set: impl FnOnce(&mut RouteRules)) -> Self {
        set(&mut self.rules);
        self
    }

    fn set_policy(self, set: impl FnOnce(&mut Policy)) -> Self {
        self.set(|rules| set(&mut rules.policy))
    }

    /// The name of the route: what is stored can be purged by it. Default: `default`.
    pub fn name(self, name: impl Into<Arc<str>>) -> Self {
        self.set(|rules| rules.name = name.into())
    }

    /// A class that several routes have in common: what is stored can be purged by it.
    pub fn class(self, class: impl Into<Arc<str>>) -> Self {
        self.set(|rules| rules.class = Some(class.into()))
    }

    /// Its place in a list of routes, for the caller's own use.
    pub fn index(self, index: usize) -> Self {
        self.set(|rules| rules.index = index)
    }

    /// The first part of every key. Layers with one cache and one namespace share what they store; two that answer one URL differently, such
    /// as nested routers from which a prefix was stripped, need a namespace each. Letters, digits, `-`, `_` and `.`; default: `default`.
    pub fn namespace(self, namespace: impl Into<String>) -> Self {
        self.set(|rules| rules.key.namespace = namespace.into())
    }

    /// The lifetime of answers that name none themselves, in whole seconds ([`Self::ttl_mode`] says what becomes of those that do). Default:
    /// none, so that they are stored only if they have a validator.
    pub fn ttl(self, ttl: Duration) -> Self {
        self.set_policy(|policy| policy.ttl = seconds(ttl))
    }

    /// How [`Self::ttl`] meets the lifetime that an answer names. Default: the answer's own counts.
    pub fn ttl_mode(self, mode: TtlMode) -> Self {
        self.set_policy(|policy| policy.ttl_mode = mode)
    }

    /// The lifetime that clients are told ([`ClientTtl`]), so that a purge reaches people behind browsers. Default: what is left of the one that
    /// counts here.
    pub fn client_ttl(self, ttl: ClientTtl) -> Self {
        self.set_policy(|policy| policy.client_ttl = ttl)
    }

    /// By how much of it a lifetime of the route's may be shorter, from 0 to 0.5, at random: what was stored together does not expire together then.
    /// Default: not at all.
    pub fn ttl_jitter(self, part: f32) -> Self {
        self.set_policy(|policy| policy.ttl_jitter = (part.clamp(0.0, 0.5) * 1000.0).round() as u16)
    }

    /// For how long a stale response is still served while one refresh runs (RFC 5861 §3), where the answer does not say. Default: not at all.
    pub fn stale_while_revalidate(self, window: Duration) -> Self {
        self.set_policy(|policy| policy.stale_while_revalidate = seconds(window))
    }

    /// For how long a stale response stands in when the inner service fails (RFC 5861 §4), where the answer does not say. Default: not at all.
    pub fn stale_if_error(self, window: Duration) -> Self {
        self.set_policy(|policy| policy.stale_if_error = seconds(window))
    }

    /// How long the inner service is waited for where a stale response may stand in for it; the fetch goes on. Default: without end.
    pub fn stale_if_slow(self, patience: Duration) -> Self {
        self.set_policy(|policy| policy.stale_if_slow = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX))
    }

    /// Whether a stale response stands in for the inner service while that has no place for one more request ([`Self::pressure`]). Default: no, the
    /// request waits for its place.
    pub fn stale_if_overloaded(self, stale: bool) -> Self {
        self.set_policy(|policy| policy.stale_if_overloaded = stale)
    }

    /// After which part of its lifetime, from 0 to 1, a response that is asked for is fetched again in the background, before it is stale.
    /// Default: never.
    pub fn refresh_ahead(self, part: f32) -> Self {
        self.set_policy(|policy| policy.refresh_ahead = Some((part.clamp(0.001, 0.999) * 1000.0).round() as u16))
    }

    /// One stored response for each client, as these parts of its requests tell: then `private` responses are stored too, and a request without
    /// any of the parts is answered with responses that are for all clients. Default: none, so that every stored response is for all clients.
    pub fn identity(self, parts: impl IntoIterator<Item = IdentityPart>) -> Self {
        self.set(|rules| {
            rules.key.identity = parts.into_iter().collect();
            rules.policy.scope = if rules.key.identity.is_empty() { Scope::Public } else { Scope::Identity };
        })
    }

    /// Fields that stand in for `Cache-Control` in answers (RFC 9213), the most specific first. Default: `CDN-Cache-Control`.
    pub fn targeted(self, fields: impl IntoIterator<Item = HeaderName>) -> Self {
        self.set_policy(|policy| policy.targeted = fields.into_iter().collect())
    }

    /// Everything that bears on decisions, in place of what was set before.
    pub fn policy(self, policy: Policy) -> Self {
        self.set(|rules| rules.policy = policy)
    }

    /// Whether parameters of the query are sorted by name in keys, so that their order does not matter. Default: no.
    pub fn sort_query(self, sort: bool) -> Self {
        self.set(|rules| rules.key.query.sort = sort)
    }

    /// Parameters that are left out of keys, such as `utm_*`. The inner service does not get them where its answer may be stored: what everybody
    /// gets must not be made of what one client sent. Default: none.
    pub fn drop_parameters<T: Into<String>>(self, names: impl IntoIterator<Item = T>) -> Self {
        self.set(|rules| rules.key.query.drop = names.into_iter().map(Into::into).collect())
    }

    /// A parameter by which a client asks for an answer from the inner service, such as `no_cache`: it is not passed on. Default: none.
    pub fn bypass_parameter(self, name: impl Into<String>, by: MayBypass) -> Self {
        self.set(|rules| (rules.key.query.bypass, rules.may_bypass) = (Some(name.into()), by))
    }

    /// Answers requests with content from the store as well, with the content as a part of their keys: QUERY (RFC 10008), and POST where these
    /// rules say that it only reads. Default: they pass through.
    pub fn content(self, content: Option<ContentRules>) -> Self {
        self.set(|rules| rules.content = content)
    }

    /// Whether `larder-cache-ttl` (seconds) in a request says how long its answer is kept, whatever the answer says, and `larder-cache-namespace` which
    /// requests share answers. Both are the client's word, so let something before this layer remove those of clients that are not to have it. Default: no.
    pub fn client_controls(self, controls: bool) -> Self {
        self.set(|rules| rules.client_controls = controls)
    }

    /// What undoes the content codings of such requests. Default: nothing, so that those with a coding pass through.
    pub fn content_decoder(self, decoder: impl ContentDecoder + 'static) -> Self {
        self.set(|rules| rules.content_decoder = Some(Arc::new(decoder)))
    }

    /// Who may use the bypass parameter.
    pub fn may_bypass(self, by: MayBypass) -> Self {
        self.set(|rules| rules.may_bypass = by)
    }

    /// How often the clients of one network may use it, a /24 of IPv4 or a /64 of IPv6; beyond that their requests are answered as without the
    /// parameter. Default: as often as they like.
    pub fn bypass_rate(self, rate: Option<BypassRate>) -> Self {
        self.set(|rules| rules.bypass_rate = rate)
    }

    /// The meaning of cookies that are neither part of the key nor ignored. Default: where nobody but [`Self::ttl`] names a lifetime, requests with
    /// some share nothing.
    pub fn cookies(self, cookies: CookiePolicy) -> Self {
        self.set_policy(|policy| policy.cookies = cookies)
    }

    /// Cookies that are as if absent, one `*` in each for any text, and that the inner service does not get where its answer may be stored:
    /// for instance [`CookieRules::COUNTING`](larder_semantics::CookieRules::COUNTING). Default: none.
    pub fn ignore_cookies<T: Into<String>>(self, names: impl IntoIterator<Item = T>) -> Self {
        self.set(|rules| rules.key.cookies.ignored = names.into_iter().map(Into::into).collect())
    }

    /// Cookies that are part of the key: each value has a response of its own. Default: none.
    pub fn key_cookies<T: Into<String>>(self, names: impl IntoIterator<Item = T>) -> Self {
        self.set(|rules| rules.key.cookies.key = names.into_iter().map(Into::into).collect())
    }

    /// Request fields that are part of the key: each value has a response of its own. Default: none; what an answer's `Vary` names selects it anyway.
    pub fn key_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.set(|rules| rules.key.headers = names.into_iter().collect())
    }

    /// Claims of a bearer token (`Authorization: Bearer`) that are part of the key: requests whose tokens have the same share responses. **Nothing is
    /// verified here**: only where tokens have been verified before. Default: none.
    pub fn key_unverified_claims<T: Into<String>>(self, names: impl IntoIterator<Item = T>) -> Self {
        self.set(|rules| {
            rules.key.claims = names.into_iter().map(Into::into).collect();
            rules.key.unverified_claims = true;
        })
    }

    /// Claims of a bearer token that are part of the key, where the [verifier](Self::token_verifier) believes the token. A request with any other token
    /// passes by the store. Default: none.
    pub fn key_claims<T: Into<String>>(self, names: impl IntoIterator<Item = T>) -> Self {
        self.set(|rules| {
            rules.key.claims = names.into_iter().map(Into::into).collect();
            rules.key.unverified_claims = false;
        })
    }

    /// Verifies the tokens whose claims are part of the key or of an identity; it has to know all of these claims. Default: none, so that no token is
    /// believed.
    pub fn token_verifier(self, verifier: Arc<dyn TokenVerifier>) -> Self {
        self.set(|rules| rules.key.tokens = Some(verifier))
    }

    /// Whether the host is part of the key. Without it all hosts share what is stored, and the inner service is not told the client's where its answer
    /// may be stored: there is no `Host` then. Default: yes.
    pub fn key_host(self, is_in_key: bool) -> Self {
        self.set(|rules| rules.key.host = is_in_key)
    }

    /// Whether the scheme is part of the key. Default: yes.
    pub fn key_scheme(self, is_in_key: bool) -> Self {
        self.set(|rules| rules.key.scheme = is_in_key)
    }

    /// How the path enters the key. Default: as it was sent.
    pub fn key_path(self, case: PathCase) -> Self {
        self.set(|rules| rules.key.path = case)
    }

    /// Everything that bears on keys, in place of what was set before.
    pub fn key(self, key: KeyRules) -> Self {
        self.set(|rules| rules.key = key)
    }

    /// `false`: everything passes through; writes invalidate all the same. Default: `true`.
    pub fn cache(self, cache: bool) -> Self {
        self.set(|rules| rules.cache = cache)
    }

    /// The longest body that is stored, in bytes; a longer one is passed on. It should not be more than
    /// [`CacheBuilder::max_object`](crate::CacheBuilder::max_object). Default: 8 MiB.
    pub fn max_object(self, bytes: u64) -> Self {
        self.set(|rules| rules.max_object = bytes)
    }

    /// The tiers behind the memory that are used, by their names ([`RemoteStore::name`](crate::store::RemoteStore::name)); others are neither asked
    /// nor written. Default: all.
    pub fn tiers<T: Into<Box<str>>>(self, names: impl IntoIterator<Item = T>) -> Self {
        self.set(|rules| rules.tiers = TierChoice::only(names.into_iter().map(Into::into)))
    }

    /// How long a request waits for another one's fetch before it fetches by itself. Default: ten seconds.
    pub fn collapse_wait(self, wait: Duration) -> Self {
        self.set(|rules| rules.collapse_wait = wait)
    }

    /// Whether `Cache-Status` tells the key (RFC 9211 §2.7); identities are in keys as hashes only. Default: no.
    pub fn cache_status_key(self, tell: bool) -> Self {
        self.set(|rules| rules.cache_status_key = tell)
    }

    /// Where the tags of what is stored come from: [`HeaderTags`](super::HeaderTags), or a type of your own. Default: nowhere.
    pub fn tags(self, tags: impl TagSource + 'static) -> Self {
        self.set(|rules| rules.tags = Arc::new(tags))
    }

    /// Invalidations by writes besides those of RFC 9111 §4.4: the URL of the write, and those of `Location` and `Content-Location` in its answer.
    /// Default: nothing.
    pub fn writes(self, writes: impl WriteRules + 'static) -> Self {
        self.shared_writes(Arc::new(writes))
    }

    /// As [`Self::writes`], of rules that several routes have in common.
    pub fn shared_writes(self, writes: Arc<dyn WriteRules>) -> Self {
        self.set(|rules| rules.writes = writes)
    }

    /// What becomes of answers that give back what one client sent, that name the client, or that their URL lies about. Default: no guard looks.
    pub fn guard(self, mode: GuardMode) -> Self {
        self.set(|rules| rules.guard.mode = mode)
    }

    /// Is told of them.
    pub fn guard_observer(self, observer: Arc<dyn GuardObserver>) -> Self {
        self.set(|rules| rules.guard.observer = Some(observer))
    }

    /// Where an inner service that bounds its requests says that some wait for a place.
    pub fn pressure(self, pressure: Pressure) -> Self {
        self.set(|rules| rules.pressure = pressure)
    }
}

/// Whole seconds. What is longer than an age can say never ends.
fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_changes_what_it_is_told_and_nothing_else() {
        let identity = IdentityPart::Header(http::header::AUTHORIZATION);
        let rules = RouteRules::builder().name("a").ttl(Duration::from_millis(60_900)).identity([identity.clone()]).build();
        assert_eq!((&**rules.name(), rules.policy().ttl, rules.policy().scope), ("a", 60, Scope::Identity));
        assert_eq!(rules.key().identity, [identity]);
        let rules = rules.to_builder().identity([]).stale_if_error(Duration::MAX).build();
        assert_eq!((&**rules.name(), rules.policy().ttl, rules.policy().scope), ("a", 60, Scope::Public));
        assert_eq!(rules.policy().stale_if_error, u32::MAX);
        let shares =
            |rules: RouteRules| (rules.policy().shares_schemes, rules.to_builder().key_scheme(true).build().policy().shares_schemes);
        assert_eq!(shares(rules.to_builder().key_scheme(false).policy(Policy::default()).build()), (true, false));
    }
}
