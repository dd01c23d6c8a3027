//! Alerts: what needs a person, told where people look.
//!
//! ```text
//! the snapshot, every few seconds --> conditions (begins, ends) --+
//! clients near the end of a quota (quotas) ------------------------+
//! a reload that was refused --------------------------------------+--> Alerts: the last ones, counted --> delivery: webhook, Redis channel (a queue each)
//! ```
//!
//! A condition is told when it begins and when it ends, and not in between. No request waits for any of it.

mod alert;
mod breakers;
mod conditions;
mod delivery;
mod hit_ratio;
mod keys;
mod limits;
mod quotas;
mod replicas;
mod ring;
mod webhook;

pub(crate) use alert::{Alert, State};
pub(crate) use conditions::{Conditions, Reading};
pub(crate) use delivery::deliver;
pub(crate) use quotas::QuotaWarnings;
pub(crate) use ring::{Alerts, Raised, Waiting};
