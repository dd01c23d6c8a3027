//! URI references in response fields (RFC 3986 §5).

use crate::invalidation::InvalidTarget;
use crate::key::Target;

/// Resolves a reference against the target URI (RFC 3986 §5.2.2); its fragment is left out. `None` for another scheme than `http` and
/// `https`.
pub(crate) fn resolve(base: Target<'_>, reference: &str) -> Option<InvalidTarget> {
    let reference = reference.trim_ascii();
    let reference = reference.split_once('#').map_or(reference, |(before, _)| before);
    let (scheme, rest) = match split_scheme(reference) {
        Some((scheme, rest)) => (scheme, rest),
        None => (base.scheme, reference),
    };
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let (before_query, query) = match rest.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (rest, None),
    };
    let made = |authority: &str, path: String, query: Option<&str>| {
        Some(InvalidTarget {
            scheme: scheme.to_ascii_lowercase(),
            authority: authority.to_owned(),
            path: if path.is_empty() { "/".to_owned() } else { path },
            query: query.map(str::to_owned),
        })
    };
    if let Some(after) = before_query.strip_prefix("//") {
        let (authority, path) = after.find('/').map_or((after, ""), |slash| after.split_at(slash));
        return made(authority, remove_dot_segments(path), query);
    }
    if scheme.len() != base.scheme.len() || split_scheme(reference).is_some() {
        // `http:path` names no host.
        return None;
    }
    if before_query.is_empty() {
        return made(base.authority, base.path.to_owned(), query.or(base.query));
    }
    if before_query.starts_with('/') {
        return made(base.authority, remove_dot_segments(before_query), query);
    }
    let directory = base.path.rfind('/').map_or("/", |slash| &base.path[..=slash]);
    made(base.authority, remove_dot_segments(&format!("{directory}{before_query}")), query)
}

/// "Two URIs have the same origin if they have the same scheme, host, and port" (RFC 9110 §4.3.1).
pub(crate) fn same_origin(one: Target<'_>, other: Target<'_>) -> bool {
    let port = |target: Target<'_>| if target.scheme.eq_ignore_ascii_case("https") { "443" } else { "80" };
    let split = |target: Target<'_>| match target.authority.rsplit_once(':') {
        Some((host, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            (host.to_ascii_lowercase(), if number.is_empty() { port(target) } else { number }.to_owned())
        }
        _ => (target.authority.to_ascii_lowercase(), port(target).to_owned()),
    };
    one.scheme.eq_ignore_ascii_case(other.scheme) && split(one) == split(other)
}

/// `scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )` before the first of `:/?`.
fn split_scheme(reference: &str) -> Option<(&str, &str)> {
    let end = reference.find([':', '/', '?'])?;
    let (scheme, rest) = reference.split_at(end);
    let valid = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    rest.strip_prefix(':').filter(|_| valid).map(|rest| (scheme, rest))
}

/// RFC 3986 §5.2.4, for paths that begin with `/` or are empty.
fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    kept.iter().fold(String::with_capacity(path.len()), |text, segment| text + "/" + segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 3986 §5.4 that concern an `http` base without parameters.
    #[test]
    fn rfc3986_5_4_reference_resolution() {
        let base = Target { scheme: "http", authority: "a", path: "/b/c/d;p", query: Some("q") };
        let cases = [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../../g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g/../h", "http://a/b/c/h"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("http://other:81", "http://other:81/"),
            ("HTTPS://x/y?z", "https://x/y?z"),
        ];
        for (reference, expected) in cases {
            let found = resolve(base, reference).unwrap();
            let query = found.query.as_ref().map_or(String::new(), |query| format!("?{query}"));
            assert_eq!(format!("{}://{}{}{query}", found.scheme, found.authority, found.path), expected, "{reference}");
        }
        assert_eq!(resolve(base, "mailto:a@b"), None);
        assert_eq!(resolve(base, "http:g"), None);
    }
}
