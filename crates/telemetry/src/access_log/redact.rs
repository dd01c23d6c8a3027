//! Keeps secrets that clients put into the query, or into parameters of the path, out of the log.

use std::borrow::Cow;

use smallvec::SmallVec;

/// Replaces a value that must not be written.
const MASK: &str = "…";

/// A parameter whose name contains one of these holds a secret.
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

/// `text` (a target, or a cache key that ends in one) with the values of secret-looking parameters masked, in the query and in segments
/// of the path (`;jsessionid=`). Names are compared percent-decoded, without case and punctuation, so `X-Amz-Signature` and `api%5Fkey` are
/// found.
pub fn redacted(text: &str) -> Cow<'_, str> {
    // A target has no `#`; a key has parts behind its own, ` #headers=x-api-key=…`.
    let Some(mark) =
        memchr::memchr_iter(b'#', text.as_bytes()).find_map(|hash| hash.checked_sub(1).filter(|at| text[*at..].starts_with(PART)))
    else {
        return redacted_target(text);
    };
    let (target, parts) = text.split_at(mark);
    let target = redacted_target(target);
    let parts: SmallVec<[Cow<'_, str>; 4]> = parts.split(PART).skip(1).map(redacted_part).collect();
    if parts.iter().chain([&target]).all(|part| matches!(part, Cow::Borrowed(_))) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(parts.iter().fold(target.into_owned(), |text, part| text + PART + part))
}

/// Before each part of a key that is not its method and URL.
const PART: &str = " #";

/// One part of a key, with the fields and cookies masked in it that hold credentials.
fn redacted_part(part: &str) -> Cow<'_, str> {
    let Some((kind @ ("headers" | "cookies"), members)) = part.split_once('=') else { return Cow::Borrowed(part) };
    let credential = |member: &str| member.split_once('=').map(|(name, _)| name).filter(|name| is_credential(name)).map(str::len);
    if members.split(';').all(|member| credential(member).is_none()) {
        return Cow::Borrowed(part);
    }
    let masked = members.split(';').map(|member| match credential(member) {
        Some(name) => Cow::Owned([&member[..name], "=", MASK].concat()),
        None => Cow::Borrowed(member),
    });
    Cow::Owned([kind, "=", &masked.collect::<Vec<_>>().join(";")].concat())
}

/// The fields that select a variant, `name=length:value;` each, with those masked that hold credentials.
pub fn redacted_variant(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((name, value)) = rest.split_once('=') {
        let length = value.split_once(':').and_then(|(length, value)| Some((length.parse::<usize>().ok()?, value)));
        let (shown, after) = match length {
            Some((length, value)) if value.is_char_boundary(length) => {
                let (value, after) = value.split_at(length);
                (if is_credential(name) { MASK.to_owned() } else { format!("{length}:{value}") }, after.strip_prefix(';').unwrap_or(after))
            }
            // It is absent, or a hash already.
            _ => {
                let (value, after) = value.split_once(';').unwrap_or((value, ""));
                (value.to_owned(), after)
            }
        };
        out.extend([name, "=", &shown, ";"]);
        rest = after;
    }
    out
}

/// Whether a field or cookie of this name holds a credential. Of fields that only the operator has chosen for a key, more are taken for one.
fn is_credential(name: &str) -> bool {
    is_secret(name) || ["auth", "key"].iter().any(|part| contains(name.as_bytes(), part.as_bytes()))
}

fn redacted_target(text: &str) -> Cow<'_, str> {
    let (path, query) = match memchr::memchr(b'?', text.as_bytes()) {
        Some(mark) => (&text[..mark], Some(&text[mark + 1..])),
        None => (text, None),
    };
    let in_path = memchr::memchr(b';', path.as_bytes()).is_some() && has_secret(path, IN_PATH);
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

/// Whether a parameter has a value that must not be written. Most have none, so this is found out without taking them apart.
fn has_secret(part: &str, separators: Separators) -> bool {
    let separators = separators.map(|separator| separator as u8);
    let (mut start, mut in_name) = (0, true);
    part.bytes().enumerate().any(|(index, byte)| {
        if byte == separators[0] || byte == separators[1] {
            (start, in_name) = (index + 1, true);
        }
        byte == b'=' && std::mem::take(&mut in_name) && is_secret(&part[start..index])
    })
}

/// The characters that separate parameters, both of ASCII.
type Separators = [char; 2];
const IN_QUERY: Separators = ['&', ';'];
const IN_PATH: Separators = ['/', ';'];

