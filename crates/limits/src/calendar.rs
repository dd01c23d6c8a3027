//! A window of the calendar: it begins and ends for all clients at the same time, whenever they came.
//!
//! Its beginning and its length are the caller's to know, since days of 23 hours and months of 31 days depend on a time zone.

use crate::rate::{Rate, Standing, Usage, saturated};

pub(crate) fn pass_time(usage: &mut Usage, begins: u64, now: u64) {
    // A clock that was set back to a window before keeps what was used: nobody gets the same day twice.
    if usage.at < begins && begins <= now {
        *usage = Usage { at: now, ..Usage::default() };
    }
    usage.at = now;
}

pub(crate) fn standing(rate: &Rate, usage: &Usage, begins: u64, now: u64, units: u64) -> Standing {
    let max = u128::from(rate.max);
    let allowed = usage.level.saturating_add(u128::from(units)) <= max;
    let reset = if usage.level == 0 { 0 } else { begins.saturating_add(rate.per).saturating_sub(now) };
    // A window whose end the caller has not noticed yet is as good as over.
    let retry_after = if allowed { 0 } else { reset.max(1) };
    Standing { allowed, remaining: saturated(max.saturating_sub(usage.level)), reset, retry_after }
}
