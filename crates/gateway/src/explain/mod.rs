//! Explanations: why a request is answered as it is, in the words of the decision itself.
//!
//! A dry run takes the way of a request: [`crate::proxy::way`], then [`CacheService::dry_run`](larder_tower::CacheService::dry_run), which decide
//! about real ones too. Nothing here decides; what is here turns decisions into [`Explanation`]s.
//!
//! 1. `asked`: the request that somebody asks about, checked.
//! 2. `run`: the dry run.
//! 3. `routes`, `keys`, `stored`, `fetched`: its parts as data.

mod fetched;
mod happened;
mod keys;
mod report;
mod request;
mod routes;
mod run;
mod stored;

pub(crate) use happened::explain_happened;
pub(crate) use keys::key_report;
#[cfg(test)]
pub(crate) use report::FieldReport;
pub(crate) use report::{Decision, Explanation, FetchReport, Happened, KeyReport, PartReport, RouteReport, StoredReport, Verdict};
pub(crate) use request::{ExplainRequest, Subject, question};
pub(crate) use routes::route_report;
pub(crate) use run::explain;
pub(crate) use stored::stored_report;
