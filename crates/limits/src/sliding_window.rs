//! The last `per` microseconds, seen through two windows: the one that runs, and the one before, which counts by the share of it that is still
//! within `per`.

use crate::rate::{Rate, Standing, Usage, saturated};

pub(crate) fn pass_time(rate: &Rate, usage: &mut Usage, now: u64) {
    let windows = (now - usage.at) / rate.per;
    match windows {
        0 => {}
        1 => *usage = Usage { at: usage.at + rate.per, previous: saturated(usage.level), ..Usage::default() },
        _ => *usage = Usage { at: now, ..Usage::default() },
    }
    if usage.level == 0 && usage.previous == 0 {
        usage.at = now;
    }
}

/// What counts now, times `per`.
fn weight(rate: &Rate, usage: &Usage, now: u64) -> u128 {
    let left = rate.per - (now - usage.at);
    u128::from(usage.previous) * u128::from(left) + usage.level.saturating_mul(u128::from(rate.per))
}

pub(crate) fn used(rate: &Rate, usage: &Usage, now: u64) -> u64 {
    saturated(weight(rate, usage, now).div_ceil(u128::from(rate.per)))
}

pub(crate) fn standing(rate: &Rate, usage: &Usage, now: u64, units: u64) -> Standing {
    let per = u128::from(rate.per);
    let (most, weight) = (u128::from(rate.max) * per, weight(rate, usage, now));
    let allowed = weight.saturating_add(u128::from(units) * per) <= most;
    let into = now - usage.at;
    Standing {
        allowed,
        remaining: saturated(most.saturating_sub(weight) / per),
        reset: match (usage.level, usage.previous) {
            (0, 0) => 0,
            (0, _) => rate.per - into,
            _ => 2 * rate.per - into,
        },
        retry_after: if allowed { 0 } else { retry_after(rate, usage, into, units) },
    }
}

/// Microseconds until `units` fit in, from a time that is `into` the window.
fn retry_after(rate: &Rate, usage: &Usage, into: u64, units: u64) -> u64 {
    let left = rate.per - into;
    // Within this window the one before fades.
    if let Some(room) = u128::from(rate.max).checked_sub(usage.level.saturating_add(u128::from(units)))
        && let Some(wait) = fades_within(rate, usage.previous, room, into)
    {
        return wait;
    }
    // In the next one this one fades.
    let room = u128::from(rate.max).checked_sub(u128::from(units));
    match room.and_then(|room| fades_within(rate, saturated(usage.level), room, 0)) {
        Some(wait) => left + wait,
        None => left + rate.per,
    }
}

/// Microseconds until a window before, of so many units, counts for no more than `room`, where that is before the running window ends.
fn fades_within(rate: &Rate, previous: u64, room: u128, into: u64) -> Option<u64> {
    let per = u128::from(rate.per);
    if previous == 0 {
        return Some(0);
    }
    // `previous * (per - elapsed) <= room * per`
    let counted = (room * per / u128::from(previous)).min(per);
    let elapsed = saturated(per - counted);
    (elapsed < rate.per).then(|| elapsed.saturating_sub(into))
}
