//! Larder as a tower layer: an HTTP response cache for shared use, with collapsed forwarding and streaming fills.
//!
//! This is the only place where a decision of `larder-semantics` meets I/O. A memory hit is answered in [`CacheService::serve`]
//! without an await; everything else walks through one `async fn`, top to bottom, in the module `fill`.

mod again;
mod at_hand;
mod body;
mod body_log;
mod cache;
mod caller;
pub mod clock;
mod collapse;
mod errand;
mod error;
mod exchange;
mod fill;
mod future;
mod invalidate;
mod layer;
mod live;
mod look_up;
mod members;
mod outcome;
mod partial;
mod pass;
mod pooled;
mod pressure;
mod remote;
mod request_body;
mod respond;
mod rules;
mod service;
mod told;
mod upstream;
mod write;

pub use again::Again;
pub use at_hand::AtHand;
pub use body::CacheBody;
pub use cache::{Cache, CacheStats};
pub use caller::Caller;
pub use error::{BodyError, BoxError, FetchError};
pub use future::{ResponseFuture, ServeFuture};
pub use invalidate::Invalidated;
pub use larder_store::{AppliedBy, Invalidation, InvalidationTarget, Published};
pub use layer::CacheLayer;
pub use members::Members;
pub use outcome::{CacheResult, Outcome, Served};
pub use pooled::Pooled;
pub use pressure::{Pressure, Waiting};
pub use remote::Remote;
pub use request_body::RequestBody;
pub use rules::{Cascade, MadeOld, MayBypass, NoTags, NoWrites, RouteRules, TagSource, ToldByBodies, WriteRules};
pub use service::CacheService;
pub use upstream::{ClientBody, Upstream};
