//! `larder test`: the tests that a configuration brings with it, run without network and without waiting.
//!
//! 1. [`files`]: the tests of the configuration, and of the files beside it.
//! 2. `stage`: for each test a gateway of its own, in memory: routes, cache and limits as they are served, a clock that stands still ([`Clock::manual`]),
//!    and an origin that answers as the steps say (`origin`).
//! 3. `step`: one step on the way of a request, and what came of it.
//! 4. `compare`: the differences from what was expected.
//! 5. `report`, `junit`: the outcome as data, for people and for CI.
//!
//! [`Clock::manual`]: larder_tower::clock::Clock::manual

mod compare;
mod coverage;
mod files;
mod junit;
mod origin;
mod purges;
mod report;
mod run;
mod stage;
mod step;

pub(crate) use coverage::untested;
pub(crate) use files::{beside, load};
pub(crate) use junit::junit;
pub(crate) use report::{TestReport, TestsReport};
pub(crate) use run::run;
pub(crate) use stage::{settle, without_network};
