//! HTTP caching as pure functions: RFC 9111, RFC 9110, RFC 9211, RFC 9213, RFC 9875, RFC 5861 and RFC 8246.
//!
//! Nothing here reads a clock, does I/O or fails. A caller hands in what it saw and when, and gets plain data back: a
//! [`Decision`] about a request, or a [`Disposition`] about a response, each with the [`Reason`] for it.
//!
//! The walk of a request, and where its rules stand:
//!
//! 1. [`KeyRules::derive`] makes the primary key (RFC 9111 §2), [`VarySpec::secondary_key`] the secondary one (§4.1).
//! 2. [`RequestContext::new`] reads the request once ([`directives`], §5.2.1).
//! 3. [`decide()`] says what a stored response is good for (§4): fresh ([`reuse::freshness`], [`reuse::age`], §4.2), stale ([`reuse::stale`], §4.2.4), to be
//!    validated, or nothing.
//! 4. [`range::answer_ranged`] says how it answers the client's own preconditions ([`precondition`], §4.3.2) and ranges ([`range`]).
//! 5. Otherwise [`validation::upstream_fields`] makes the request that goes up (§4.3.1), and
//! 6. [`on_response`] says what its answer does: stored ([`storage`], §3), freshening a stored one (§4.3.4), or passed on.
//! 7. [`reuse::told`] says what an answer tells its recipients of lifetimes, and
//! 8. [`invalidation::invalidated`] says what a write makes invalid (§4.4), and [`groups`] what its answer names together (RFC 9875).

pub mod cache_status;
pub mod coding;
pub mod content;
mod digits;
pub mod directives;
pub mod groups;
pub mod guard;
pub mod head;
pub mod invalidation;
pub mod key;
pub mod pattern;
pub mod policy;
pub mod precondition;
pub mod range;
pub mod reason;
pub mod request;
pub mod reuse;
mod status;
pub mod storing;
pub mod time;
mod uri;
pub mod validation;
pub mod vary;

pub use cache_status::{CacheStatus, ForwardReason};
pub use coding::Coding;
pub use groups::CacheGroup;
pub use guard::GuardMode;
pub use head::{FreshnessLifetime, HeadFlags, LifetimeSource, Line, OriginControl, Shape, StoredFields, StoredHead, entity_tag, fields};
pub use key::{
    CookieFate, CookieRules, IdentityPart, KeyBuffer, KeyParts, KeyRules, PathCase, PrimaryKey, QueryRules, Target, TokenVerifier,
    VerifiedClaims, strip_cookies,
};
pub use pattern::matches_pattern;
pub use policy::{
    CdnTtl, ClientDirectives, ClientTtl, CookiePolicy, EtagSource, Policy, Replay, Scope, StatusTtls, Statuses, TtlMode, UnsafeIgnore,
};
pub use precondition::Precondition;
pub use range::Answer;
pub use reason::Reason;
pub use request::{MethodKind, RequestContext};
pub use reuse::decide::{Decision, decide, decide_soft_purged, serve_on_error, serve_on_limit};
pub use storing::disposition::{Disposition, Exchange, Freshened, on_response};
pub use storing::{HeadUpdate, Withheld, head_update, may_steer, on_write_response, storage, worth_storing};
pub use time::Timestamp;
pub use vary::{SecondaryKey, VarySpec};
