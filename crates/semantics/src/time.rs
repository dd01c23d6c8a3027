//! Instants as the caller saw them.

use http::HeaderValue;

/// Milliseconds since the Unix epoch. The caller decides what "now" is, which makes simulation and exact tests possible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// From whole seconds since the Unix epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, as far as 32 bits go (the year 2106).
    pub fn as_secs(self) -> u32 {
        u32::try_from(self.0 / 1_000).unwrap_or(u32::MAX)
    }

    /// So much later.
    #[must_use]
    pub fn after(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Whole seconds from `earlier` to `self`; 0 when `earlier` is later. Capped at 2^31 (RFC 9111 §1.2.2).
    pub fn seconds_since(self, earlier: Timestamp) -> u32 {
        let secs = self.0.saturating_sub(earlier.0) / 1000;
        u32::try_from(secs).unwrap_or(u32::MAX).min(1 << 31)
    }

    /// An HTTP-date in any of its three forms (RFC 9110 §5.6.7), read at the time `now`. Letters in any case: "a cache recipient SHOULD match
    /// the field value case-insensitively" (RFC 9111 §4.2). The weekday need not be the date's: "recipients of timestamp values are encouraged
    /// to be robust". `None` for any other zone than GMT, and for dates before 1970.
    pub fn parse_http_date(value: &[u8], now: Timestamp) -> Option<Self> {
        if let Some(seconds) = fixdate(value) {
            return Some(Self::from_secs(seconds));
        }
        let mut text = [0_u8; MAX_DATE_LENGTH];
        let text = text.get_mut(..value.len())?;
        text.copy_from_slice(value);
        capitalize(text);
        let mut in_full;
        // Only the form of RFC 850 has hyphens.
        let text = if text.contains(&b'-') {
            in_full = with_four_digit_year(text, now)?;
            &mut in_full
        } else {
            text
        };
        let time = read_on_any_weekday(text)?;
        let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Self::from_secs(since.as_secs()))
    }

    /// The IMF-fixdate form (RFC 9110 §5.6.7), for `Date`. A time behind the year 9999 comes out as its end.
    pub fn to_http_date(self) -> HeaderValue {
        let seconds = (self.0 / 1000).min(END_OF_9999);
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        HeaderValue::from_str(&httpdate::fmt_http_date(time)).unwrap_or(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
    }
}

/// The library reads a date with its own weekday only.
fn read_on_any_weekday(text: &mut [u8]) -> Option<std::time::SystemTime> {
    let named: [u8; 3] = text.get(..3)?.try_into().ok()?;
    if !WEEKDAYS.contains(&&named) {
        return None;
    }
    WEEKDAYS.iter().find_map(|weekday| {
        text[..3].copy_from_slice(*weekday);
        httpdate::parse_http_date(std::str::from_utf8(text).ok()?).ok()
    })
}

/// From that of the epoch on.
const WEEKDAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];

/// `Wednesday, 06-Nov-94 08:49:37 GMT`, with room to spare.
const MAX_DATE_LENGTH: usize = 40;

/// The last second that an HTTP-date can tell.
const END_OF_9999: u64 = 253_402_300_799;

/// Seconds of a Gregorian year on average.
const AVERAGE_YEAR: u64 = 31_556_952;

