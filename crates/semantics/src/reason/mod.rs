//! Why a decision was taken.

mod advice;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal,)+) => {
        /// Why a request was answered, or a response kept, as it was. One word each in `Cache-Status`, metrics, logs and `explain`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Reason { $($(#[doc = $doc])* $name,)+ }

        impl Reason {
            /// Every reason, so that metrics can be declared ahead with bounded labels.
            pub const ALL: &'static [Reason] = &[$(Self::$name,)+];

            /// The word for it: lower-case letters, digits and `-`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// Its meaning in a sentence or two, with the section of the RFC where there is one.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => without_margin(concat!($($doc),*)),)+ }
            }
        }
    };
}

/// A doc comment's text begins with the space behind its slashes.
const fn without_margin(text: &'static str) -> &'static str {
    match text.as_bytes() {
        [b' ', ..] => text.split_at(1).1,
        _ => text,
    }
}

reasons! {
    /// The stored response is fresh (RFC 9111 §4.2).
    Fresh = "fresh",
    /// It is fresh and `immutable`, so the client's `max-age` does not send the cache to the origin (RFC 8246 §2).
    Immutable = "immutable",
    /// It is stale, and the client's `max-stale` accepts that (RFC 9111 §5.2.1.2).
    MaxStale = "max-stale",
    /// It is stale by no more than `stale-while-revalidate` allows (RFC 5861 §3).
    StaleWhileRevalidate = "stale-while-revalidate",
    /// A soft purge made it stale; it is served while one refresh runs.
    SoftPurged = "soft-purged",
    /// The origin failed, and `stale-if-error` lets the stored response stand in (RFC 5861 §4).
    StaleIfError = "stale-if-error",
    /// The origin had not begun to answer after `stale_if_slow` of the route, and `stale-if-error` lets the stored response stand in (RFC 5861
    /// §4). The fetch goes on.
    Slow = "slow",
    /// The upstream has no place for one more request, `stale_if_overloaded` of the route is set, and `stale-if-error` lets the stored response
    /// stand in (RFC 5861 §4).
    Overloaded = "overloaded",
    /// A limit of the configuration lets no more requests of this client through, or to the origin: it got 429, or what is stored where `over` says so.
    RateLimited = "rate-limited",
    /// The origin said 304, and the stored response was served with its fields updated (RFC 9111 §4.3.4).
    Validated = "validated",
    /// A HEAD or another request renewed the stored response's fields (RFC 9111 §4.3.5).
    Refreshed = "refreshed",
    /// Another request's fetch answered this one too (collapsed forwarding, RFC 9111 §4).
    Collapsed = "collapsed",
    /// The stored answer of a model to the same request in another form, whole or as a stream, was given in this one (`convert`).
    Converted = "converted",

    /// Nothing is stored under this key, and as far as is known nothing was.
    Absent = "absent",
    /// The entry under this key had to make room for others while it was fresh.
    Evicted = "evicted",
    /// The entry under this key had to make room for others once it was stale.
    Expired = "expired",
    /// Something is stored under this key, but no variant for this request's selecting fields (RFC 9111 §4.1).
    VaryMiss = "vary-miss",
    /// Only some ranges of the response are stored, and not those asked for (RFC 9111 §3.3).
    Partial = "partial",
    /// The stored response is stale (RFC 9111 §4.2.4).
    Stale = "stale",
    /// It is stale, and `must-revalidate`, `proxy-revalidate` or `s-maxage` forbids serving it so (RFC 9111 §5.2.2).
    MustRevalidate = "must-revalidate",
    /// The stored response says `no-cache` (RFC 9111 §5.2.2.4).
    ResponseNoCache = "response-no-cache",
    /// The request says `no-cache`, or `Pragma: no-cache` (RFC 9111 §5.2.1.4, §5.4).
    RequestNoCache = "request-no-cache",
    /// The stored response is older than the request's `max-age` (RFC 9111 §5.2.1.1).
    RequestMaxAge = "request-max-age",
    /// It will not stay fresh for the request's `min-fresh` (RFC 9111 §5.2.1.3).
    RequestMinFresh = "request-min-fresh",
    /// The request says `no-store`: nothing of it or of its answer is kept (RFC 9111 §5.2.1.5).
    RequestNoStore = "request-no-store",
    /// The request says `only-if-cached`, and nothing stored will do: 504 (RFC 9111 §5.2.1.7).
    OnlyIfCached = "only-if-cached",
    /// `If-Match` or `If-Unmodified-Since`: for the origin alone to evaluate (RFC 9110 §13.2.2).
    OriginPrecondition = "origin-precondition",
    /// The request carries credentials that are not part of the key, and the response is not for shared caches (RFC 9111 §3.5).
    Authorization = "authorization",
    /// The request has cookies that are not part of the key, and the origin names no lifetime for its answer, so that it may be for one
    /// client only. `cookies`, `ignore_cookies` and `key.cookies` of the route say otherwise.
    Cookie = "cookie",
    /// The stored response was made invalid by a purge or by a write (RFC 9111 §4.4).
    Purged = "purged",

    /// The bypass parameter is set.
    BypassParameter = "bypass-parameter",
    /// The route says `cache = false`.
    RouteNotCached = "route-not-cached",
    /// The path has more than one reading, so the reading of its origin is not known.
    OddPath = "odd-path",
    /// The path matches another route, but a lenient origin may take it for one whose responses are kept apart: an identity's, or one that is
    /// not cached. `near_private = false` says that the origin is not lenient.
    NearPrivate = "near-private",
    /// The request has fields by which an origin may answer for another resource, or refuse, and of which the key knows nothing.
    UnkeyedField = "unkeyed-field",
    /// The answer gives back a value of the request that is part of neither the key nor the variant: others would get what this client sent (`guard`).
    Reflected = "reflected",
    /// The answer holds a claim of the client's own token, and would be stored for everyone (`guard`).
    NamesClient = "names-client",
    /// Clients with other credentials got other answers under this key, and each got its own again: it would be stored for everyone (`guard`).
    DiffersByClient = "differs-by-client",
    /// The path ends like that of a style sheet, a script or an image, and the answer is a page or data: perhaps one client's, who was led there
    /// (`guard`).
    MisleadingPath = "misleading-path",
    /// It would be answered from the store, and the route only compares that with the origin's answer (`mode = "shadow"` of `verify`).
    Shadow = "shadow",
    /// Answers of the route were found to depend on who asks, so that nothing of it is cached until a person has looked (`on_leak` of `verify`).
    LeakFound = "leak-found",
    /// The method has to reach the origin (RFC 9110 §9.2).
    Method = "method",
    /// A GET or HEAD with content: its meaning is the origin's to know (RFC 9110 §9.3.1).
    RequestBody = "request-body",
    /// The content of the request is to be part of the key, and cannot be: it is too long or too slow, of another kind, in a coding that
    /// cannot be undone, broken or ambiguous.
    BodyNotKeyed = "body-not-keyed",
    /// A request to a model that neither has a temperature of 0 nor a seed written out, so that it may want another answer each time.
    NotDeterministic = "not-deterministic",
    /// A request to a model whose answer depends on more than itself: on a conversation that the provider keeps, on tools that it runs, or it comes later.
    Stateful = "stateful",
    /// A mutation or a subscription of GraphQL, or a method of JSON-RPC without a lifetime: it has to reach the origin.
    Operation = "operation",
    /// The request shows nothing of what the route's answers are shared by.
    Unidentified = "unidentified",
    /// The key of the route has claims of verified bearer tokens (`[auth.jwt]`), and the request shows a token that was not verified or does not
    /// say them. The origin judges it.
    UnverifiedToken = "unverified-token",
    /// The connection is to change its protocol (RFC 9110 §7.8).
    Upgrade = "upgrade",
    /// The key is known for answers that cannot be shared, so requests do not wait for each other.
    HitForMiss = "hit-for-miss",
    /// Waiting for another request's fetch took too long.
    CollapseTimeout = "collapse-timeout",
    /// The range asked for is fetched alone.
    Range = "range",

    /// The stored response may have been purged by another replica, whose invalidations cannot be read now.
    Unvouched = "unvouched",

    /// The response was stored.
    Stored = "stored",
    /// The response says `no-store` (RFC 9111 §5.2.2.5).
    NoStore = "no-store",
    /// The response says `private` (RFC 9111 §5.2.2.7).
    Private = "private",
    /// The response sets a cookie and does not say that it is for shared caches (RFC 9111 §7.3).
    SetCookie = "set-cookie",
    /// `Vary: *` never matches (RFC 9111 §4.1); nor does one by a field that is written here, such as `X-Forwarded-For`.
    VaryStar = "vary-star",
    /// The status is not cacheable without an explicit lifetime (RFC 9110 §15.1).
    Status = "status",
    /// `must-understand` with a status whose caching rules this cache does not know (RFC 9111 §5.2.2.3).
    MustUnderstand = "must-understand",
    /// Neither the response nor the route gives a lifetime, and there is no validator: it could never be used again (RFC 9111 §3).
    NoLifetime = "no-lifetime",
    /// Its lifetime is over when it arrives (`max-age=0`, an `Expires` in the past, an `Age` above it, an origin that took longer to answer), and there is no validator (RFC 9111 §4.2).
    LifetimeZero = "lifetime-zero",
    /// A 206: never taken for the whole (RFC 9111 §3.4).
    PartialContent = "partial-content",
    /// A 304 to the client's own precondition: it is the client that has the response.
    NotModified = "not-modified",
    /// A 304 that selects nothing stored (RFC 9111 §4.3.4).
    ValidatorMismatch = "validator-mismatch",
    /// An answer to HEAD has no content to store.
    Head = "head",
    /// An answer that does not end, such as `text/event-stream`.
    Streaming = "streaming",
    /// Larger than the route keeps.
    TooLarge = "too-large",
    /// Its origin named more tags than are kept, so it could not be purged by all of them.
    TooManyTags = "too-many-tags",
    /// The origin answered sooner than `min_origin_time` of the route, so that there is little to save.
    QuickOrigin = "quick-origin",
    /// It was asked for less often than `min_hits` of the route, so that its place is better used by others.
    FewRequests = "few-requests",
    /// The tags that its body names cannot be read there, so it could not be purged by them.
    UnreadTags = "unread-tags",
    /// An answer in which its origin says that it failed, refused or did not finish: an error, a filter, an end that `finish` does not name.
    UnfitAnswer = "unfit-answer",
    /// It ended early or contradicted its length (RFC 9111 §3.3).
    IncompleteBody = "incomplete-body",
    /// The origin could not be reached, or failed midway.
    UpstreamError = "upstream-error",
}

impl std::fmt::Display for Reason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_a_word_of_its_own_that_is_a_structured_token() {
        let words: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
        for word in words {
            assert!(word.starts_with(|first: char| first.is_ascii_lowercase()), "{word}");
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'), "{word}");
        }
    }
}
