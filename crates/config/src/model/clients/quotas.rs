//! `[[quotas]]`: how much each client may have in an hour, a day or a month of the calendar. Each of a quota's limits is a [`RateLimit`](super::RateLimit) of
//! its own, with what the calendar and the money add to it.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::model::Price;

/// The part of a quota in one of its limits.
#[derive(Clone, Debug, PartialEq)]
pub struct QuotaPart {
    /// The quota's name.
    pub quota: Arc<str>,
    /// The windows.
    pub period: Period,
    /// Where they begin at midnight.
    pub zone: TimeZone,
    /// What tokens of models cost that have no price in `[prices]`.
    pub price: Option<Price>,
    /// Units after which people are warned; `None`: never.
    pub warn_at: Option<u64>,
}

/// A window of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// From a full hour to the next.
    Hour,
    /// From midnight to midnight: 23 or 25 hours where clocks are changed.
    Day,
    /// From the first to the first.
    Month,
}

/// A running window, in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeriodWindow {
    /// When it began.
    pub begins: u64,
    /// How long it is.
    pub length: u64,
}

const MICROS: i64 = 1_000_000;
const HOUR: i64 = 3600;

impl Period {
    /// All of them, with their words.
    pub const ALL: [(&'static str, Self); 3] = [("hour", Self::Hour), ("day", Self::Day), ("month", Self::Month)];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, period)| *period == self).map_or("", |(word, _)| word)
    }

    /// How long it mostly is.
    pub fn usual_length(self) -> Duration {
        Duration::from_secs(match self {
            Self::Hour => 3600,
            Self::Day => 86_400,
            Self::Month => 30 * 86_400,
        })
    }

    /// The window at a time in seconds since 1970.
    pub fn window(self, zone: &TimeZone, now: u64) -> PeriodWindow {
        // Far enough from the largest number to be reckoned with.
        let now = i64::try_from(now).unwrap_or(i64::MAX).min(i64::MAX / MICROS / 2);
        let (begins, ends) = self.bounds(zone, now).unwrap_or_else(|| {
            // Beyond the year 9999 the calendar ends.
            let length = i64::try_from(self.usual_length().as_secs()).unwrap_or(HOUR);
            (now - now.rem_euclid(length), now - now.rem_euclid(length) + length)
        });
        let micros = |seconds: i64| u64::try_from(seconds.saturating_mul(MICROS)).unwrap_or_default();
        PeriodWindow { begins: micros(begins), length: micros(ends - begins.max(0)) }
    }

    /// The beginning and the end, in seconds.
    fn bounds(self, zone: &TimeZone, now: i64) -> Option<(i64, i64)> {
        let here = Timestamp::from_second(now).ok()?.to_zoned(zone.clone());
        let (begins, ends) = match self {
            Self::Hour => {
                // Whole hours of the clock on the wall, whose offset may have half ones.
                let begins = now - (now + i64::from(here.offset().seconds())).rem_euclid(HOUR);
                return Some((begins, begins + HOUR));
            }
            Self::Day => (here.start_of_day().ok()?, here.tomorrow().ok()?.start_of_day().ok()?),
            Self::Month => {
                let first = here.first_of_month().ok()?;
                (first.start_of_day().ok()?, first.checked_add(1.month()).ok()?.start_of_day().ok()?)
            }
        };
        Some((begins.timestamp().as_second(), ends.timestamp().as_second()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The window at a time, as its beginning and the hours that it has.
    fn window(period: Period, zone: &str, now: &str) -> (String, f64) {
        let zone = TimeZone::get(zone).expect("a time zone");
        let now: Timestamp = now.parse().expect("a time");
        let seconds = u64::try_from(now.as_second()).expect("after 1970");
        let window = period.window(&zone, seconds);
        let begins = Timestamp::from_second(i64::try_from(window.begins / 1_000_000).expect("a time")).expect("a time");
        assert!(window.begins <= seconds * 1_000_000 && seconds * 1_000_000 < window.begins + window.length, "{window:?}");
        (begins.to_string(), window.length as f64 / 3.6e9)
    }

    #[test]
    fn a_day_has_the_hours_that_it_has_where_clocks_are_changed() {
        for (now, begins, hours) in [
            ("2026-03-28T12:00:00Z", "2026-03-27T23:00:00Z", 24.0),
            ("2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", 23.0),
            ("2026-10-24T22:00:00Z", "2026-10-24T22:00:00Z", 25.0),
            ("2026-10-25T22:59:59Z", "2026-10-24T22:00:00Z", 25.0),
            ("2026-10-25T23:00:00Z", "2026-10-25T23:00:00Z", 24.0),
        ] {
            assert_eq!(window(Period::Day, "Europe/Berlin", now), (begins.to_owned(), hours), "{now}");
        }
        // Midnight itself is left out there.
        assert_eq!(window(Period::Day, "Africa/Cairo", "2026-04-24T12:00:00Z"), ("2026-04-23T22:00:00Z".to_owned(), 23.0));
    }

    #[test]
    fn a_month_has_the_days_that_it_has() {
        for (zone, now, begins, hours) in [
            ("UTC", "2026-02-28T23:59:59Z", "2026-02-01T00:00:00Z", 28.0 * 24.0),
            ("UTC", "2028-02-29T00:00:00Z", "2028-02-01T00:00:00Z", 29.0 * 24.0),
            ("UTC", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", 31.0 * 24.0),
            ("America/New_York", "2026-03-31T23:00:00Z", "2026-03-01T05:00:00Z", 31.0 * 24.0 - 1.0),
            ("Asia/Tokyo", "2026-01-31T15:00:00Z", "2026-01-31T15:00:00Z", 28.0 * 24.0),
        ] {
            assert_eq!(window(Period::Month, zone, now), (begins.to_owned(), hours), "{now} in {zone}");
        }
    }

    #[test]
    fn an_hour_is_one_of_the_clock_on_the_wall() {
        assert_eq!(window(Period::Hour, "UTC", "2026-05-05T13:59:59Z"), ("2026-05-05T13:00:00Z".to_owned(), 1.0));
        assert_eq!(window(Period::Hour, "Asia/Kolkata", "2026-05-05T13:59:59Z"), ("2026-05-05T13:30:00Z".to_owned(), 1.0));
    }

    #[test]
    fn no_time_has_no_window() {
        for period in [Period::Hour, Period::Day, Period::Month] {
            for now in [0, 1, u64::MAX / 1_000_000, u64::MAX] {
                assert!(period.window(&TimeZone::UTC, now).length > 0, "{period:?} at {now}");
            }
        }
    }
}
