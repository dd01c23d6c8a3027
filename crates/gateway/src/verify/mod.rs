//! `verify`: is what is served what the origin would say?
//!
//! 1. [`RouteVerify::draws`]: whether a hit is one of the sample. That is all that a hit pays.
//! 2. `check`: the origin is asked in the background, while its upstream has places to spare, and its answer compared with what is stored. Where they
//!    differ, it is asked once more: what differs between two answers of its own is noise (`noise`).
//! 3. Where they differ still, and the request has credentials, it is asked without them: an answer that depends on who asks must not be
//!    shared. The last answers that clients got for a key tell so, too ([`AnswersByClient`](larder_semantics::guard::AnswersByClient)).
//! 4. [`state`]: what was found, by route. It outlives a reload.
//!
//! In shadow mode the client's own answer is what is compared ([`Shadow`]): what would be served from memory, from a tier behind it or by another request's
//! fetch goes to the origin instead, and whatever else is fetched is answered by the origin alone (`CacheService::by_origin_only`).

mod answer;
mod check;
mod kept;
mod noise;
mod report;
mod route;
mod shadow;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use check::Sampled;
#[cfg(test)]
pub(crate) use report::Example;
pub(crate) use report::{VerifyReport, merged};
pub(crate) use route::RouteVerify;
pub(crate) use shadow::Shadow;
