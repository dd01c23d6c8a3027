//! Keeps secrets that clients put into the query, or into parameters of the path, out of the log.

use std::borrow::Cow;

use smallvec::SmallVec;

/// What stands for a value that is not written.
const MASK: &str = "…";

/// Names that hold a secret when this is anywhere in them.
const PARTS: [&str; 17] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "accesskey",
    "privatekey",
    "signingkey",
    "subscriptionkey",
    "credential",
    "signature",
    "session",
    "sessid",
    "passcode",
    "assertion",
    "bearer",
];

/// `text` (a target, or a cache key that ends in one) with the values of secret-looking parameters masked, be they of the query or of a segment
/// of the path (`;jsessionid=`). Names are compared percent-decoded, in any case and without punctuation, so `X-Amz-Signature` and `api%5Fkey`
/// are found.
pub(super) fn redacted(text: &str) -> Cow<'_, str> {
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    let has_secret = |part: &str, borders| parameters(part, borders).any(|parameter| secret_value(parameter, borders).is_some());
    let in_path = path.contains(';') && has_secret(path, IN_PATH);
    if !in_path && !query.is_some_and(|query| has_secret(query, IN_QUERY)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    mask(path, IN_PATH, &mut out);
    if let Some(query) = query {
        out.push('?');
        mask(query, IN_QUERY, &mut out);
    }
    Cow::Owned(out)
}

/// What parts parameters.
type Borders = [char; 2];
const IN_QUERY: Borders = ['&', ';'];
const IN_PATH: Borders = ['/', ';'];

fn mask(part: &str, borders: Borders, out: &mut String) {
    for parameter in parameters(part, borders) {
        match secret_value(parameter, borders) {
            Some((name, separator)) => out.extend([name, "=", MASK, separator]),
            None => out.push_str(parameter),
        }
    }
}

/// The parameters, each with the separator behind it.
fn parameters(part: &str, borders: Borders) -> impl Iterator<Item = &str> {
    part.split_inclusive(borders)
}

/// The name as sent and the separator, if the parameter has a value that must not be written.
fn secret_value(parameter: &str, borders: Borders) -> Option<(&str, &str)> {
    let (name, value) = parameter.split_once('=')?;
    let separator = &value[value.trim_end_matches(borders).len()..];
    is_secret(name).then_some((name, separator))
}

fn is_secret(name: &str) -> bool {
    let decoded = percent_decoded(name.as_bytes()).filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase());
    let plain: SmallVec<[u8; 64]> = decoded.collect();
    let letters = letters(&plain);
    is_secret_name(&plain)
        || PARTS.iter().zip(PART_LETTERS).any(|(part, needed)| needed & !letters == 0 && contains(&plain, part.as_bytes()))
}

/// Names that hold a secret when they are exactly this.
fn is_secret_name(plain: &[u8]) -> bool {
    const NAMES: [&[u8]; 22] = [
        b"key",
        b"auth",
        b"authkey",
        b"authorization",
        b"pass",
        b"pw",
        b"pwd",
        b"sig",
        b"sid",
        b"otp",
        b"otpcode",
        b"totp",
        b"mfacode",
        b"pin",
        b"code",
        b"codeverifier",
        b"jwt",
        b"hmac",
        b"ticket",
        b"samlresponse",
        b"samlrequest",
        b"samlart",
    ];
    NAMES.contains(&plain)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Which letters and digits are in `text`, folded to a bit each. Nearly no name has all that a part needs, so nearly none is searched.
const fn letters(text: &[u8]) -> u32 {
    let (mut letters, mut place) = (0, 0);
    while place < text.len() {
        letters |= 1 << (text[place] & 31);
        place += 1;
    }
    letters
}

const PART_LETTERS: [u32; PARTS.len()] = {
    let (mut all, mut place) = ([0; PARTS.len()], 0);
    while place < PARTS.len() {
        all[place] = letters(PARTS[place].as_bytes());
        place += 1;
    }
    all
};

fn percent_decoded(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (&first, tail) = rest.split_first()?;
        if let (b'%', [high, low, after @ ..]) = (first, tail)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            rest = after;
            return Some(high << 4 | low);
        }
        rest = tail;
        Some(first)
    })
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secret_names_are_masked() {
        for (given, wanted) in [
            ("/a?token=x", "/a?token=…"),
            ("/a?b=1&API-Key=x&c=2", "/a?b=1&API-Key=…&c=2"),
            ("/a?key=x;password=y", "/a?key=…;password=…"),
            ("/a?X-Amz-Signature=x&X-Amz-Date=1", "/a?X-Amz-Signature=…&X-Amz-Date=1"),
            ("/a?t%6Fken=x", "/a?t%6Fken=…"),
            ("/a?refresh_token=a=b&x", "/a?refresh_token=…&x"),
            ("v1:default:GET:http://h/a?client_secret=x", "v1:default:GET:http://h/a?client_secret=…"),
            ("/a?b=?token=x", "/a?b=?token=x"),
            ("/a?PHPSESSID=x&sessid=y", "/a?PHPSESSID=…&sessid=…"),
            ("/a?pw=x&passcode=x&totp=x&otp_code=x&ticket=x", "/a?pw=…&passcode=…&totp=…&otp_code=…&ticket=…"),
            ("/a?SAMLResponse=x&client_assertion=x&auth_key=x", "/a?SAMLResponse=…&client_assertion=…&auth_key=…"),
            ("/a;jsessionid=x?b=1", "/a;jsessionid=…?b=1"),
            ("/a;v=1;JSESSIONID=x/b;c=2", "/a;v=1;JSESSIONID=…/b;c=2"),
            ("v1:default:GET:http://h/a;jsessionid=x #identity=0f", "v1:default:GET:http://h/a;jsessionid=…"),
        ] {
            assert_eq!(redacted(given), wanted);
        }
    }

    #[test]
    fn everything_else_stays_as_it_is_and_costs_no_copy() {
        for text in [
            "/a",
            "/a?",
            "/a?project=p&organization=o",
            "/token/key?page=2",
            "/a?keyboard=1",
            "/a?issueKey=ABC-1",
            "/a?token",
            "/a;v=1/b",
            "/key=1/x",
            "/a?footprint=1",
        ] {
            assert!(matches!(redacted(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }
}
