//! Fields of proactive negotiation (RFC 9110 §12.5), brought to one form that means the same.
//!
//! Weights count by their order only (§12.4.2: "relative"), so they become ranks: `gzip;q=0.9, br;q=0.4` and `br;q=.5, gzip` are alike.
//! No acceptable member is added and no refusal is left out: two requests share a variant only if they accept and prefer the same.

use std::cmp::Reverse;

use http::HeaderValue;
use smallvec::SmallVec;

use super::normalize::{ListMembers, push_latin1};

struct Choice<'a> {
    name: &'a [u8],
    /// Thousandths.
    weight: u16,
}

type Choices<'a> = SmallVec<[Choice<'a>; 12]>;

/// Maximum number of members that are brought to one form. Every name is compared with those before it, and no client that means to be understood
/// sends as many.
const MAX_CHOICES: usize = 48;

/// `Accept-Encoding` (§12.5.3): names are case-insensitive, order means nothing, `x-gzip` is `gzip` and `x-compress` is `compress`
/// (§8.4.1). A refusal is redundant unless `*` would accept the coding otherwise, or it is `identity` that is refused.
pub(super) fn write_encodings(lines: &[&HeaderValue], out: &mut String) {
    let Some(mut choices) = choices(lines, coding) else { return verbatim(lines, out) };
    let wildcard = choices.iter().any(|choice| choice.name == b"*" && choice.weight > 0);
    choices.retain(|choice| choice.weight > 0 || wildcard || eq(choice.name, b"identity") || choice.name == b"*");
    choices.sort_by_key(|choice| (Reverse(choice.weight), lower(choice.name)));
    write_ranked(&choices, out);
}

/// `Accept-Language` (§12.5.4): ranges are case-insensitive; among equal weights "some recipients treat the order in which language tags
/// are listed as an indication of descending priority", so that order stays.
pub(super) fn write_languages(lines: &[&HeaderValue], out: &mut String) {
    let Some(mut choices) = choices(lines, |name| name) else { return verbatim(lines, out) };
    choices.sort_by_key(|choice| Reverse(choice.weight));
    write_ranked(&choices, out);
}

/// `Accept` (§12.5.1): types are case-insensitive, and white space around `;` and `,` means nothing. Parameters, order and weights stay.
pub(super) fn write_media_types(lines: &[&HeaderValue], out: &mut String) {
    let members = lines.iter().flat_map(|line| ListMembers(Some(line.as_bytes()))).filter(|member| !member.is_empty());
    for (index, member) in members.enumerate() {
        if index > 0 {
            out.push(',');
        }
        if member.contains(&b'"') {
            push_latin1(member, out);
            continue;
        }
        for (index, part) in member.split(|&byte| byte == b';').enumerate() {
            if index > 0 {
                out.push(';');
            }
            let start = out.len();
            push_latin1(part.trim_ascii(), out);
            if index == 0 {
                out[start..].make_ascii_lowercase();
            }
        }
    }
}

/// The members with their weights. `None` where one breaks the grammar or comes twice, or where there are too many: how the
/// origin reads the field is not known then, so it is compared as it is.
fn choices<'a>(lines: &[&'a HeaderValue], alias: fn(&[u8]) -> &[u8]) -> Option<Choices<'a>> {
    let mut choices = Choices::new();
    for member in lines.iter().flat_map(|line| line.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii) {
        if member.is_empty() {
            continue;
        }
        let (name, weight) = match member.iter().position(|&byte| byte == b';') {
            None => (member, 1000),
            Some(end) => (member[..end].trim_ascii_end(), weight(member[end + 1..].trim_ascii())?),
        };
        if !name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'*' | b'.' | b'+')) || name.is_empty() {
            return None;
        }
        let name = alias(name);
        if choices.len() == MAX_CHOICES || choices.iter().any(|choice| eq(choice.name, name)) {
            return None;
        }
        choices.push(Choice { name, weight });
    }
    Some(choices)
}

