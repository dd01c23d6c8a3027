//! Everything that Larder measures, at one moment, as plain data.
//!
//! A figure that people or machines may ask for is a field here first; no figure exists only as text. [`crate::render`] turns a snapshot into
//! text, and `serde` turns it into JSON. Counters run from the start of the process; everything else is as it stands now.

mod alerts;
mod disk;
mod latency;
mod limits;
mod operation;
mod process;
mod redis;
mod route;
mod store;
mod tls;
mod tokens;
mod upstream;
mod verify;
mod warm;

use serde::Serialize;

pub use alerts::AlertsSnapshot;
pub use disk::{DirectorySnapshot, DiskLookups, DiskSnapshot, DiskWrites};
pub use latency::{Bucket, LatencySnapshot};
pub use limits::{ClientSpending, LimitSnapshot, SpendingSnapshot};
pub use operation::OperationSnapshot;
pub use process::{BuildSnapshot, ConfigSnapshot, ProcessSnapshot, SystemSnapshot, TraceSnapshot};
pub use redis::{LogSnapshot, RedisLookups, RedisServer, RedisSnapshot, RedisWrites};
pub use route::{Exemplar, GuardFindings, RequestCount, ResultLatency, RoutePlace, RouteSnapshot};
pub use store::{CollapsingSnapshot, Evictions, Folds, InvalidationSnapshot, PackingSnapshot, StoreSnapshot, TierSnapshot};
pub use tls::{AcmeDomain, AcmeSnapshot, CertificateSnapshot, RevocationSnapshot, TlsSnapshot};
pub use tokens::{KeyFetches, TokensSnapshot};
pub use upstream::{Breaker, ServerSnapshot, UpstreamSnapshot, UpstreamState};
pub use verify::VerifySnapshot;
pub use warm::WarmSnapshot;

/// All figures, by the part that they are measured on.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// Every route since the start, in order of first appearance. Those that a reload removed are here too.
    pub routes: Vec<RouteSnapshot>,
    /// Every upstream since the start, in order of first appearance. Those that a reload removed are here too.
    pub upstreams: Vec<UpstreamSnapshot>,
    /// The memory tier.
    pub store: StoreSnapshot,
    /// The tiers behind it, from the nearest to the farthest.
    pub tiers: Vec<TierSnapshot>,
    /// Fetches that several requests share.
    pub collapsing: CollapsingSnapshot,
    /// Answers whose content coding was changed since the start, by what was done; empty where no route keeps codings.
    pub recodings: Vec<LabelledCount>,
    /// Tokens of models' answers since the start; empty where there were none.
    pub usage: Vec<UsageSnapshot>,
    /// What they cost and save today and this month; empty where there were none.
    pub spending: Vec<SpendingSnapshot>,
    /// The ledger of invalidations.
    pub invalidation: InvalidationSnapshot,
    /// The tier on disk, where there is one.
    pub disk: Option<DiskSnapshot>,
    /// The tier in Redis, where there is one.
    pub redis: Option<RedisSnapshot>,
    /// TLS on the public listeners, where any of them speaks it.
    pub tls: Option<TlsSnapshot>,
    /// The build.
    pub build: BuildSnapshot,
    /// The running configuration.
    pub config: ConfigSnapshot,
    /// What needed a person.
    pub alerts: AlertsSnapshot,
    /// Jobs of `[[warm]]`.
    pub warm: Vec<WarmSnapshot>,
    /// Limits of clients; empty where there are none.
    pub limits: Vec<LimitSnapshot>,
    /// Bearer tokens, where they are verified.
    pub tokens: Option<TokensSnapshot>,
    /// Routes that are verified.
    pub verify: Vec<VerifySnapshot>,
    /// The process as a whole.
    pub process: ProcessSnapshot,
}

/// A count with the word that it is known by among its siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LabelledCount {
    /// The word.
    pub label: &'static str,
    /// How many.
    pub count: u64,
}

/// Tokens of the answers of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UsageSnapshot {
    /// The route.
    pub route: String,
    /// The model, as the provider names it.
    pub model: String,
    /// `spent`, or `saved` by a stored answer.
    pub outcome: &'static str,
    /// Tokens of requests.
    pub input: u64,
    /// Tokens of answers.
    pub output: u64,
    /// What they cost by `[prices]`, where the model has one.
    pub price: Option<f64>,
}
