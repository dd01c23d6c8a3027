//! The head of a stored response with everything a later decision needs, computed once at storage.

use http::header::{CACHE_CONTROL, ETAG, EXPIRES, LAST_MODIFIED, PRAGMA};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::head::entity_tag::{is_of_body, is_strong_text};
use crate::head::stored_fields::StoredFields;
use crate::reason::Reason;
use crate::request::RequestContext;
use crate::time::Timestamp;

/// The head of a stored response. Hop-by-hop and private fields are already gone; `Age`, `Cache-Status` and `X-Cache` have slots so that
/// setting them on a clone does not grow the map. The slots are empty, but for the `Cache-Status` members of caches nearer to the origin,
/// which ours is appended to (RFC 9211 §2).
#[derive(Clone, Debug)]
pub struct StoredHead {
    /// The status.
    pub status: StatusCode,
    /// The fields as they are served.
    pub headers: StoredFields,
    /// When the response arrived: `response_time` (RFC 9111 §4.2.3).
    pub response_time: Timestamp,
    /// `corrected_initial_age` in seconds (§4.2.3).
    pub initial_age: u32,
    /// How long it is fresh, and who said so (§4.2.1).
    pub lifetime: FreshnessLifetime,
    /// Seconds past the lifetime within which it may be served stale while one refresh runs (RFC 5861 §3).
    pub stale_while_revalidate: u32,
    /// Seconds past the lifetime within which it may be served instead of an error (RFC 5861 §4).
    pub stale_if_error: u32,
    /// Its parsed directives.
    pub flags: HeadFlags,
    /// [`Self::date`] in seconds since the epoch.
    pub date_seconds: u32,
    /// The origin's own fields where `headers` has the route's lifetime instead: the ground for the next calculation when a 304 updates
    /// only some fields.
    pub origin_control: Option<Box<OriginControl>>,
}

/// The origin's own `Cache-Control` and `Expires`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginControl {
    /// `Cache-Control`, its lines joined.
    pub cache_control: Option<HeaderValue>,
    /// `Expires`.
    pub expires: Option<HeaderValue>,
}

/// Yes or no, in one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadFlags(u8);

impl HeadFlags {
    /// Never served without validation (`no-cache`, §5.2.2.4).
    pub const NO_CACHE: Self = Self(1);
    /// Never served stale (`must-revalidate`, `proxy-revalidate`, `s-maxage`; §5.2.2).
    pub const MUST_REVALIDATE: Self = Self(2);
    /// `immutable` (RFC 8246).
    pub const IMMUTABLE: Self = Self(4);
    /// It may answer requests with `Authorization` (§3.5).
    pub const FOR_AUTHORIZED: Self = Self(8);
    /// Its `Last-Modified` is a date, and so a validator.
    pub const MODIFICATION_DATED: Self = Self(16);
    /// It may answer requests with private cookies.
    pub const FOR_COOKIES: Self = Self(32);

    /// With `flag` as well, where that is so.
    #[must_use]
    pub const fn with(self, flag: Self, set: bool) -> Self {
        if set { Self(self.0 | flag.0) } else { self }
    }

    /// Whether `flag` is set.
    pub const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }
}

impl StoredHead {
    /// `Date`, or when it arrived, to the second: picks the most recent of several matches (§4.1).
    pub fn date(&self) -> Timestamp {
        Timestamp::from_secs(self.date_seconds.into())
    }

    /// Never served without validation.
    pub fn no_cache(&self) -> bool {
        self.flags.has(HeadFlags::NO_CACHE)
    }

    /// Never served stale.
    pub fn must_revalidate(&self) -> bool {
        self.flags.has(HeadFlags::MUST_REVALIDATE)
    }

    /// The validator `ETag` as sent (RFC 9110 §8.8.3).
    pub fn etag(&self) -> Option<HeaderValue> {
        self.headers.get(&ETAG).filter(|value| !value.is_empty())
    }

    /// Whether there is an [`Self::etag`].
    pub fn has_etag(&self) -> bool {
        self.headers.lines().any(|(name, value)| *name == ETAG && !value.is_empty())
    }

    /// The entity tag that the origin sent: it knows no [tag of a body](crate::entity_tag::of_body).
    pub fn origin_etag(&self) -> Option<HeaderValue> {
        self.etag().filter(|tag| !is_of_body(tag.as_bytes()))
    }

    /// Whether the origin's entity tag is a strong one, which tells one representation from all others of the resource (RFC 9110 §8.8.3).
    pub fn has_strong_origin_etag(&self) -> bool {
        self.headers.lines().any(|(name, value)| *name == ETAG && is_strong_text(value) && !is_of_body(value))
    }

    /// The same head with an entity tag.
    #[must_use]
    pub fn with_etag(&self, tag: HeaderValue) -> Self {
        self.with_field(ETAG, tag)
    }

    /// The same head with a field, in place of what it had under that name.
    #[must_use]
    pub fn with_field(&self, name: HeaderName, value: HeaderValue) -> Self {
        let mut headers = self.headers.to_map();
        headers.insert(name, value);
        self.with_fields(StoredFields::from(&headers))
    }

    /// The validator `Last-Modified` as sent, where it is one (RFC 9110 §8.8.2).
    pub fn last_modified(&self) -> Option<HeaderValue> {
        if self.flags.has(HeadFlags::MODIFICATION_DATED) { self.headers.get(&LAST_MODIFIED) } else { None }
    }

