//! Figures as people read them: short, and with their unit.

use std::time::Duration;

use crate::config::display_duration;

/// `97.3 %`, or a dash where there is nothing to compare.
pub(crate) fn percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{:.1} %", ratio * 100.0))
}

/// Seconds in the unit that suits them; a dash for none.
pub(crate) fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(0.0) => "0 s".to_owned(),
        Some(seconds) if seconds < 0.001 => format!("{:.0} µs", seconds * 1e6),
        Some(seconds) if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        Some(seconds) if seconds < 60.0 => format!("{seconds:.1} s"),
        Some(seconds) => display_duration(Duration::from_secs(seconds.round() as u64)),
    }
}

/// `12.3`, `1.2 k`, `3.4 M`.
pub(crate) fn short(number: f64) -> String {
    match number {
        number if number >= 1e6 => format!("{:.1} M", number / 1e6),
        number if number >= 1e4 => format!("{:.1} k", number / 1e3),
        number if number >= 100.0 || number.fract() == 0.0 => format!("{number:.0}"),
        number => format!("{number:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_say_their_unit() {
        let times = [None, Some(0.0), Some(0.000_042), Some(0.0123), Some(2.5), Some(90.0)].map(time);
        assert_eq!(times, ["–", "0 s", "42 µs", "12.3 ms", "2.5 s", "1m30s"]);
        assert_eq!([0.0, 0.25, 7.0, 123.4, 12_345.0, 2_500_000.0].map(short), ["0", "0.2", "7", "123", "12.3 k", "2.5 M"]);
        assert_eq!((percent(Some(0.973)), percent(None)), ("97.3 %".to_owned(), "–".to_owned()));
    }
}