/// Seconds since the Unix epoch of `Sun, 06 Nov 1994 08:49:37 GMT`: the form that "a sender MUST generate" (RFC 9110 §5.6.7), spelled as it
/// stands there. `None` for all else, which takes the long way: every stored response has three or four of these to be read.
fn fixdate(value: &[u8]) -> Option<u64> {
    const MONTHS: [&[u8; 3]; 12] = [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    const DAYS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let text: &[u8; 29] = value.try_into().ok()?;
    let frame = [&text[3..5], &text[7..8], &text[11..12], &text[16..17], &text[19..20], &text[22..23], &text[25..]];
    if frame != [&b", "[..], b" ", b" ", b" ", b":", b":", b" GMT"] {
        return None;
    }
    let number =
        |digits: &[u8]| digits.iter().try_fold(0, |sum: u64, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')));
    let (day, year) = (number(&text[5..7])?, number(&text[12..16])?);
    let (hour, minute, second) = (number(&text[17..19])?, number(&text[20..22])?, number(&text[23..25])?);
    let month = MONTHS.iter().position(|name| name[..] == text[8..11])?;
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let leap_day = u64::from(is_leap(year));
    let in_month = DAYS[month] + if month == 1 { leap_day } else { 0 };
    if year < 1970 || day == 0 || day > in_month || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let leaps_before = |year: u64| (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    let whole_years = (year - 1970) * 365 + leaps_before(year) - leaps_before(1970);
    let whole_months: u64 = DAYS[..month].iter().sum::<u64>() + if month > 1 { leap_day } else { 0 };
    let days = whole_years + whole_months + day - 1;
    WEEKDAYS.iter().any(|name| name[..] == text[..3]).then_some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// Words as an HTTP-date spells them: `Sun`, `Nov`, `GMT`.
fn capitalize(text: &mut [u8]) {
    for word in text.split_mut(|byte| !byte.is_ascii_alphabetic()) {
        let spelled = if word.eq_ignore_ascii_case(b"GMT") { word.len() } else { 1 };
        word.make_ascii_lowercase();
        word.iter_mut().take(spelled).for_each(|letter| letter.make_ascii_uppercase());
    }
}

/// `Sunday, 06-Nov-94 08:49:37 GMT` as `Sun, 06 Nov 1994 08:49:37 GMT`. "Recipients of a timestamp value in rfc850-date format, which uses a
/// two-digit year, MUST interpret a timestamp that appears to be more than 50 years in the future as representing the most recent year in
/// the past that had the same last two digits" (RFC 9110 §5.6.7).
fn with_four_digit_year(text: &[u8], now: Timestamp) -> Option<[u8; 29]> {
    let comma = text.iter().position(|&byte| byte == b',')?;
    let (weekday, rest) = (text.get(..3)?, text.get(comma..)?);
    // `, 06-Nov-94 08:49:37 GMT`
    if comma < 6 || rest.len() != 24 || rest[4] != b'-' || rest[8] != b'-' || !rest[9..11].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let horizon = 1970 + now.0 / 1000 / AVERAGE_YEAR + 50;
    let digits = u64::from(rest[9] - b'0') * 10 + u64::from(rest[10] - b'0');
    let year = horizon - (horizon + 100 - digits) % 100;
    let century = u8::try_from(year / 100).ok().filter(|century| *century < 100)?;
    let mut full = *b"   ,            00:00:00 GMT ";
    full[..3].copy_from_slice(weekday);
    full[3..12].copy_from_slice(&[b',', b' ', rest[2], rest[3], b' ', rest[5], rest[6], rest[7], b' ']);
    full[12..16].copy_from_slice(&[b'0' + century / 10, b'0' + century % 10, rest[9], rest[10]]);
    full[16..].copy_from_slice(&rest[11..]);
    Some(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 21 Nov 2026.
    const NOW: Timestamp = Timestamp::from_secs(1_795_219_200);

    fn read(text: &str) -> Option<u64> {
        Timestamp::parse_http_date(text.as_bytes(), NOW).map(|time| time.0 / 1000)
    }

    #[test]
    fn rfc9110_5_6_7_three_forms_in_any_case() {
        for form in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "SUN, 06 NOV 1994 08:49:37 gmt",
            "sun nov  6 08:49:37 1994",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Monday, 06-Nov-94 08:49:37 GMT",
            "Mon Nov  6 08:49:37 1994",
        ] {
            assert_eq!(read(form), Some(784_111_777), "{form}");
        }
    }

    #[test]
    fn rfc9110_5_6_7_the_usual_form_is_read_as_the_library_reads_it() {
        // Every day of the years around the rules for leap years, and some times of day.
        let long =
            |text: &str| httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok().map(|since| since.as_secs());
        for first in [0, 68_169_600, 951_782_400 - 86_400 * 400, 4_107_542_400 - 86_400 * 400] {
            for day in 0..800_u64 {
                let time = Timestamp::from_secs(first + day * 86_400 + day * 107 % 86_400);
                let text = time.to_http_date();
                assert_eq!(fixdate(text.as_bytes()), Some(time.0 / 1000), "{text:?}");
            }
        }
        for month in ["Jan", "Feb", "Apr", "Dec"] {
            for (day, hour) in [("28", "00"), ("29", "23"), ("30", "24"), ("31", "12"), ("32", "01"), ("00", "00")] {
                for year in ["1969", "1970", "2000", "2023", "2024", "2100", "9999"] {
                    let text = |weekday: &str| format!("{weekday}, {day} {month} {year} {hour}:59:59 GMT");
                    let read = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"].iter().find_map(|weekday| long(&text(weekday)));
                    for weekday in ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] {
                        assert_eq!(fixdate(text(weekday).as_bytes()), read, "{}", text(weekday));
                    }
                }
            }
        }
    }

    #[test]
    fn rfc9110_5_6_7_what_is_no_date() {
        for text in [
            "",
            "0",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 EST",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun 06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 8:49:37 GMT",
            "Sun, 06 Nov 1994 08.49.37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06  Nov 1994 08:49:37 GMT",
            "Day, 06 Nov 1994 08:49:37 GMT",
            "784111777",
            "\u{e9}un, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT and a great deal more of it",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn rfc9110_5_6_7_two_digit_years_are_at_most_50_years_ahead() {
        let year = |text: &str| read(text).map(|seconds| 1970 + seconds / AVERAGE_YEAR);
        assert_eq!(year("Wednesday, 01-Jul-76 00:00:00 GMT"), Some(2076));
        assert_eq!(year("Friday, 01-Jul-77 00:00:00 GMT"), Some(1977));
        assert_eq!(year("Saturday, 01-Jul-06 00:00:00 GMT"), Some(2006));
        let then = |text: &str| Timestamp::parse_http_date(text.as_bytes(), Timestamp::from_secs(784_111_777));
        assert!(then("Thursday, 01-Jul-27 00:00:00 GMT").is_some(), "33 years ahead");
        assert_eq!(then("Saturday, 01-Jul-50 00:00:00 GMT"), None, "1950, which is before the epoch");
    }

    #[test]
    fn any_time_can_be_written() {
        assert_eq!(Timestamp::from_millis(u64::MAX).to_http_date(), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(Timestamp::default().to_http_date(), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn seconds_since_never_falls_below_zero_and_is_capped() {
        let early = Timestamp::from_secs(10);
        assert_eq!(early.seconds_since(Timestamp::from_secs(20)), 0);
        assert_eq!(Timestamp::from_millis(11_999).seconds_since(early), 1);
        assert_eq!(Timestamp::from_millis(u64::MAX).seconds_since(early), 1 << 31);
    }
}
