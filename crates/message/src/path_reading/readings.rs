//! The paths that routes and origins may read.

use std::borrow::Cow;

use super::escapes::{decoded, has_odd_octets, octet};
use super::segments::{has_odd_segments, lenient, without_odd_segments};

/// The path as routes see it: unreserved characters as themselves (RFC 3986 §6.2.2.2), without dot segments (§6.2.2.3) and without empty ones.
/// "URIs that differ in the replacement of an unreserved character with its corresponding percent-encoded US-ASCII octet are equivalent".
pub fn normal(path: &str) -> Cow<'_, str> {
    if is_plain(path) {
        return Cow::Borrowed(path);
    }
    match decoded(path) {
        decoded if has_odd_segments(&decoded) => Cow::Owned(without_odd_segments(&decoded)),
        decoded => decoded,
    }
}

/// Whether there is more than one reading.
pub fn is_odd(path: &str) -> bool {
    !is_plain(path) && {
        let decoded = decoded(path);
        has_odd_segments(&decoded) || lenient(&decoded) != decoded || has_odd_octets(&decoded)
    }
}

/// Every path that an origin may take this one for: as routes see it first, then as one does that decodes before it looks at segments.
pub fn readings(path: &str) -> Vec<Cow<'_, str>> {
    let first = normal(path);
    let second = if is_plain(path) { Cow::Borrowed(path) } else { Cow::Owned(without_odd_segments(&lenient(&decoded(path)))) };
    if second == first { vec![first] } else { vec![first, second] }
}

/// The path without a slash at the end and without parameters of segments, which many origins leave out before they look at it.
pub fn simplified(path: &str) -> Cow<'_, str> {
    let bare = path.strip_suffix('/').filter(|bare| !bare.is_empty()).unwrap_or(path);
    if !bare.contains(';') {
        return Cow::Borrowed(bare);
    }
    Cow::Owned(bare.split('/').map(|segment| segment.split(';').next().unwrap_or(segment)).collect::<Vec<_>>().join("/"))
}

/// A part of a path without a slash at the end and without parameters of segments, also where their delimiter is encoded. What is behind `%2f`,
/// `%3f` and `%23` stays: for most origins `group%2Fproject` and `c%23` are names.
pub fn simplified_part(part: &str) -> Cow<'_, str> {
    if !part.contains("%3b") && !part.contains("%3B") {
        return simplified(part);
    }
    Cow::Owned(simplified(&part.replace("%3b", ";").replace("%3B", ";")).into_owned())
}

/// Every path, in small letters, that an origin may take this one for which is lenient besides: it leaves out a slash at the end, parameters of
/// segments, all that follows an encoded delimiter (`%3f`, `%23`, `%3b`, a control character), or an extension (`.css`), which it takes for a format.
pub fn lenient_readings(path: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut add = |text: &str| {
        let text = simplified(text).to_ascii_lowercase();
        if !all.contains(&text) {
            all.push(text);
        }
    };
    for reading in readings(path) {
        let whole = simplified(&reading);
        add(&whole);
        let cut = before_encoded_delimiter(&whole);
        add(cut);
        add(without_extension(cut));
    }
    all
}

/// The part before the first octet that ends a path for an origin which decodes it first.
fn before_encoded_delimiter(path: &str) -> &str {
    let is_delimiter = |octet: u8| matches!(octet, b'?' | b'#' | b';') || octet.is_ascii_control();
    let mut escapes = path.match_indices('%').map(|(at, _)| at);
    escapes.find(|at| octet(&path[at + 1..]).is_some_and(is_delimiter)).map_or(path, |at| &path[..at])
}

fn without_extension(path: &str) -> &str {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    path[name..].rfind('.').filter(|dot| *dot > 0).map_or(path, |dot| &path[..name + dot])
}

/// Whether some reading of the path leads above its root, so that behind a base path it would leave that.
pub fn climbs(path: &str) -> bool {
    if is_plain(path) {
        return false;
    }
    let mut depth = 0_usize;
    for segment in decoded(path).split('/') {
        let separated = lenient(segment);
        let ups = separated.split('/').filter(|part| *part == "..").count();
        // An origin for which this is one segment with a strange name goes down by one, any other by no more than it goes up.
        let downs = usize::from(ups == 0 && !matches!(segment, "" | "."));
        match (depth + downs).checked_sub(ups) {
            Some(left) => depth = left,
            None => return true,
        }
    }
    false
}

