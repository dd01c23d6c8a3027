//! Cache groups (RFC 9875): responses of one origin that are invalidated together.

use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{BareItem, List, ListEntry, Parser};

use crate::head::stored::StoredHead;

/// The groups that a response belongs to (§2).
const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");

/// The groups that the answer to an unsafe request makes invalid (§3).
const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// A group of stored responses. "They both share the same URI origin" (§2.1): the one that stands in keys, so where hosts or schemes have one key, they
/// have the same groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheGroup(String);

impl CacheGroup {
    /// Whether a stored response has the field.
    pub fn are_named_by(head: &StoredHead) -> bool {
        head.headers.get(&CACHE_GROUPS).is_some()
    }

    /// Those that a stored response belongs to. `url`: the part of its key.
    pub fn of_stored(url: &str, head: &StoredHead) -> Vec<Self> {
        let lines = head.headers.lines().filter(|(name, _)| **name == CACHE_GROUPS).map(|(_, value)| value);
        Self::listed(url, lines)
    }

    /// Those that an answer to an unsafe request makes invalid: "The Cache-Group-Invalidation header field MUST be ignored on responses to requests
    /// that have a safe method" (§3). `url`: that of the request's target, as it stands in keys.
    pub fn invalidated(url: &str, response: &HeaderMap) -> Vec<Self> {
        Self::listed(url, response.get_all(CACHE_GROUP_INVALIDATION).iter().map(HeaderValue::as_bytes))
    }

    /// The name, unlike that of any other origin's group. Strings are compared "character-by-character (case sensitive)" (§2.1).
    pub fn name(&self) -> &str {
        &self.0
    }

    /// A "List of Strings", whose parameters "are to be ignored" (§2). A field that is anything else is as if it was not there (RFC 9651 §4.2).
    fn listed<'l>(url: &str, lines: impl Iterator<Item = &'l [u8]>) -> Vec<Self> {
        let lines: Vec<&[u8]> = lines.collect();
        if lines.is_empty() {
            return Vec::new();
        }
        let Ok(list) = Parser::new(&lines.join(&b", "[..])).parse::<List>() else { return Vec::new() };
        let groups = list.iter().map(|member| match member {
            ListEntry::Item(item) => match &item.bare_item {
                BareItem::String(text) => Some(Self(format!("cache-group:{}/{}", origin_of(url), text.as_str()))),
                _ => None,
            },
            ListEntry::InnerList(_) => None,
        });
        groups.collect::<Option<Vec<_>>>().unwrap_or_default()
    }
}

/// Scheme and authority of a key's URL.
fn origin_of(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..].find(['/', '?']).map_or(url.len(), |at| authority + at);
    &url[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invalidated(url: &str, lines: &[&'static str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        lines.iter().for_each(|line| _ = headers.append(CACHE_GROUP_INVALIDATION, HeaderValue::from_static(line)));
        CacheGroup::invalidated(url, &headers).into_iter().map(|CacheGroup(name)| name).collect()
    }

    #[test]
    fn rfc9875_2_a_field_is_a_list_of_strings_on_any_number_of_lines() {
        let url = "https://a.example/x?y";
        let found = invalidated(url, &["\"a\";p=1, \"B, c\"", "\"\""]);
        assert_eq!(found, ["cache-group:https://a.example/a", "cache-group:https://a.example/B, c", "cache-group:https://a.example/"]);
        for broken in ["a", "\"a\", b", "\"a\" \"b\"", "(\"a\")", "1", "", "\"a"] {
            assert!(invalidated(url, &[broken]).is_empty(), "{broken}");
        }
        assert!(invalidated(url, &[]).is_empty());
    }

    #[test]
    fn rfc9875_2_many_and_long_groups_are_told_apart() {
        let many: Vec<String> = (0..64).map(|number| format!("\"{number:064}\"")).collect();
        assert_eq!(invalidated("http://a/", &[Box::leak(many.join(",").into_boxed_str())]).len(), 64);
    }

    #[test]
    fn rfc9875_2_1_a_group_is_that_of_one_origin() {
        let name = |url| invalidated(url, &["\"g\""]).remove(0);
        assert_eq!(name("http://a/x"), name("http://a/y/z?q"));
        assert!(
            ["https://a/x", "http://b/x", "http://a:8080/x", "*://a/x", "http://*/x"].iter().all(|other| name(other) != name("http://a/x"))
        );
    }
}
