//! Larder as a tower layer: an HTTP response cache for shared use, with collapsed forwarding and streaming fills.
//!
//! This is the only place where a decision of `larder-semantics` meets I/O. A memory hit is answered in [`CacheService::serve`]
//! without an await; everything else takes the walk of the module `fetch`.
//!
//! The folders import each other one way, in this order from the bottom to the top:
//!
//! 1. `task`: work beside a request.
//! 2. `body`: bodies at rest and on their way.
//! 3. `lookup`: the look-up of a request, and the plan that follows.
//! 4. `tiers`: the tiers behind the memory.
//! 5. `collapse`: who fetches and who waits, and the answer that both get.
//! 6. `fetch`: the fetch itself.
//! 7. `write`: requests that pass by the look-up, and the invalidations of writes.

mod body;
mod cache;
mod caller;
pub mod clock;
mod collapse;
mod error;
mod fetch;
mod future;
mod layer;
mod lookup;
mod outcome;
mod respond;
mod rules;
mod service;
mod task;
mod tiers;
mod upstream;
mod write;

pub use body::CacheBody;
pub use body::request::RequestBody;
pub use cache::{Cache, CacheStats};
pub use caller::Caller;
pub use error::{BodyError, BoxError, FetchError};
pub use future::{ResponseFuture, ServeFuture};
pub use larder_store::{AppliedBy, Invalidation, InvalidationTarget, Published};
pub use layer::CacheLayer;
pub use lookup::stored_answer::StoredAnswer;
pub use outcome::{CacheResult, Outcome, Served};
pub use rules::{BodyInvalidation, Cascade, Invalidates, MayBypass, NoTags, NoWrites, RouteRules, TagSource, WriteRules};
pub use service::CacheService;
pub use task::pooled::Pooled;
pub use task::pressure::{Pressure, Waiting};
pub use tiers::chain::{TierStats, Tiers};
pub use upstream::{ClientBody, Upstream};
pub use write::invalidate::Invalidated;
pub use write::json_fields::JsonFields;
pub use write::refetch::Refetch;
