//! The settings of one route, and what a service tells the cache about its own data: tags, and the invalidations of writes.

mod builder;
mod bypass;
mod bypass_rate;
mod content;
mod groups;
mod guard;
mod header_tags;
mod route;
mod tags;
mod tier_choice;
mod writes;

pub use builder::{CACHE_NAMESPACE, CACHE_TTL, RouteRulesBuilder};
pub use bypass::MayBypass;
pub use bypass_rate::BypassRate;
pub(crate) use bypass_rate::Bypasses;
pub use content::{ContentDecoder, Operations};
pub(crate) use groups::{group_tags, group_target};
pub use guard::{Finding, GuardObserver};
pub(crate) use guard::{Glimpse, Guarded};
pub use header_tags::HeaderTags;
pub(crate) use route::MAX_OBJECT;
pub use route::RouteRules;
pub(crate) use tags::TagsInBody;
pub use tags::{NoTags, TagSource};
pub(crate) use tier_choice::TierChoice;
#[cfg(feature = "json")]
pub use writes::BodyInvalidation;
pub use writes::{Cascade, Invalidates, NoWrites, Refetch, WriteRules};
