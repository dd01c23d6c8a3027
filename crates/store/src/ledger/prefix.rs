//! Prefixes of whole path segments.

use super::spelling::one_spelling;
use super::tag::Tag;

/// Depths beyond this one count as this one.
const DEEPEST: u32 = 63;

/// A prefix as it is compared: `example.com/a/b`, or `/a/b` for every host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) tag: Tag,
    pub(super) depth: Depth,
}

/// How many segments a prefix has, with or without a host: one bit each, so that look-ups try only what was ever invalidated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Depth {
    pub(super) hosts: u64,
    pub(super) paths: u64,
}

impl Depth {
    pub(super) fn of(segments: u32, host: bool) -> Self {
        let bit = bit(segments);
        if host { Self { hosts: bit, paths: 0 } } else { Self { hosts: 0, paths: bit } }
    }

    pub(super) fn join(&mut self, other: Self) {
        self.hosts |= other.hosts;
        self.paths |= other.paths;
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl Prefix {
    /// Any text is a prefix.
    pub(super) fn new(text: &str) -> Self {
        let text = Self::text(text);
        let (host, path) = split(&text);
        let depth = Depth::of(path.bytes().filter(|byte| *byte == b'/').count() as u32, !host.is_empty());
        Self { tag: Tag::prefix(&text), depth }
    }

    /// As it is compared: in the one spelling of what is below it, without a scheme and the slashes at the end, the host in lower case and without a default
    /// port.
    pub(super) fn text(text: &str) -> String {
        // A path may hold another URL.
        let (defaults, rest) = match text.split_once("://").filter(|(scheme, _)| !scheme.contains('/')) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (&[":", ":443"][..], rest),
            Some((_, rest)) => (&[":", ":80"][..], rest),
            // One of the two was meant.
            None => (&[":", ":80", ":443"][..], text),
        };
        let (host, path) = split(rest);
        let host = defaults.iter().find_map(|port| host.strip_suffix(port)).unwrap_or(host);
        let text = host.to_ascii_lowercase() + path;
        one_spelling(&text).trim_end_matches('/').to_owned()
    }
}

/// Host, and path with its slash.
fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find('/').unwrap_or(text.len()))
}

fn bit(depth: u32) -> u64 {
    1 << depth.min(DEEPEST)
}

/// Host and path of a key's URL: without scheme and query.
pub(super) fn host_and_path(url: &str) -> &str {
    let rest = url.find("://").map_or(url, |at| &url[at + 3..]);
    &rest[..rest.find('?').unwrap_or(rest.len())]
}

/// Path of a key's URL: without host and query.
pub(super) fn path_of(url: &str) -> &str {
    split(host_and_path(url)).1
}

/// Every prefix of a text, with how many segments it has: from its host alone, or nothing where it has none, to the whole.
pub(super) fn ancestors(text: &str) -> impl Iterator<Item = (Tag, u32)> + '_ {
    let borders = text.match_indices('/').map(|(at, _)| at).chain([text.len()]);
    borders.zip(0..).map(|(border, depth)| (Tag::prefix(&text[..border]), depth))
}

/// The prefixes of a key's URL at the depths asked for. Allocates nothing.
pub(super) fn prefixes_of(url: &str, depths: Depth) -> impl Iterator<Item = Tag> + '_ {
    let text = host_and_path(url);
    let host = text.find('/').unwrap_or(text.len());
    let borders = text.match_indices('/').map(|(at, _)| at).chain([text.len()]);
    borders.enumerate().flat_map(move |(depth, border)| {
        let bit = bit(depth as u32);
        let with_host = (depths.hosts & bit != 0).then(|| Tag::prefix(&text[..border]));
        let without = (depths.paths & bit != 0).then(|| Tag::prefix(&text[host..border]));
        with_host.into_iter().chain(without)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(prefix: &str, url: &str) -> bool {
        let prefix = Prefix::new(prefix);
        prefixes_of(url, prefix.depth).any(|tag| tag == prefix.tag)
    }

    #[test]
    fn a_prefix_is_made_of_whole_segments() {
        for (prefix, url, covered) in [
            ("a.example/api/v1", "http://a.example/api/v1", true),
            ("a.example/api/v1", "http://a.example/api/v1/", true),
            ("a.example/api/v1", "https://a.example/api/v1/x/y?q=/z", true),
            ("a.example/api/v1", "http://a.example/api/v1?q", true),
            ("a.example/api/v1", "http://a.example/api/v10", false),
            ("a.example/api/v1", "http://b.example/api/v1", false),
            ("a.example/api/v1", "http://a.example/api", false),
            ("a.example", "http://a.example/x", true),
            ("a.example/", "http://a.example/", true),
            ("a.example", "http://a.example:8080/x", false),
            ("https://A.example:443/x/", "https://a.example/x/y", true),
            ("a.example:80/x", "http://a.example/x", true),
            ("http://a.example:/x", "http://a.example/x", true),
            ("http://a.example:443/x", "http://a.example/x", false),
            ("a.example:8080/x", "http://a.example:8080/x", true),
            ("/api", "http://any.example/api/x", true),
            ("/api", "http://any.example/apix", false),
            ("/", "http://any.example/api/x", true),
            ("/x", "http://a.example/y?u=http://b/x", false),
            ("/%7eann", "http://a.example/~ann/x", true),
            ("a.example./b//c/../%78", "http://a.example/b/x/y", true),
            ("/proxy/https://b.example", "http://b.example/x", false),
        ] {
            assert_eq!(covers(prefix, url), covered, "{prefix} on {url}");
        }
    }

    #[test]
    fn very_deep_prefixes_are_prefixes_all_the_same() {
        let deep = "/s".repeat(100);
        assert!(covers(&format!("a{deep}"), &format!("http://a{deep}/x")));
        assert!(!covers(&format!("a{deep}/y"), &format!("http://a{deep}/x")));
    }
}