fn mask(part: &str, separators: Separators, out: &mut String) {
    for parameter in parameters(part, separators) {
        match secret_value(parameter, separators) {
            Some((name, separator)) => out.extend([name, "=", MASK, separator]),
            None => out.push_str(parameter),
        }
    }
}

/// The parameters, each with the separator that follows it.
fn parameters(part: &str, separators: Separators) -> impl Iterator<Item = &str> {
    part.split_inclusive(separators)
}

/// The name as sent and the separator, if the parameter has a value that must not be written.
fn secret_value(parameter: &str, separators: Separators) -> Option<(&str, &str)> {
    let (name, value) = parameter.split_once('=')?;
    let separator = &value[value.trim_end_matches(separators).len()..];
    is_secret(name).then_some((name, separator))
}

fn is_secret(name: &str) -> bool {
    let name = name.as_bytes();
    // Most names are plain already, and then they need not be copied.
    if name.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return is_secret_plain(name);
    }
    let decoded = percent_decoded(name).filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase());
    is_secret_plain(&decoded.collect::<SmallVec<[u8; 64]>>())
}

/// The same of a name without capitals and punctuation.
fn is_secret_plain(plain: &[u8]) -> bool {
    is_secret_name(plain) || (plain.len() >= SHORTEST_PART && has_secret_part(plain))
}

fn has_secret_part(plain: &[u8]) -> bool {
    let letters = letters(plain);
    // All of them are looked at before it is decided whether to go on, so that one instruction looks at several.
    PART_LETTERS.iter().fold(false, |any, needed| any | (needed & !letters == 0))
        && PARTS.iter().any(|part| contains(plain, part.as_bytes()))
}

/// Bytes of the shortest of [`PARTS`]. Most names are shorter.
const SHORTEST_PART: usize = {
    let (mut shortest, mut index) = (usize::MAX, 0);
    while index < PARTS.len() {
        if PARTS[index].len() < shortest {
            shortest = PARTS[index].len();
        }
        index += 1;
    }
    shortest
};

/// Whether the whole name is one that holds a secret.
fn is_secret_name(plain: &[u8]) -> bool {
    matches!(
        plain,
        b"key"
            | b"auth"
            | b"authkey"
            | b"authorization"
            | b"pass"
            | b"pw"
            | b"pwd"
            | b"sig"
            | b"sid"
            | b"otp"
            | b"otpcode"
            | b"totp"
            | b"mfacode"
            | b"pin"
            | b"code"
            | b"codeverifier"
            | b"jwt"
            | b"hmac"
            | b"ticket"
            | b"samlresponse"
            | b"samlrequest"
            | b"samlart"
    )
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The letters and digits of `text` as a set of bits, several of them sharing one. Hardly any name has all that a part needs, so hardly any
/// is searched.
const fn letters(text: &[u8]) -> u32 {
    let (mut letters, mut index) = (0, 0);
    while index < text.len() {
        letters |= 1 << (text[index] & 31);
        index += 1;
    }
    letters
}

const PART_LETTERS: [u32; PARTS.len()] = {
    let (mut all, mut index) = ([0; PARTS.len()], 0);
    while index < PARTS.len() {
        all[index] = letters(PARTS[index].as_bytes());
        index += 1;
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
            ("v1:default:GET:http://h/a;jsessionid=x #identity=0f", "v1:default:GET:http://h/a;jsessionid=… #identity=0f"),
            (
                "v1:default:GET:http://h/a?b=1 #headers=x-api-key=K;x-b=2;x-auth=A #cookies=session=S;lang=de",
                "v1:default:GET:http://h/a?b=1 #headers=x-api-key=…;x-b=2;x-auth=… #cookies=session=…;lang=de",
            ),
            ("v1:default:GET:http://h/a #headers=x-auth-token=T", "v1:default:GET:http://h/a #headers=x-auth-token=…"),
        ] {
            assert_eq!(redacted(given), wanted);
        }
    }

    #[test]
    fn credentials_of_a_variant_are_masked() {
        for (given, wanted) in [
            ("x-api-key=3:a;b;accept-encoding=2:br;", "x-api-key=…;accept-encoding=2:br;"),
            ("cookie=#0f;x-theme=-;x-token=1:t;", "cookie=#0f;x-theme=-;x-token=…;"),
            ("", ""),
        ] {
            assert_eq!(redacted_variant(given), wanted);
        }
    }

    #[test]
    fn other_text_is_unchanged_and_not_copied() {
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
            "/a?toke=1&oken=2",
            "v1:default:GET:http://h/a #headers=x-b=2 #identity=0f",
        ] {
            assert!(matches!(redacted(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }
}