    /// Whether there is anything that the origin can validate.
    pub fn has_validator(&self) -> bool {
        let is_origins = |(name, value): (&HeaderName, &[u8])| *name == ETAG && !value.is_empty() && !is_of_body(value);
        self.flags.has(HeadFlags::MODIFICATION_DATED) || self.headers.lines().any(is_origins)
    }

    /// `current_age` in seconds (§4.2.3).
    pub fn age(&self, now: Timestamp) -> u32 {
        self.initial_age.saturating_add(now.seconds_since(self.response_time)).min(1 << 31)
    }

    /// Whether it was fresh at a time before it arrived, as far as its age tells.
    pub fn was_fresh(&self, then: Timestamp) -> bool {
        self.lifetime.seconds > self.age_at(then)
    }

    /// Whether it had a lifetime that was over when it arrived.
    pub fn is_over_on_arrival(&self) -> bool {
        let lifetime = self.lifetime.seconds;
        lifetime > 0 && lifetime <= self.initial_age
    }

    /// This head as it would have been, had it arrived at that time before.
    #[must_use]
    pub fn arrived_at(&self, then: Timestamp) -> Self {
        Self { response_time: then, initial_age: self.age_at(then), ..self.clone() }
    }

    fn age_at(&self, then: Timestamp) -> u32 {
        self.initial_age.saturating_sub(self.response_time.seconds_since(then))
    }

    /// Seconds of freshness left; negative when stale (the `ttl` of RFC 9211 §2.4).
    pub fn ttl(&self, now: Timestamp) -> i64 {
        i64::from(self.lifetime.seconds) - i64::from(self.age(now))
    }

    /// Seconds since it became stale; `None` while it is fresh: "response_is_fresh = (freshness_lifetime > current_age)" (§4.2).
    pub fn staleness(&self, now: Timestamp) -> Option<u32> {
        self.age(now).checked_sub(self.lifetime.seconds)
    }

    /// Milliseconds from its arrival within which it may be served without asking the origin, stale or standing in for an error included.
    pub fn usable_for(&self) -> u64 {
        let stale = self.stale_while_revalidate.max(self.stale_if_error);
        (u64::from(self.lifetime.seconds) + u64::from(stale)) * 1_000
    }

    /// Why it may not answer this request as far as credentials go (§3.5), if it may not.
    pub fn objection(&self, request: &RequestContext) -> Option<Reason> {
        if request.authorization && !self.flags.has(HeadFlags::FOR_AUTHORIZED) {
            return Some(Reason::Authorization);
        }
        (request.private_cookies && !self.flags.has(HeadFlags::FOR_COOKIES)).then_some(Reason::Cookie)
    }

    /// Whether it may answer this request as far as credentials go.
    pub fn suits(&self, request: &RequestContext) -> bool {
        self.objection(request).is_none()
    }

    /// The same head with its fields in another form ([`StoredFields::over`], [`StoredFields::packed`]).
    #[must_use]
    pub fn with_fields(&self, headers: StoredFields) -> Self {
        Self { headers, origin_control: self.origin_control.clone(), ..*self }
    }

    /// The same head, stale from now on and fit for validation only: what §4.3.5 asks for when a HEAD contradicts it.
    #[must_use]
    pub fn into_stale(mut self) -> Self {
        self.lifetime.seconds = 0;
        self.flags = self.flags.with(HeadFlags::MUST_REVALIDATE, true);
        self
    }

    /// Gives a response on its way to the client, in `headers`, what is not the origin's: the client that caused the fill must see the route's
    /// lifetime and a tag of the body as well, where [`Self::headers`] have them.
    pub fn show_own(&self, headers: &mut HeaderMap) {
        if let Some(tag) = self.etag().filter(|tag| is_of_body(tag.as_bytes())) {
            headers.insert(ETAG, tag);
        }
        if self.origin_control.is_none() {
            return;
        }
        if let Some(value) = self.headers.get(&CACHE_CONTROL) {
            headers.insert(CACHE_CONTROL, value);
            headers.remove(EXPIRES);
            if self.headers.get(&PRAGMA).is_none() {
                headers.remove(PRAGMA);
            }
        }
    }
}

/// A freshness lifetime and where it came from (RFC 9111 §4.2.1). Packed, for every stored response has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(Rust, packed)]
pub struct FreshnessLifetime {
    /// Seconds.
    pub seconds: u32,
    /// Who named it.
    pub source: LifetimeSource,
}

/// The source of a lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifetimeSource {
    /// A targeted field (RFC 9213).
    Targeted,
    /// `s-maxage`.
    SMaxage,
    /// `max-age`.
    MaxAge,
    /// `Expires` less `Date`.
    Expires,
    /// 10 % of the age since `Last-Modified` (§4.2.2).
    Heuristic,
    /// The route's `ttl`.
    Route,
    /// No source: stale from the start.
    None,
}

impl LifetimeSource {
    /// In words, for people: the field or setting that names the lifetime.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Targeted => "a targeted field (RFC 9213)",
            Self::SMaxage => "`s-maxage` of Cache-Control",
            Self::MaxAge => "`max-age` of Cache-Control",
            Self::Expires => "`Expires`",
            Self::Heuristic => "a tenth of the time since Last-Modified (RFC 9111 §4.2.2)",
            Self::Route => "the route's `ttl`",
            Self::None => "nothing: no lifetime is named",
        }
    }
}
