//! HTTP caching as pure functions: RFC 9111, RFC 9110, RFC 9211, RFC 9213, RFC 5861 and RFC 8246.
//!
//! Nothing here reads a clock, does I/O or fails. A caller hands in what it saw and when, and gets plain data back: a
//! [`Decision`] about a request, or a [`Disposition`] about a response, each with the [`Reason`] for it.

pub mod cache_status;
pub mod decide;
pub mod directives;
pub mod disposition;
pub mod fields;
pub mod head;
pub mod invalidation;
pub mod key;
pub mod policy;
pub mod precondition;
pub mod reason;
pub mod request;
pub mod time;
pub mod validation;
pub mod vary;

pub use cache_status::{CacheStatus, ForwardReason};
pub use decide::{Decision, decide, serve_on_error};
pub use disposition::{Disposition, Exchange, on_response};
pub use head::{FreshnessLifetime, LifetimeSource, StoredHead, Validators};
pub use key::{KeyBuffer, KeyRules, PrimaryKey, QueryRules, Target};
pub use policy::{ClientDirectives, Policy, Scope, TtlMode, UnsafeIgnore};
pub use reason::Reason;
pub use request::{MethodKind, RequestContext};
pub use time::Timestamp;
pub use vary::{SecondaryKey, VarySpec};
