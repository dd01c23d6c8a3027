//! Keeps secrets that clients put into the query out of the log.

use std::borrow::Cow;

/// What stands for a value that is not written.
const MASK: &str = "…";

/// Names that hold a secret when they are exactly this.
const NAMES: [&str; 12] = ["key", "auth", "authorization", "pass", "pwd", "sig", "sid", "otp", "pin", "code", "jwt", "hmac"];
/// Names that hold a secret when this is anywhere in them.
const PARTS: [&str; 14] = [
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
    "bearer",
];

/// `text` (a target, or a cache key that ends in one) with the values of secret-looking query parameters masked. Names are compared
/// percent-decoded, in any case and without punctuation, so `X-Amz-Signature` and `api%5Fkey` are found.
pub(super) fn redacted(text: &str) -> Cow<'_, str> {
    let Some((path, query)) = text.split_once('?') else { return Cow::Borrowed(text) };
    if !parameters(query).any(|parameter| secret_value(parameter).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    out.push_str(path);
    out.push('?');
    for parameter in parameters(query) {
        match secret_value(parameter) {
            Some((name, separator)) => out.extend([name, "=", MASK, separator]),
            None => out.push_str(parameter),
        }
    }
    Cow::Owned(out)
}

/// The parameters, each with the separator behind it.
fn parameters(query: &str) -> impl Iterator<Item = &str> {
    query.split_inclusive(['&', ';'])
}

/// The name as sent and the separator, if the parameter has a value that must not be written.
fn secret_value(parameter: &str) -> Option<(&str, &str)> {
    let (name, value) = parameter.split_once('=')?;
    let separator = &value[value.trim_end_matches(['&', ';']).len()..];
    is_secret(name).then_some((name, separator))
}

fn is_secret(name: &str) -> bool {
    let plain: String =
        percent_decoded(name.as_bytes()).filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase() as char).collect();
    NAMES.contains(&plain.as_str()) || PARTS.iter().any(|part| plain.contains(part))
}

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
        ] {
            assert_eq!(redacted(given), wanted);
        }
    }

    #[test]
    fn everything_else_stays_as_it_is_and_costs_no_copy() {
        for text in ["/a", "/a?", "/a?project=p&organization=o", "/token/key?page=2", "/a?keyboard=1", "/a?issueKey=ABC-1", "/a?token"] {
            assert!(matches!(redacted(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }
}
