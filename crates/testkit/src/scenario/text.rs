//! Placeholders in a scenario's text: `{now-60s}`, `{x*1000}`, `{origin}`, and escapes in body texts.

use std::time::{Duration, SystemTime};

use crate::{Error, Result};

/// Replaces every `{…}` that is one of ours; braces that are not, as in TOML and in route templates, stay.
pub(super) fn expand(source: &str, origin: &str) -> String {
    let mut output = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(open) = rest.find('{') {
        output.push_str(&rest[..open]);
        let replaced =
            rest[open..].find('}').and_then(|close| Some((replacement(&rest[open + 1..open + close], origin)?, open + close + 1)));
        let (text, after) = replaced.unwrap_or(("{".to_owned(), open + 1));
        output.push_str(&text);
        rest = &rest[after..];
    }
    output + rest
}

fn replacement(inside: &str, origin: &str) -> Option<String> {
    if inside == "origin" {
        return Some(origin.to_owned());
    }
    if let Some(offset) = inside.strip_prefix("now") {
        return date(offset);
    }
    let (text, count) = inside.rsplit_once('*')?;
    (!text.is_empty()).then_some(())?;
    Some(text.repeat(count.parse().ok()?))
}

/// An HTTP date (RFC 9110 §5.6.7) so many seconds, minutes or hours before or after now.
#[expect(
    clippy::disallowed_methods,
    reason = "the binary under test reads the system's clock, so its scenarios must name dates of that clock"
)]
fn date(offset: &str) -> Option<String> {
    let now = SystemTime::now();
    let moment = match offset.split_at_checked(1) {
        None => now,
        Some(("-", span)) => now - duration(span)?,
        Some(("+", span)) => now + duration(span)?,
        Some(_) => return None,
    };
    Some(httpdate::fmt_http_date(moment))
}

fn duration(span: &str) -> Option<Duration> {
    let (number, unit) = span.split_at_checked(span.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(number.parse::<u64>().ok()? * seconds))
}

/// The bytes that a text stands for: quotes around it are taken off, `\r`, `\n`, `\t`, `\0`, `\\`, `\"` and `\xHH` are what they are elsewhere.
pub(super) fn bytes(text: &str) -> Result<Vec<u8>> {
    let quoted = text.len() >= 2 && text.starts_with('"') && text.ends_with('"');
    let text = if quoted { &text[1..text.len() - 1] } else { text };
    let mut output = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            output.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        output.push(match characters.next() {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('"') => b'"',
            Some('x') => {
                let digits: String = characters.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16).map_err(|_| Error::new(format!("not two hexadecimal digits: {digits:?}")))?
            }
            other => return Err(Error::new(format!("unknown escape \\{}", other.unwrap_or(' ')))),
        });
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::{bytes, expand};

    #[test]
    fn only_our_braces_are_replaced() {
        assert_eq!(expand("path = \"/{*rest}\" { a = 1 } {ab*3} {origin} {", "o:1"), "path = \"/{*rest}\" { a = 1 } ababab o:1 {");
        let dates = expand("{now-60s}|{now}|{now+2h}|{nowhere}", "o");
        let parts: Vec<_> = dates.split('|').map(|part| httpdate::parse_http_date(part).ok()).collect();
        assert_eq!(parts[1].unwrap().duration_since(parts[0].unwrap()).unwrap().as_secs(), 60);
        assert_eq!(parts[2].unwrap().duration_since(parts[1].unwrap()).unwrap().as_secs(), 7200);
        assert_eq!(parts[3], None);
    }

    #[test]
    fn escapes_and_quotes_name_any_byte() {
        assert_eq!(bytes(r#""a b ""#).unwrap(), b"a b ");
        assert_eq!(bytes(r"a\r\n\x00\xfe\\").unwrap(), b"a\r\n\x00\xfe\\");
        assert!(bytes(r"\q").is_err());
    }
}