/// Whether `Accept-Encoding` on these lines names a coding and does not refuse it.
pub(super) fn names_coding<'a>(lines: impl Iterator<Item = &'a HeaderValue>, wanted: &[u8]) -> bool {
    weights(lines).any(|(name, weight)| eq(coding(name), coding(wanted)) && weight > 0)
}

/// The weight of a coding in thousandths: its own, or that of `*`; `None` where neither is named.
pub(crate) fn weight_of_coding<'a>(lines: impl Iterator<Item = &'a HeaderValue>, wanted: &[u8]) -> Option<u16> {
    let (mut own, mut others) = (None, None);
    for (name, weight) in weights(lines) {
        match name {
            b"*" => others = Some(weight),
            name if eq(coding(name), coding(wanted)) => own = Some(weight),
            _ => {}
        }
    }
    own.or(others)
}

/// The members of `Accept-Encoding` with their weights; one that cannot be read weighs nothing.
fn weights<'a>(lines: impl Iterator<Item = &'a HeaderValue>) -> impl Iterator<Item = (&'a [u8], u16)> {
    lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b',')).map(|member| {
        let mut parts = member.trim_ascii().splitn(2, |&byte| byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        (name, parts.next().map_or(1000, |text| weight(text).unwrap_or(0)))
    })
}

fn coding(name: &[u8]) -> &[u8] {
    if eq(name, b"x-gzip") {
        b"gzip"
    } else if eq(name, b"x-compress") {
        b"compress"
    } else {
        name
    }
}

