//! Points in time as logs write them.

use larder_semantics::Timestamp;

const MONTHS: [&[u8]; 12] = [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Reads a time in any of the usual forms: `10/Oct/2000:13:55:36 -0700` with or without thousandths and offset, RFC 3339 and what is like it, seconds
/// since 1970 with or without a fraction, milliseconds, microseconds, nanoseconds. One without an offset is UTC.
pub(crate) fn read(text: &str) -> Option<Timestamp> {
    let bytes = text.trim().as_bytes();
    match bytes {
        [_, _, b'/', ..] => common(bytes),
        [_, _, _, _, b'-', ..] => iso(bytes),
        _ => since_1970(text.trim()),
    }
}

/// `10/Oct/2000:13:55:36.123 -0700`
fn common(bytes: &[u8]) -> Option<Timestamp> {
    let month = MONTHS.iter().position(|month| bytes.get(3..6) == Some(month))?;
    let (day, year) = (number(bytes.get(..2)?)?, number(bytes.get(7..11)?)?);
    (bytes.get(6) == Some(&b'/') && bytes.get(11) == Some(&b':')).then_some(())?;
    clock((year, month as u64 + 1, day), bytes.get(12..)?)
}

/// `2000-10-10T13:55:36.123-07:00`
fn iso(bytes: &[u8]) -> Option<Timestamp> {
    let (year, month, day) = (number(bytes.get(..4)?)?, number(bytes.get(5..7)?)?, number(bytes.get(8..10)?)?);
    (bytes.get(7) == Some(&b'-') && matches!(bytes.get(10), Some(b'T' | b't' | b' ' | b'\t'))).then_some(())?;
    clock((year, month, day), bytes.get(11..)?)
}

/// The time of day behind a date: `13:55:36`, a fraction, an offset.
fn clock((year, month, day): (u64, u64, u64), bytes: &[u8]) -> Option<Timestamp> {
    let (hour, minute, second) = (number(bytes.get(..2)?)?, number(bytes.get(3..5)?)?, number(bytes.get(6..8)?)?);
    let in_range = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    (in_range && hour < 24 && minute < 60 && second <= 60 && bytes[2] == b':' && bytes[5] == b':').then_some(())?;
    let (millis, rest) = fraction(&bytes[8..]);
    let offset = offset(rest)?;
    let seconds = days_since_1970(year, month, day) as i64 * 86_400 + (hour * 3600 + minute * 60 + second) as i64 - offset;
    Some(Timestamp::from_millis(u64::try_from(seconds).ok()? * 1000 + millis))
}

/// Thousandths behind a point or comma, and what follows.
fn fraction(bytes: &[u8]) -> (u64, &[u8]) {
    let [b'.' | b',', rest @ ..] = bytes else { return (0, bytes) };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let millis = (0..3).fold(0, |millis, place| millis * 10 + rest[..digits].get(place).map_or(0, |digit| u64::from(digit - b'0')));
    (millis, &rest[digits..])
}

/// Seconds east of Greenwich: `Z`, `+0200`, ` -07:00`, or nothing.
fn offset(bytes: &[u8]) -> Option<i64> {
    let bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
    let (sign, digits) = match bytes {
        [] | [b'Z' | b'z'] | b"UTC" | b"GMT" => return Some(0),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.len() {
        2 => (number(digits)?, 0),
        4 => (number(&digits[..2])?, number(&digits[2..])?),
        5 if digits[2] == b':' => (number(&digits[..2])?, number(&digits[3..])?),
        _ => return None,
    };
    Some(sign * (hours * 3600 + minutes * 60) as i64)
}

/// Seconds, or a smaller unit where the number is so large that seconds would be thousands of years ahead.
fn since_1970(text: &str) -> Option<Timestamp> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || whole.len() > 20 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = whole.parse().ok()?;
    Some(Timestamp::from_millis(match value {
        0..100_000_000_000 => value * 1000 + fraction(text.as_bytes().get(whole.len()..)?).0,
        100_000_000_000..100_000_000_000_000 => value,
        100_000_000_000_000..100_000_000_000_000_000 => value / 1000,
        _ => value / 1_000_000,
    }))
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0')))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar that is not before it. Years begin in March here, so that the leap day is the last.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    /// From March 1 of the year 0 to the first of January 1970.
    const BEFORE: u64 = 719_468;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - BEFORE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_instant_reads_the_same_in_every_form() {
        for text in [
            "10/Oct/2000:13:55:36 -0700",
            "10/Oct/2000:20:55:36",
            "10/Oct/2000:20:55:36.000",
            "2000-10-10T20:55:36Z",
            "2000-10-10T22:55:36+02:00",
            "2000-10-10 20:55:36",
            "2000-10-10\t20:55:36",
            "971211336",
            "971211336.000",
            "971211336000",
            "971211336000000",
            "971211336000000000",
        ] {
            assert_eq!(read(text), Some(Timestamp::from_millis(971_211_336_000)), "{text}");
        }
    }

    #[test]
    fn fractions_are_read_to_the_millisecond() {
        for text in ["971211336.1239", "2000-10-10T20:55:36.1239Z", "10/Oct/2000:13:55:36.123 -0700", "971211336123"] {
            assert_eq!(read(text), Some(Timestamp::from_millis(971_211_336_123)), "{text}");
        }
        assert_eq!(read("1700000000.5"), Some(Timestamp::from_millis(1_700_000_000_500)));
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for time in [0, 68_169_600, 951_782_399, 951_782_400, 951_868_800, 1_709_164_800, 4_107_542_400] {
            let text = Timestamp::from_secs(time).to_http_date();
            // `Thu, 01 Jan 1970 00:00:00 GMT`
            let text = text.to_str().unwrap();
            let clf = format!("{}/{}/{}:{} +0000", &text[5..7], &text[8..11], &text[12..16], &text[17..25]);
            assert_eq!(read(&clf), Some(Timestamp::from_secs(time)), "{clf}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in
            ["", "-", "now", "10/Oct/2000", "2000-13-10T20:55:36Z", "10/Okt/2000:13:55:36 -0700", "2000-10-10T20:55:36 CET", "12x", "1.x"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
