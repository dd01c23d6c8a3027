//! Times and sizes, as nginx writes them and as Larder does.

use std::time::Duration;

/// `1h30m`, `60` (seconds), `500ms`, `1d`; `None` where it is none.
pub(super) fn time(text: &str) -> Option<Duration> {
    let (mut total, mut rest) = (Duration::ZERO, text);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = match &rest[..letters] {
            "ms" => return total.checked_add(Duration::from_millis(number)),
            "" | "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            "w" => 7 * 86_400,
            "M" => 30 * 86_400,
            "y" => 365 * 86_400,
            _ => return None,
        };
        total = total.checked_add(Duration::from_secs(number.checked_mul(unit)?))?;
        rest = rest[letters..].trim_start();
    }
    Some(total)
}

/// The same for Larder.
pub(super) fn duration(time: Duration) -> String {
    let (seconds, millis) = (time.as_secs(), time.subsec_millis());
    match (seconds, millis) {
        (0, millis) if millis > 0 => format!("{millis}ms"),
        (seconds, _) if seconds >= 3600 && seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        (seconds, _) if seconds >= 60 && seconds % 60 == 0 => format!("{}m", seconds / 60),
        (seconds, _) => format!("{seconds}s"),
    }
}

/// `10g`, `64m`, `512k`, or bytes.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let units = [("k", 1_u64 << 10), ("m", 1 << 20), ("g", 1 << 30)];
    let with_unit = units.iter().find_map(|(unit, factor)| Some((lower.strip_suffix(unit)?, *factor)));
    let (number, factor) = with_unit.unwrap_or((lower.as_str(), 1));
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The same for Larder.
pub(super) fn size(bytes: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = units.iter().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    unit.map_or_else(|| format!("{bytes}B"), |(unit, factor)| format!("{}{unit}", bytes / factor))
}

/// A string of TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            char if char.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(char))),
            char => quoted.push(char),
        }
    }
    quoted + "\""
}

/// A list of strings of TOML.
pub(super) fn list<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> String {
    let quoted: Vec<_> = texts.into_iter().map(|text| quoted(text.as_ref())).collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_every_unit_and_written_shortly() {
        let cases = [
            ("60", "1m"),
            ("10m", "10m"),
            ("1h30m", "90m"),
            ("1d", "24h"),
            ("1h 30s", "3630s"),
            ("500ms", "500ms"),
            ("1w", "168h"),
            ("0", "0s"),
        ];
        for (nginx, larder) in cases {
            assert_eq!(time(nginx).map(duration).as_deref(), Some(larder), "{nginx}");
        }
        for wrong in ["", "fast", "5x", "99999999999999999999", "18446744073709551615s1s", "18446744073709551615s 1000ms", "$time"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_are_read_with_every_unit() {
        for (nginx, larder) in [("10g", "10GiB"), ("64m", "64MiB"), ("1K", "1KiB"), ("1500", "1500B"), ("1024m", "1GiB"), ("0", "0B")] {
            assert_eq!(bytes(nginx).map(size).as_deref(), Some(larder), "{nginx}");
        }
        assert_eq!(bytes("much"), None);
    }

    #[test]
    fn strings_cannot_leave_their_quotes() {
        assert_eq!(quoted("a\"b\\c\n"), r#""a\"b\\c\u000A""#);
    }
}
