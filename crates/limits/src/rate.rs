//! A rate, and what a client has used of it.

use crate::{bucket, calendar, fixed_window, sliding_window};

/// How usage is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// A bucket of `burst` tokens that gets `max` new ones in the time `per`, evenly: the generic cell rate algorithm (ITU-T I.371).
    TokenBucket,
    /// `max` in a window of the length `per`, which begins with the first use after the last window.
    FixedWindow,
    /// `max` in the last `per`, where the uses of the window before count by the share of it that is still within `per` (as nginx's and
    /// Cloudflare's counters do: uses are taken to be spread evenly over a window).
    SlidingWindow,
    /// `max` in a window that begins at this time, in microseconds, and has the length `per`: a day, a month. All clients have the same one, and
    /// the caller says when the next begins.
    Calendar {
        /// When the running window began.
        begins: u64,
    },
}

/// `max` units in the time `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How usage is counted.
    pub algorithm: Algorithm,
    /// Units; at least 1.
    pub max: u64,
    /// Microseconds; at least 1.
    pub per: u64,
    /// Units that may be had at once: of a token bucket alone.
    pub burst: u64,
}

/// What one client has used. The default is a client that has used nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The time of `level` for a bucket; the beginning of the window otherwise.
    pub(crate) at: u64,
    /// Of a bucket: tokens that are missing, times `per`. Of a window: units.
    pub(crate) level: u128,
    /// Units in the window before, for a sliding window.
    pub(crate) previous: u64,
    /// Whether [`Rate::reaches`] has said so in this window.
    pub(crate) is_told: bool,
}

/// How a client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether the units may be had.
    pub allowed: bool,
    /// Units that are left now.
    pub remaining: u64,
    /// Microseconds until all units may be had again, if nothing more is used.
    pub reset: u64,
    /// Microseconds until what was refused may be had, if nothing more is used; 0 where it was allowed, the largest number where it never will be.
    pub retry_after: u64,
}

impl Rate {
    /// Units that may be had at once by a client that has used nothing.
    pub fn capacity(&self) -> u64 {
        match self.algorithm {
            Algorithm::TokenBucket => self.burst,
            Algorithm::FixedWindow | Algorithm::SlidingWindow | Algorithm::Calendar { .. } => self.max,
        }
    }

    /// Takes `units` if they may be had.
    pub fn take(&self, usage: &mut Usage, now: u64, units: u64) -> Standing {
        self.take_within(usage, now, units, 0)
    }

    /// Takes `units` if they may be had after so many microseconds at most; `retry_after` says after how many.
    pub fn take_within(&self, usage: &mut Usage, now: u64, units: u64, max_wait: u64) -> Standing {
        let standing = self.look(usage, now, units);
        if !standing.allowed && standing.retry_after > max_wait {
            return standing;
        }
        Standing { allowed: true, ..self.charge(usage, now, units) }
    }

    /// How a client stands that asks for `units`. Nothing is taken, but time passes: windows that are over end.
    pub fn look(&self, usage: &mut Usage, now: u64, units: u64) -> Standing {
        self.pass_time(usage, now);
        let standing = self.standing(usage, now, units);
        // More than there ever is.
        let is_never = units > self.capacity();
        Standing { retry_after: if is_never { u64::MAX } else { standing.retry_after }, ..standing }
    }

    /// Takes `units` whether they may be had or not, for what is known only afterwards: a client may owe more than there is. `allowed` and
    /// `retry_after` say whether they could have been had.
    pub fn charge(&self, usage: &mut Usage, now: u64, units: u64) -> Standing {
        let Standing { allowed, retry_after, .. } = self.look(usage, now, units);
        match self.algorithm {
            Algorithm::TokenBucket => bucket::add(self, usage, units),
            Algorithm::FixedWindow | Algorithm::SlidingWindow | Algorithm::Calendar { .. } => {
                usage.level = usage.level.saturating_add(u128::from(units));
            }
        }
        Standing { allowed, retry_after, ..self.standing(usage, now, 0) }
    }

    /// Gives `units` back that were taken.
    pub fn give_back(&self, usage: &mut Usage, units: u64) {
        match self.algorithm {
            Algorithm::TokenBucket => bucket::remove(self, usage, units),
            Algorithm::FixedWindow | Algorithm::SlidingWindow | Algorithm::Calendar { .. } => {
                usage.level = usage.level.saturating_sub(u128::from(units));
            }
        }
    }

    /// Units that a client has used and not got back yet.
    pub fn used(&self, usage: &mut Usage, now: u64) -> u64 {
        self.pass_time(usage, now);
        match self.algorithm {
            Algorithm::TokenBucket => bucket::used(self, usage),
            Algorithm::FixedWindow | Algorithm::Calendar { .. } => saturated(usage.level),
            Algorithm::SlidingWindow => sliding_window::used(self, usage, now),
        }
    }

    /// Takes over what others say that a client has used, and in how many microseconds all is there again.
    pub fn learn(&self, usage: &mut Usage, now: u64, used: u64, reset: u64) {
        self.pass_time(usage, now);
        usage.level = u128::from(used);
        match self.algorithm {
            // The time until all is there says more than whole tokens do.
            Algorithm::TokenBucket => usage.level = u128::from(reset).saturating_mul(u128::from(self.max)),
            Algorithm::FixedWindow => usage.at = now.saturating_sub(self.per.saturating_sub(reset)),
            Algorithm::SlidingWindow => (usage.at, usage.previous) = (now, 0),
            Algorithm::Calendar { .. } => {}
        }
    }

    /// Whether a client has used so many units, said once in each window of the calendar.
    pub fn reaches(&self, usage: &mut Usage, now: u64, units: u64) -> bool {
        let is_first = !usage.is_told && self.used(usage, now) >= units;
        usage.is_told |= is_first;
        is_first
    }

    /// Whether a client stands as one that has used nothing, so that it need not be remembered.
    pub fn is_unused(&self, usage: &mut Usage, now: u64) -> bool {
        self.pass_time(usage, now);
        usage.level == 0 && usage.previous == 0
    }

    fn pass_time(&self, usage: &mut Usage, now: u64) {
        // A clock that was set back must lock no client out until it has caught up: from here on time passes as it says.
        usage.at = usage.at.min(now);
        match self.algorithm {
            Algorithm::TokenBucket => bucket::pass_time(self, usage, now),
            Algorithm::FixedWindow => fixed_window::pass_time(self, usage, now),
            Algorithm::SlidingWindow => sliding_window::pass_time(self, usage, now),
            Algorithm::Calendar { begins } => calendar::pass_time(usage, begins, now),
        }
    }

    fn standing(&self, usage: &Usage, now: u64, units: u64) -> Standing {
        match self.algorithm {
            Algorithm::TokenBucket => bucket::standing(self, usage, units),
            Algorithm::FixedWindow => fixed_window::standing(self, usage, now, units),
            Algorithm::SlidingWindow => sliding_window::standing(self, usage, now, units),
            Algorithm::Calendar { begins } => calendar::standing(self, usage, begins, now, units),
        }
    }
}

/// A number as far as it can be told.
pub(crate) fn saturated(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
