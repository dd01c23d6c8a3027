//! The `Range` field (RFC 9110 §14.1.2, §14.2).

use http::HeaderMap;
use http::header::RANGE;
use smallvec::SmallVec;

/// More range specifications than this in one request are taken for an attack, and the field is ignored: "servers ought to ignore,
/// coalesce, or reject egregious range requests" (§17.15).
const MAX_SPECS: usize = 64;

/// Bytes `first..=last` of a representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte, never before `first`.
    pub last: u64,
}

impl ByteRange {
    /// How many bytes it has.
    pub fn length(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

/// One range as the client wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeSpec {
    /// `first-` or `first-last`.
    From {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte, where one was given.
        last: Option<u64>,
    },
    /// `-length`: the last bytes.
    Suffix {
        /// How many.
        length: u64,
    },
}

impl RangeSpec {
    /// The bytes it means in a representation of `complete_length` bytes; `None` where it is unsatisfiable: "an int-range is satisfiable if
    /// [...] its first-pos is less than the current length of the selected representation. A suffix-range is satisfiable if the
    /// suffix-length is non-zero" (§14.1.2).
    pub fn satisfy(self, complete_length: u64) -> Option<ByteRange> {
        let end = complete_length.checked_sub(1)?;
        match self {
            Self::From { first, last } if first <= end => Some(ByteRange { first, last: last.map_or(end, |last| last.min(end)) }),
            Self::Suffix { length } if length > 0 => Some(ByteRange { first: complete_length.saturating_sub(length), last: end }),
            _ => None,
        }
    }
}

/// The ranges of one `Range` field, in the client's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeSet {
    /// At least one.
    pub specs: SmallVec<[RangeSpec; 2]>,
}

impl RangeSet {
    /// Reads `Range`. `None` where there is none, where it is of another unit ("an origin server MUST ignore a Range header field that
    /// contains a range unit it does not understand", §14.2), invalid, repeated, or a flood.
    pub fn parse(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(RANGE).iter();
        let line = lines.next()?;
        if lines.next().is_some() {
            return None;
        }
        Self::parse_value(line.as_bytes())
    }

    /// Reads the value of a `Range` field: `bytes=0-499,-500`.
    pub fn parse_value(value: &[u8]) -> Option<Self> {
        let equals = value.iter().position(|&byte| byte == b'=')?;
        let (unit, set) = (value[..equals].trim_ascii(), &value[equals + 1..]);
        if !unit.eq_ignore_ascii_case(b"bytes") {
            return None;
        }
        let mut specs = SmallVec::new();
        for spec in set.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|spec| !spec.is_empty()) {
            if specs.len() == MAX_SPECS {
                return None;
            }
            specs.push(spec_of(spec)?);
        }
        if specs.is_empty() { None } else { Some(Self { specs }) }
    }
}

fn spec_of(spec: &[u8]) -> Option<RangeSpec> {
    let dash = spec.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    if first.is_empty() {
        return Some(RangeSpec::Suffix { length: number(last)? });
    }
    let first = number(first)?;
    let last = if last.is_empty() { None } else { Some(number(last)?) };
    // "An int-range is invalid if the last-pos value is present and less than first-pos" (§14.1.1).
    if last.is_some_and(|last| last < first) { None } else { Some(RangeSpec::From { first, last }) }
}

/// `1*DIGIT`; "a recipient [...] needs to be able to deal with potentially large numerals and avoid overflows" (§14.1.2): capped.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(sum.saturating_mul(10).saturating_add(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Option<Vec<RangeSpec>> {
        RangeSet::parse_value(value.as_bytes()).map(|set| set.specs.to_vec())
    }

    #[test]
    fn rfc9110_14_1_2_every_kind_of_range() {
        let from = |first, last| RangeSpec::From { first, last };
        assert_eq!(parse("bytes=0-499"), Some(vec![from(0, Some(499))]));
        assert_eq!(parse("Bytes=500-"), Some(vec![from(500, None)]));
        assert_eq!(parse("bytes=-500"), Some(vec![RangeSpec::Suffix { length: 500 }]));
        assert_eq!(parse("bytes= 0-0 , ,-1"), Some(vec![from(0, Some(0)), RangeSpec::Suffix { length: 1 }]));
        assert_eq!(parse("bytes=0-99999999999999999999999"), Some(vec![from(0, Some(u64::MAX))]));
    }

    #[test]
    fn rfc9110_14_2_invalid_fields_are_ignored() {
        for value in
            ["", "bytes", "bytes=", "bytes=,", "bytes=a-b", "bytes=-", "bytes=5-4", "bytes=0-1,x", "bytes=1", "lines=0-1", "bytes=+1-2"]
        {
            assert_eq!(parse(value), None, "{value}");
        }
        let flood = format!("bytes={}", vec!["0-0"; MAX_SPECS + 1].join(","));
        assert_eq!(parse(&flood), None);
    }

    #[test]
    fn rfc9110_14_1_2_satisfying() {
        let cases = [
            (RangeSpec::From { first: 0, last: Some(499) }, 1000, Some((0, 499))),
            (RangeSpec::From { first: 500, last: Some(5000) }, 1000, Some((500, 999))),
            (RangeSpec::From { first: 999, last: None }, 1000, Some((999, 999))),
            (RangeSpec::From { first: 1000, last: None }, 1000, None),
            (RangeSpec::Suffix { length: 1 }, 1000, Some((999, 999))),
            (RangeSpec::Suffix { length: 5000 }, 1000, Some((0, 999))),
            (RangeSpec::Suffix { length: 0 }, 1000, None),
            (RangeSpec::Suffix { length: 5 }, 0, None),
            (RangeSpec::From { first: 0, last: None }, 0, None),
        ];
        for (spec, length, expected) in cases {
            assert_eq!(spec.satisfy(length).map(|range| (range.first, range.last)), expected, "{spec:?} of {length}");
        }
    }
}
