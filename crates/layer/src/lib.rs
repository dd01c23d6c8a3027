#![doc = include_str!("../README.md")]

// The folders import each other one way, in this order from the bottom to the top:
//
// 1. `error`: what goes wrong between the cache and its inner service.
// 2. `task`: work beside a request.
// 3. `json`: members of bodies, as far as tags and invalidations are made of them.
// 4. `rules`: the settings of a route.
// 5. `body`: bodies at rest and on their way.
// 6. `lookup`: the look-up of a request, and the plan that follows.
// 7. `tiers`: the tiers behind the memory.
// 8. `collapse`: who fetches and who waits, and the answer that both get.
// 9. `fetch`: the fetch itself.
// 10. `write`: requests that pass by the look-up, and the invalidations of writes.
//
// `dry_run` walks the same way for people who ask, and changes nothing. `origin_only` fills the cache and answers nothing from it.
//
// A memory hit is answered in `CacheService::serve` without an await; everything else takes the walk of the folder `fetch`.

mod body;
mod cache;
pub mod clock;
mod collapse;
mod dry_run;
mod effective_target;
mod error;
mod fetch;
mod future;
mod json;
mod layer;
mod lookup;
mod origin_only;
mod outcome;
mod respond;
mod rules;
mod service;
mod steps;
mod task;
mod tiers;
mod upstream;
mod write;

pub use body::CacheBody;
pub use body::request::{ClientBody, RequestBody};
pub use cache::{AskedAgain, Cache, CacheBuilder, CacheStats};
pub use dry_run::{DryRun, TierLook, TriedOut, Verdict};
pub use effective_target::EffectiveTarget;
pub use error::{BodyError, BoxError, FailedElsewhere, FetchError, FetchErrorKind};
pub use future::{ResponseFuture, ServeFuture};
#[cfg(feature = "json")]
pub use json::JsonFields;
pub use larder_semantics as semantics;
pub use larder_semantics::{
    ClientDirectives, ClientTtl, ForwardReason, IdentityPart, KeyRules, PathCase, Policy, PrimaryKey, QueryRules, Reason, Scope, Target,
    Timestamp, TokenVerifier, TtlMode, UnsafeIgnore, VerifiedClaims,
};
pub use larder_store as store;
pub use larder_store::{
    AppliedBy, Invalidation, InvalidationTarget, LedgerStats, MemoryStats, PackingStats, Position, Published, RemoteError,
};
pub use layer::CacheLayer;
pub use lookup::plain::{Plain, Planned};
pub use lookup::request::ForTheStore;
pub use lookup::stored_answer::StoredAnswer;
pub use outcome::{CacheResult, Outcome, Served};
pub use respond::RangeOfCoded;
#[cfg(feature = "json")]
pub use rules::BodyInvalidation;
pub use rules::{
    BypassRate, CACHE_NAMESPACE, CACHE_TTL, Cascade, ContentDecoder, Finding, GuardObserver, HeaderTags, Invalidates, MayBypass, NoTags,
    NoWrites, Operations, Refetch, RouteRules, RouteRulesBuilder, TagSource, WriteRules,
};
pub use service::CacheService;
pub use steps::{ObservedSteps, SpanLink, Step, StepObserver};
pub use task::pooled::Pooled;
pub use task::pressure::{Pressure, Waiting};
pub use tiers::chain::{TierStats, Tiers};
pub use upstream::{HeldBack, InBackground, SentBefore, Upstream, WholeBody};
pub use write::invalidate::Invalidated;
pub use write::several::DryPart;
