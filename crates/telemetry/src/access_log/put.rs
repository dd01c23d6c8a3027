//! Appends parts of lines to bytes, without the machinery of formatting where a value looks the same nearly always.

use std::cell::RefCell;
use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use larder_semantics::Timestamp;

/// A number in decimal.
pub(super) fn number(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// An address. Those of IPv4 have no form but the one.
pub(super) fn address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                number(octet.into(), out);
            }
        }
        // A `Vec` takes everything.
        IpAddr::V6(address) => _ = write!(out, "{address}"),
    }
}

/// Three digits.
fn thousandths(value: u64, out: &mut Vec<u8>) {
    out.extend([value / 100 % 10, value / 10 % 10, value % 10].map(|digit| b'0' + digit as u8));
}

/// Microseconds, as many as fit.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Milliseconds with microseconds behind the point.
pub(super) fn millis(duration: Duration, out: &mut Vec<u8>) {
    let micros = micros(duration);
    number(micros / 1000, out);
    out.push(b'.');
    thousandths(micros % 1000, out);
    out.extend_from_slice(b"ms");
}

thread_local! {
    /// The last second that was written, and how: lines of one second follow each other.
    static SECOND: RefCell<(Option<u64>, String)> = const { RefCell::new((None, String::new())) };
}

/// A time as RFC 3339 in UTC with milliseconds.
pub(crate) fn rfc3339(time: Timestamp, out: &mut Vec<u8>) {
    let (second, millis) = (time.as_millis() / 1_000, time.as_millis() % 1_000);
    SECOND.with_borrow_mut(|(known, text)| {
        if *known != Some(second) {
            // Out of range only after the year 9999.
            let time = i64::try_from(second).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
            *text = format!("{:.0}", time.unwrap_or(jiff::Timestamp::MAX));
            *known = Some(second);
        }
        out.extend_from_slice(text.trim_end_matches('Z').as_bytes());
    });
    out.push(b'.');
    thousandths(millis, out);
    out.push(b'Z');
}

/// Whether a byte stands for itself between quotes, in JSON and in the readable form.
pub(super) fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// Text for between quotes. It cannot end them, begin a line or control a terminal: everything but printable ASCII and the ellipsis of
/// redaction is escaped.
pub(super) fn escaped(text: &str, out: &mut Vec<u8>) {
    if text.bytes().all(is_plain) {
        return out.extend_from_slice(text.as_bytes());
    }
    for character in text.chars() {
        // A `Vec` takes everything, so there is no error to report.
        let _infallible = match character {
            '"' | '\\' => write!(out, "\\{character}"),
            ' '..='~' | '…' => write!(out, "{character}"),
            _ => write!(out, "{}", character.escape_default()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn addresses_look_as_everywhere() {
        for text in ["10.0.0.7", "255.255.0.1", "2001:db8::1", "::ffff:10.0.0.1"] {
            assert_eq!(put(|out| address(text.parse().unwrap(), out)), text);
        }
    }

    #[test]
    fn times_have_milliseconds_and_durations_microseconds() {
        assert_eq!(put(|out| rfc3339(Timestamp::from_millis(1_795_253_400_007), out)), "2026-11-21T09:30:00.007Z");
        assert_eq!(put(|out| millis(Duration::from_micros(312), out)), "0.312ms");
        assert_eq!(put(|out| millis(Duration::from_micros(1_200_045), out)), "1200.045ms");
    }
}
