//! Durations and sizes in human units.

use std::time::Duration;

use bytesize::ByteSize;
use jiff::fmt::friendly::{Spacing, SpanParser, SpanPrinter};

use crate::parse::mistake::Mistake;

const DURATION_FORMS: &str = "write a number and a unit: \"250ms\", \"30s\", \"5m\", \"1h30m\", \"0s\"";
const SIZE_FORMS: &str = "write a number and a unit: \"64KiB\", \"8MiB\", \"1GiB\" (powers of 1024) or \"8MB\" (powers of 1000)";

/// The maximum lifetime in HTTP: 2^31 seconds (RFC 9111 §1.2.2).
const MAX_SECONDS: u64 = 1 << 31;

/// `"250ms"`, `"5m"`, `"1h30m"`. Hours are the largest unit: a day is not always 24 of them.
pub(crate) fn duration(text: &str) -> Result<Duration, Mistake> {
    let wrong = |hint: String| Mistake::new(format!("`{text}` is not a duration")).hint(hint);
    if let Ok(number) = text.trim().parse::<u64>() {
        return Err(wrong(format!("write the unit: \"{number}s\" or \"{number}ms\"")));
    }
    match SpanParser::new().parse_unsigned_duration(text) {
        Ok(duration) if duration.as_secs() <= MAX_SECONDS => Ok(duration),
        Ok(_) => Err(Mistake::new(format!("`{text}` is too long")).hint("at most 2147483648s, about 68 years")),
        Err(_) => Err(wrong(days(text).unwrap_or_else(|| DURATION_FORMS.to_owned()))),
    }
}

/// A lifetime: whole seconds, as HTTP counts them.
pub(crate) fn seconds(text: &str) -> Result<u32, Mistake> {
    let duration = duration(text)?;
    if duration.subsec_nanos() != 0 {
        return Err(Mistake::new(format!("`{text}` is not a whole number of seconds"))
            .hint("lifetimes in HTTP are whole seconds: \"1s\", \"5m\", or \"0s\" for none"));
    }
    u32::try_from(duration.as_secs()).map_err(|_| Mistake::new(format!("`{text}` is too long")))
}

/// `text` in hours, if it is a plain number of days or weeks.
fn days(text: &str) -> Option<String> {
    let text = text.trim();
    let (number, hours) = text.strip_suffix('d').map(|days| (days, 24)).or_else(|| text.strip_suffix('w').map(|weeks| (weeks, 168)))?;
    let hours = number.trim().parse::<u64>().ok()?.checked_mul(hours)?;
    Some(format!("hours are the largest unit: \"{hours}h\""))
}

/// `"8MiB"`, `"256MB"`, `"512B"`.
pub(crate) fn bytes(text: &str) -> Result<u64, Mistake> {
    match text.trim().parse::<ByteSize>() {
        Ok(size) => Ok(size.as_u64()),
        Err(_) => Err(Mistake::new(format!("`{text}` is not a size")).hint(SIZE_FORMS)),
    }
}

/// `90s` as `1m30s`: a form that the configuration reads.
pub fn display_duration(duration: Duration) -> String {
    SpanPrinter::new().spacing(Spacing::None).unsigned_duration_to_string(&duration)
}

/// 8388608 as `8MiB`, rounded to one digit: a form that the configuration reads.
pub fn display_bytes(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string().replace(' ', "").replace(".0", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_human_units() {
        for (text, millis) in [("250ms", 250), ("0s", 0), ("5m", 300_000), ("1h30m", 5_400_000), ("1h 30m", 5_400_000), ("1.5s", 1_500)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn a_wrong_duration_gets_a_hint() {
        for text in ["", "five minutes", "5 parsecs", "-5s", "5s ago", "m"] {
            let mistake = duration(text).unwrap_err();
            assert_eq!(mistake.message, format!("`{text}` is not a duration"));
            assert_eq!(mistake.hint.as_deref(), Some(DURATION_FORMS), "{text}");
        }
        assert_eq!(duration("60").unwrap_err().hint.as_deref(), Some("write the unit: \"60s\" or \"60ms\""));
        assert_eq!(duration("2d").unwrap_err().hint.as_deref(), Some("hours are the largest unit: \"48h\""));
        assert_eq!(duration("999999999h").unwrap_err().message, "`999999999h` is too long");
    }

    #[test]
    fn rfc9111_1_2_2_lifetimes_are_whole_seconds() {
        assert_eq!(seconds("1h"), Ok(3600));
        assert_eq!(seconds("2147483648s"), Ok(1 << 31));
        assert_eq!(seconds("250ms").unwrap_err().message, "`250ms` is not a whole number of seconds");
    }

    #[test]
    fn sizes_in_powers_of_1024_and_of_1000() {
        for (text, size) in [("8MiB", 8 << 20), ("256MB", 256_000_000), ("1.5KiB", 1536), ("512B", 512), ("8 MiB", 8 << 20), ("42", 42)] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "much", "-1MiB", "8 mebi"] {
            assert_eq!(bytes(text).unwrap_err().hint.as_deref(), Some(SIZE_FORMS), "{text}");
        }
    }

    #[test]
    fn a_printed_value_can_be_read_again() {
        assert_eq!(display_duration(Duration::from_secs(90)), "1m30s");
        assert_eq!(duration(&display_duration(Duration::from_millis(5_400_250))), Ok(Duration::from_millis(5_400_250)));
        assert_eq!(display_bytes(8 << 20), "8MiB");
        assert_eq!(bytes(&display_bytes(256 << 20)), Ok(256 << 20));
    }
}