/// `q=0.5` in thousandths: "weight = OWS ";" OWS "q=" qvalue" with at most three decimals (§12.4.2).
fn weight(text: &[u8]) -> Option<u16> {
    let value = text.strip_prefix(b"q=").or_else(|| text.strip_prefix(b"Q="))?;
    let (&whole, fraction) = value.split_first()?;
    let whole = match whole {
        b'0' => 0,
        b'1' => 1000,
        _ => return None,
    };
    let decimals = match fraction.split_first() {
        None => &[][..],
        Some((b'.', decimals)) if decimals.len() <= 3 => decimals,
        Some(_) => return None,
    };
    let mut sum = 0;
    for index in 0..3 {
        let digit = decimals.get(index).copied().unwrap_or(b'0');
        sum = sum * 10 + u16::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    (whole + sum <= 1000).then_some(whole + sum)
}

/// Names in order, `,` between equal weights and `>` where the weight falls; `!` before a refused one.
fn write_ranked(choices: &Choices<'_>, out: &mut String) {
    let mut last = None;
    for choice in choices {
        if let Some(last) = last {
            out.push(if last == choice.weight { ',' } else { '>' });
        }
        if choice.weight == 0 {
            out.push('!');
        }
        last = Some(choice.weight);
        let start = out.len();
        push_latin1(choice.name, out);
        out[start..].make_ascii_lowercase();
    }
}

/// A field's value that [`write_encodings`] or [`write_languages`] writes as `text`.
pub(super) fn from_ranked(text: &str) -> Option<String> {
    if let Some(sent) = text.strip_prefix('?') {
        return sent.strip_suffix(',').map(str::to_owned);
    }
    let levels: Vec<&str> = text.split('>').collect();
    let step = 1000_usize.checked_div(levels.len())?.checked_sub(1).filter(|step| *step > 0)?;
    let members = levels.iter().enumerate().flat_map(|(level, names)| names.split(',').map(move |name| (level, name)));
    let weighted = members.map(|(level, name)| match (name.strip_prefix('!'), level) {
        (Some(refused), _) => format!("{refused};q=0"),
        (None, 0) => name.to_owned(),
        (None, level) => format!("{name};q=0.{:03}", 1000 - level * step),
    });
    Some(weighted.collect::<Vec<_>>().join(", "))
}

/// Appends a value as sent. The mark in front keeps it apart from every normalised value.
fn verbatim(lines: &[&HeaderValue], out: &mut String) {
    out.push('?');
    for line in lines {
        push_latin1(line.as_bytes(), out);
        out.push(',');
    }
}

fn eq(one: &[u8], other: &[u8]) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn lower(name: &[u8]) -> impl Ord + use<> {
    let mut short = SmallVec::<[u8; 24]>::from_slice(name);
    short.make_ascii_lowercase();
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(write: fn(&[&HeaderValue], &mut String), lines: &[&str]) -> String {
        let values: Vec<_> = lines.iter().map(|line| HeaderValue::from_str(line).unwrap()).collect();
        let mut out = String::new();
        write(&values.iter().collect::<Vec<_>>(), &mut out);
        out
    }

    #[test]
    fn rfc9110_12_5_3_encodings_that_mean_the_same() {
        let encodings = |lines: &[&str]| with(write_encodings, lines);
        let forms: [&[&str]; 5] =
            [&["gzip, br"], &["br,GZIP"], &["br", "x-gzip"], &["gzip;q=1.0, br;q=1"], &["gzip;q=0.5, br; q=0.5, foo;q=0"]];
        for form in forms {
            assert_eq!(encodings(form), "br,gzip", "{form:?}");
        }
        assert_eq!(encodings(&["gzip;q=0.9, br;q=0.4"]), "gzip>br");
        assert_eq!(encodings(&["br;q=0.5, gzip"]), "gzip>br");
    }

    #[test]
    fn rfc9110_12_5_3_refusals_are_kept() {
        let encodings = |lines: &[&str]| with(write_encodings, lines);
        assert_eq!(encodings(&["gzip, identity;q=0"]), "gzip>!identity");
        assert_eq!(encodings(&["gzip, *;q=0"]), "gzip>!*");
        assert_eq!(encodings(&["*, br;q=0"]), "*>!br");
        assert_ne!(encodings(&["*"]), encodings(&["*, br;q=0"]));
        assert_eq!(encodings(&["br;q=0"]), encodings(&[""]));
    }

    #[test]
    fn a_broken_field_is_compared_as_it_is() {
        let encodings = |lines: &[&str]| with(write_encodings, lines);
        for line in ["gzip;q=2", "gzip;q=0.1234", "gzip;level=1", "gz ip", "gzip, gzip;q=0"] {
            assert!(encodings(&[line]).starts_with('?'), "{line}");
        }
    }

    #[test]
    fn a_field_of_very_many_members_is_compared_as_it_is() {
        let members = |count: usize| (0..count).map(|n| format!("x{n}")).collect::<Vec<_>>().join(", ");
        for write in [write_encodings, write_languages] {
            assert!(!with(write, &[&members(MAX_CHOICES)]).starts_with('?'));
            assert_eq!(with(write, &[&members(MAX_CHOICES + 1)]), format!("?{},", members(MAX_CHOICES + 1)));
        }
    }

    #[test]
    fn rfc9110_12_5_4_languages_keep_their_order_among_equals() {
        let languages = |lines: &[&str]| with(write_languages, lines);
        assert_eq!(languages(&["en-GB, de;q=0.5", "fr;q=0.8"]), "en-gb>fr>de");
        assert_eq!(languages(&["fr;q=0.9,EN-gb,de;q=0.2"]), "en-gb>fr>de");
        assert_ne!(languages(&["en, de"]), languages(&["de, en"]));
        assert_eq!(languages(&["en, de;q=0"]), "en>!de");
    }

    #[test]
    fn rfc9110_12_5_1_media_types() {
        let types = |lines: &[&str]| with(write_media_types, lines);
        assert_eq!(types(&["Text/HTML ; q=0.5 ,application/json"]), "text/html;q=0.5,application/json");
        assert_ne!(types(&["text/html;a=B"]), types(&["text/html;a=b"]));
    }
}
