//! A window that begins with the first use after the last one.

use crate::rate::{Rate, Standing, Usage, saturated};

pub(crate) fn pass_time(rate: &Rate, usage: &mut Usage, now: u64) {
    if usage.level == 0 || now - usage.at >= rate.per {
        *usage = Usage { at: now, ..Usage::default() };
    }
}

pub(crate) fn standing(rate: &Rate, usage: &Usage, now: u64, units: u64) -> Standing {
    let max = u128::from(rate.max);
    let allowed = usage.level.saturating_add(u128::from(units)) <= max;
    let reset = if usage.level == 0 { 0 } else { usage.at + rate.per - now };
    Standing { allowed, remaining: saturated(max.saturating_sub(usage.level)), reset, retry_after: if allowed { 0 } else { reset } }
}