/// Whether the path has none of the bytes that any of the others look for. Looks at each byte once, for every request.
fn is_plain(path: &str) -> bool {
    let bytes = path.as_bytes();
    let behind = bytes.iter().skip(1);
    let pairs = bytes
        .iter()
        .zip(behind)
        .fold(false, |odd, (&one, &next)| odd | ((one == b'/') & ((next == b'/') | (next == b'.'))) | (next == b'%') | (next == b'\\'));
    !pairs && !matches!(bytes.first(), Some(b'%' | b'\\' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3986_2_3_unreserved_characters_are_themselves() {
        for (path, normalised) in [
            ("/a", "/a"),
            ("", ""),
            ("/%61dmin/%7Ex", "/admin/~x"),
            ("%61", "a"),
            ("/a%2Fb%2fc%20%C3%A9", "/a%2Fb%2fc%20%C3%A9"),
            ("/%", "/%"),
            ("/%6", "/%6"),
            ("/%+6%-1%6g%6\u{e9}", "/%+6%-1%6g%6\u{e9}"),
            ("/%2561", "/%2561"),
            ("/%%61", "/%a"),
        ] {
            assert_eq!(normal(path), normalised, "{path}");
        }
    }

    #[test]
    fn a_part_of_a_path_is_the_same_with_parameters_and_without() {
        for part in ["acme", "acme;1", "acme;v=2;w", "acme%3b3", "acme%3B;4", "acme/", "acme;1/"] {
            assert_eq!(simplified_part(part), "acme", "{part}");
        }
        assert_eq!(simplified_part("acme;1/a%3b2/b"), "acme/a/b");
        for other in ["", "acme/a", "ACME", "acme.de", "group%2Fproject", "c%23", "a%3"] {
            assert_eq!(simplified_part(other), other);
        }
    }

    #[test]
    fn rfc3986_6_2_2_3_dot_segments_and_empty_ones_are_left_out() {
        for (path, normalised) in [
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/../../a", "/a"),
            ("//a//b", "/a/b"),
            ("///", "/"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/a//", "/a/"),
            ("/a//../b", "/b"),
            ("/.well-known/a..b/...", "/.well-known/a..b/..."),
            ("/a%2f../b", "/a%2f../b"),
        ] {
            assert_eq!(normal(path), normalised, "{path}");
        }
    }

    #[test]
    fn a_path_with_one_reading_is_not_odd() {
        for path in [
            "",
            "*",
            "/",
            "/a",
            "/a/",
            "/a.b/c..d/...",
            "/.well-known/x",
            "/%7Eme/%61",
            "/a%20b%3Fc%23",
            "/%C3%A4",
            "/ä",
            "/a;b=c/d",
            "/100%",
            "/a%zz",
            "/a:b@c,d",
            "/%25",
            "/a%2541",
        ] {
            assert!(!is_odd(path), "{path}");
            assert_eq!(readings(path).len(), 1, "{path}");
        }
    }

    #[test]
    fn a_path_with_several_readings_is_odd() {
        for path in [
            "//a",
            "/a//b",
            "/a//",
            "/.",
            "/a/..",
            "/a/./b",
            "/a/%2e%2e/b",
            "/a/.%2E",
            "/a%2fb",
            "/a%2F",
            "/a\\b",
            "/a%5cb",
            "/..;/a",
            "/a/..;x=y/b",
            "/a/%2e;/b",
            "/..%3b/a",
            "/a%252fb",
            "/a/%252e%252e/b",
            "/a%255cb",
            "/a%00",
            "/a%0ab",
            "/a%7f",
            "/a%c0%af",
            "/%u002e",
            "\\a",
            "/..\\a",
        ] {
            assert!(is_odd(path), "{path}");
        }
    }

    #[test]
    fn the_second_reading_decodes_first() {
        for (path, expected) in [
            ("/static/..%2fapi/v1/me", vec!["/static/..%2fapi/v1/me", "/api/v1/me"]),
            ("/static/..\\api", vec!["/static/..\\api", "/api"]),
            ("/static/%252e%252e/api", vec!["/static/%252e%252e/api", "/api"]),
            ("/static/..;x/api", vec!["/static/..;x/api", "/api"]),
            ("/static/..%3bx/api", vec!["/static/..%3bx/api", "/api"]),
            ("/x/../issues/7", vec!["/issues/7"]),
            ("/a%2Fb", vec!["/a%2Fb", "/a/b"]),
        ] {
            assert_eq!(readings(path), expected, "{path}");
        }
    }

    #[test]
    fn a_lenient_origin_sees_less_of_a_path_than_there_is() {
        for path in [
            "/api/me",
            "/API/Me",
            "/api/me/",
            "/api/me;x",
            "/api;x/me;y=z",
            "/api/me.css",
            "/api/me%3fx.css",
            "/api/me%23.js",
            "/api/me%3Bx.css",
        ] {
            assert!(lenient_readings(path).iter().any(|reading| reading == "/api/me"), "{path}: {:?}", lenient_readings(path));
        }
        for path in ["/api/me%00.css", "/static/..%2fapi/me", "//api/me", "/x/../api/Me.json", "/static/..;/api/me/"] {
            assert!(lenient_readings(path).iter().any(|reading| reading == "/api/me"), "{path}: {:?}", lenient_readings(path));
        }
        assert_eq!(lenient_readings("/a/b"), ["/a/b"]);
        assert_eq!(lenient_readings("/"), ["/"]);
        assert_eq!(lenient_readings("/.well-known/x"), ["/.well-known/x"], "no extension of nothing");
        assert_eq!(lenient_readings("/v1.2/Report.final.pdf"), ["/v1.2/report.final.pdf", "/v1.2/report.final"]);
    }

    #[test]
    fn a_path_that_leads_above_its_root_in_some_reading_climbs() {
        for path in [
            "/..",
            "/../",
            "/../a",
            "/a/../../b",
            "/a/./../../b",
            "/a//../../b",
            "/%2e%2e/a",
            "/..%2fa",
            "/a/..%2f..%2fb",
            "/..\\a",
            "/..;/a",
            "/a%2fb/../../c",
            "/%252e%252e/a",
            "/a%2f../../b",
        ] {
            assert!(climbs(path), "{path}");
        }
        for path in ["/", "/a", "/a/..", "/a/../b", "/a/b/../../c", "/a/..b/...", "/a%2fb", "/a/b%2f..", "*"] {
            assert!(!climbs(path), "{path}");
        }
    }
}
