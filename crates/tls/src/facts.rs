//! What a certificate says about itself: whom it is for, and how long.

use std::net::IpAddr;

use crate::Names;
use crate::der::{Der, GENERALIZED_TIME, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, UTC_TIME, Value, context};

/// id-ce-subjectAltName, 2.5.29.17 (RFC 5280 §4.2.1.6).
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1D, 0x11];
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// The fields of a certificate that Larder reads (RFC 5280 §4.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whom it is for.
    pub names: Names,
    /// From when on, in seconds since 1970.
    pub not_before: u64,
    /// Until when, in seconds since 1970.
    pub not_after: u64,
}

impl Facts {
    /// From a certificate in DER. `None` if it is none.
    pub fn read(certificate: &[u8]) -> Option<Self> {
        let Fields { validity, mut rest, .. } = Fields::read(certificate)?;
        let mut validity = validity.inside();
        let _key = rest.expect(SEQUENCE)?;
        let extensions = std::iter::from_fn(|| rest.next()).find(|value| value.tag == context(3));
        let names = match extensions {
            Some(extensions) => alternative_names(extensions.inside().expect(SEQUENCE)?.inside()).unwrap_or_default(),
            None => Names::default(),
        };
        Some(Self { names, not_before: time(validity.next()?)?, not_after: time(validity.next()?)? })
    }
}

/// The fields of a certificate that come before its key.
struct Fields<'a> {
    validity: Value<'a>,
    subject: Value<'a>,
    rest: Der<'a>,
}

impl<'a> Fields<'a> {
    fn read(certificate: &'a [u8]) -> Option<Self> {
        let mut body = Der(certificate).expect(SEQUENCE)?.inside().expect(SEQUENCE)?.inside();
        let _version = body.optional(context(0));
        let _serial = body.expect(INTEGER)?;
        let _algorithm = body.expect(SEQUENCE)?;
        let _issuer = body.expect(SEQUENCE)?;
        let validity = body.expect(SEQUENCE)?;
        Some(Self { validity, subject: body.expect(SEQUENCE)?, rest: body })
    }
}

/// The distinguished name that a certificate is for, as DER has it.
pub fn subject(certificate: &[u8]) -> Option<&[u8]> {
    Fields::read(certificate).map(|fields| fields.subject.content)
}

fn alternative_names(mut extensions: Der<'_>) -> Option<Names> {
    while let Some(extension) = extensions.next() {
        let mut extension = extension.inside();
        if extension.expect(OBJECT_IDENTIFIER)?.content != SUBJECT_ALT_NAME {
            continue;
        }
        let value = std::iter::from_fn(|| extension.next()).find(|value| value.tag == OCTET_STRING)?;
        let mut general = value.inside().expect(SEQUENCE)?.inside();
        let general: Vec<_> = std::iter::from_fn(|| general.next()).collect();
        let of = |tag| general.iter().filter(move |value| value.tag == tag).map(|value| value.content);
        let names: Vec<&str> = of(DNS_NAME).filter_map(|name| str::from_utf8(name).ok()).collect();
        return Some(Names::new(names, of(IP_ADDRESS).filter_map(ip_address).collect()));
    }
    None
}

fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok().or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok())
}

/// RFC 5280 §4.1.2.5: both forms are in UTC and end in `Z`; years of two digits from 50 on are those of the last century. What is before 1970
/// counts as 1970.
pub(crate) fn time(value: Value<'_>) -> Option<u64> {
    let text = str::from_utf8(value.content).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match value.tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let parts: Vec<i64> = (0..5).map(|part| rest.get(2 * part..2 * part + 2)?.parse().ok()).collect::<Option<_>>()?;
    let [month, day, hour, minute, second] = parts[..] else { return None };
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(u64::try_from(seconds).unwrap_or(0))
}

/// Days in the Gregorian calendar, by years that begin in March, so that a leap day is a year's last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(tag: u8, text: &str) -> Option<u64> {
        time(Value { tag, content: text.as_bytes() })
    }

    #[test]
    fn rfc5280_4_1_2_5_times_in_both_forms() {
        assert_eq!(seconds(UTC_TIME, "261130001530Z"), Some(1_795_997_730));
        assert_eq!(seconds(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(seconds(UTC_TIME, "500101000000Z"), Some(0), "1950");
        assert_eq!(seconds(GENERALIZED_TIME, "20240229120000Z"), Some(1_709_208_000));
        assert_eq!(seconds(GENERALIZED_TIME, "99991231235959Z"), Some(253_402_300_799));
        for text in ["2611300015Z", "261130001530", "2611300015 0Z", "Z", ""] {
            assert_eq!(seconds(UTC_TIME, text), None, "{text:?}");
        }
    }

    #[test]
    fn an_unreadable_certificate_has_no_facts() {
        for bytes in [&b""[..], b"nothing of the kind", &[0x30, 0x03, 0x30, 0x01, 0x02]] {
            assert_eq!(Facts::read(bytes), None);
        }
    }
}
