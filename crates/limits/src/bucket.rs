//! The token bucket, by the tokens that are missing in it.
//!
//! `level` is the number of missing tokens times `per`. A token adds `per` to it and a microsecond takes `max` off, so no division rounds
//! anything: the bucket is exact for every rate.

use crate::rate::{Rate, Standing, Usage, saturated};

/// The level of an empty bucket.
fn empty(rate: &Rate) -> u128 {
    u128::from(rate.burst) * u128::from(rate.per)
}

pub(crate) fn pass_time(rate: &Rate, usage: &mut Usage, now: u64) {
    let refilled = u128::from(now - usage.at).saturating_mul(u128::from(rate.max));
    usage.level = usage.level.saturating_sub(refilled);
    usage.at = now;
}

pub(crate) fn add(rate: &Rate, usage: &mut Usage, units: u64) {
    usage.level = usage.level.saturating_add(u128::from(units) * u128::from(rate.per));
}

pub(crate) fn remove(rate: &Rate, usage: &mut Usage, units: u64) {
    usage.level = usage.level.saturating_sub(u128::from(units) * u128::from(rate.per));
}

pub(crate) fn used(rate: &Rate, usage: &Usage) -> u64 {
    saturated(usage.level.div_ceil(u128::from(rate.per)))
}

pub(crate) fn standing(rate: &Rate, usage: &Usage, units: u64) -> Standing {
    let (empty, max) = (empty(rate), u128::from(rate.max));
    let wanted = usage.level.saturating_add(u128::from(units) * u128::from(rate.per));
    Standing {
        allowed: wanted <= empty,
        remaining: saturated(empty.saturating_sub(usage.level) / u128::from(rate.per)),
        reset: saturated(usage.level.div_ceil(max)),
        retry_after: saturated(wanted.saturating_sub(empty).div_ceil(max)),
    }
}
