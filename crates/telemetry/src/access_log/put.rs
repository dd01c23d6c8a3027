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

/// An address, as the thread wrote it the last time if it is the same: behind a balancer, and on a connection that stays, it mostly is.
pub(super) fn address(address: IpAddr, out: &mut Vec<u8>) {
    ADDRESS.with_borrow_mut(|(known, text)| {
        if *known != Some(address) {
            text.clear();
            *known = Some(address);
            put_address(address, text);
        }
        out.extend_from_slice(text);
    });
}

/// Those of IPv4 have no form but the one.
fn put_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            let (mut text, mut length) = ([b'.'; 4 * b"255.".len()], 0);
            for octet in address.octets() {
                let digits = thousandths(octet.into());
                let zeros = usize::from(octet < 100) + usize::from(octet < 10);
                text[length..length + 3 - zeros].copy_from_slice(&digits[zeros..]);
                length += 4 - zeros;
            }
            out.extend_from_slice(&text[..length - 1]);
        }
        // A `Vec` takes everything.
        IpAddr::V6(address) => _ = write!(out, "{address}"),
    }
}

/// Three digits.
fn thousandths(value: u64) -> [u8; 3] {
    [value / 100 % 10, value / 10 % 10, value % 10].map(|digit| b'0' + digit as u8)
}

/// Microseconds, as many as fit.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Milliseconds with microseconds behind the point.
pub(super) fn millis(duration: Duration, out: &mut Vec<u8>) {
    let micros = micros(duration);
    number(micros / 1000, out);
    let [a, b, c] = thousandths(micros % 1000);
    out.extend_from_slice(&[b'.', a, b, c, b'm', b's']);
}

thread_local! {
    /// The last address that was written, and how.
    static ADDRESS: RefCell<(Option<IpAddr>, Vec<u8>)> = const { RefCell::new((None, Vec::new())) };
    /// The last second that was written, and how, up to the point behind it: lines of one second follow each other.
    static SECOND: RefCell<(Option<u64>, String)> = const { RefCell::new((None, String::new())) };
}

/// A moment as of RFC 3339, in UTC.
pub fn timestamp(time: Timestamp) -> String {
    let mut text = Vec::new();
    rfc3339(time, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// A time as RFC 3339 in UTC with milliseconds.
pub(super) fn rfc3339(time: Timestamp, out: &mut Vec<u8>) {
    let (second, millis) = (time.as_millis() / 1_000, time.as_millis() % 1_000);
    SECOND.with_borrow_mut(|(known, text)| {
        if *known != Some(second) {
            // Out of range only after the year 9999.
            let time = i64::try_from(second).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
            *text = format!("{:.0}", time.unwrap_or(jiff::Timestamp::MAX)).replace('Z', ".");
            *known = Some(second);
        }
        out.extend_from_slice(text.as_bytes());
    });
    let [a, b, c] = thousandths(millis);
    out.extend_from_slice(&[a, b, c, b'Z']);
}

/// Whether each byte stands for itself between quotes, in JSON and in the readable form. Sixteen bytes are looked at before it is decided whether
/// to go on, so that one instruction looks at all of them.
pub(super) fn is_plain(text: &str) -> bool {
    let is_plain = |byte: u8| (matches!(byte, b' '..=b'~')) & (byte != b'"') & (byte != b'\\');
    let (chunks, rest) = text.as_bytes().as_chunks::<16>();
    chunks.iter().all(|chunk| chunk.iter().fold(true, |plain, &byte| plain & is_plain(byte))) && rest.iter().all(|&byte| is_plain(byte))
}

/// Text for between quotes. It cannot end them, begin a line or control a terminal: everything but printable ASCII and the ellipsis of
/// redaction is escaped.
pub(super) fn escaped(text: &str, out: &mut Vec<u8>) {
    if is_plain(text) {
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
        for text in ["10.0.0.7", "10.0.0.7", "255.255.0.1", "0.9.10.100", "2001:db8::1", "::ffff:10.0.0.1"] {
            assert_eq!(put(|out| address(text.parse().unwrap(), out)), text);
        }
    }

    #[test]
    fn a_byte_that_needs_an_escape_is_seen_wherever_it_is() {
        for length in 0..40 {
            assert!(is_plain(&"~ a".repeat(20)[..length]));
            for (at, odd) in (0..length).flat_map(|at| ['"', '\\', '\n', '\u{7f}', 'é'].map(|odd| (at, odd))) {
                let mut text = "a".repeat(length);
                text.insert(at, odd);
                assert!(!is_plain(&text), "{text:?}");
            }
        }
    }

    #[test]
    fn times_have_milliseconds_and_durations_microseconds() {
        assert_eq!(put(|out| rfc3339(Timestamp::from_millis(1_795_253_400_007), out)), "2026-11-21T09:30:00.007Z");
        assert_eq!(put(|out| millis(Duration::from_micros(312), out)), "0.312ms");
        assert_eq!(put(|out| millis(Duration::from_micros(1_200_045), out)), "1200.045ms");
    }
}
