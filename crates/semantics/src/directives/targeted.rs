//! Targeted cache control (RFC 9213): the same directives in a structured field for this kind of cache.

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::response::ResponseDirectives;
use super::tokenizer::MAX_DELTA_SECONDS;

/// The directives of the targeted field `name`. `None` where it is absent, empty or not a Dictionary: "if a targeted field in a given
/// response is empty or a parsing error is encountered, that field MUST be ignored by the cache" (RFC 9213 §2.2).
pub(super) fn parse(headers: &HeaderMap, name: &HeaderName) -> Option<ResponseDirectives> {
    let mut lines = headers.get_all(name).iter();
    let mut text = lines.next()?.as_bytes().to_vec();
    for line in lines {
        text.extend_from_slice(b", ");
        text.extend_from_slice(line.as_bytes());
    }
    let dictionary: Dictionary = Parser::new(&text).parse().ok()?;
    if dictionary.is_empty() {
        return None;
    }
    let mut directives = ResponseDirectives { targeted: true, ..ResponseDirectives::default() };
    for (key, entry) in &dictionary {
        // "Parameters received on directives are to be ignored" (§2.1); none of the directives has a list for its value.
        let value = if let ListEntry::Item(item) = entry { Some(&item.bare_item) } else { None };
        add(&mut directives, key.as_str(), value);
    }
    Some(directives)
}

fn add(directives: &mut ResponseDirectives, name: &str, value: Option<&BareItem>) {
    // "no-store=?0" says that it does not apply; a value of any other type than the directive's is read in the safe direction.
    let set = !matches!(value, Some(BareItem::Boolean(false)));
    let permitted = matches!(value, Some(BareItem::Boolean(true)));
    match name {
        "max-age" => directives.max_age = Some(seconds(value)),
        "s-maxage" => directives.s_maxage = Some(seconds(value)),
        "stale-while-revalidate" => directives.stale_while_revalidate = Some(seconds(value)),
        "stale-if-error" => directives.stale_if_error = Some(seconds(value)),
        "no-cache" if set => directives.no_cache.add(names(value)),
        "private" if set => directives.private.add(names(value)),
        "no-store" => directives.no_store = set,
        "must-revalidate" => directives.must_revalidate = set,
        "proxy-revalidate" => directives.proxy_revalidate = set,
        "must-understand" => directives.must_understand = permitted,
        "public" => directives.public = permitted,
        "immutable" => directives.immutable = permitted,
        _ => {}
    }
}

/// An Integer of seconds; anything else is invalid freshness information, and so stale (RFC 9111 §4.2.1).
fn seconds(value: Option<&BareItem>) -> u32 {
    let integer = value.and_then(|value| value.as_integer()).map_or(0, i64::from);
    u32::try_from(integer.clamp(0, i64::from(MAX_DELTA_SECONDS))).unwrap_or(0)
}

fn names(value: Option<&BareItem>) -> Option<&[u8]> {
    match value? {
        BareItem::String(text) => Some(text.as_str().as_bytes()),
        BareItem::Token(text) => Some(text.as_str().as_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::CACHE_CONTROL;

    use super::*;

    const CDN: HeaderName = HeaderName::from_static("cdn-cache-control");
    const OWN: HeaderName = HeaderName::from_static("larder-cache-control");

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn rfc9213_2_2_the_first_valid_target_replaces_cache_control() {
        let fields = headers(&[(CACHE_CONTROL, "no-store"), (CDN, "max-age=60"), (OWN, "max-age=30;x=1"), (OWN, "must-revalidate")]);
        let read = ResponseDirectives::parse(&fields, &[OWN, CDN]);
        assert_eq!((read.max_age, read.must_revalidate, read.no_store, read.targeted), (Some(30), true, false, true));
    }

    #[test]
    fn rfc9213_2_2_malformed_and_empty_ones_are_ignored() {
        for value in ["", "max-age=60,", "max-age=60 no-store", "Max-Age=60", "max-age=@", "\"no-store\""] {
            let fields = headers(&[(CACHE_CONTROL, "max-age=5"), (CDN, value)]);
            let read = ResponseDirectives::parse(&fields, &[CDN]);
            assert_eq!((read.max_age, read.targeted), (Some(5), false), "{value:?}");
        }
    }

    #[test]
    fn rfc9213_2_1_types_other_than_the_directives_own_are_stale() {
        for value in ["max-age=1.5", "max-age=\"60\"", "max-age=a", "max-age", "max-age=-1", "max-age=(60)"] {
            assert_eq!(ResponseDirectives::parse(&headers(&[(CDN, value)]), &[CDN]).max_age, Some(0), "{value}");
        }
        assert_eq!(ResponseDirectives::parse(&headers(&[(CDN, "max-age=999999999999999")]), &[CDN]).max_age, Some(MAX_DELTA_SECONDS));
    }

    #[test]
    fn rfc9213_2_a_field_that_is_not_a_target_changes_nothing() {
        let fields = headers(&[(CACHE_CONTROL, "max-age=5"), (CDN, "no-store")]);
        assert!(!ResponseDirectives::parse(&fields, &[]).no_store);
    }

    #[test]
    fn qualified_directives_name_fields() {
        let read = ResponseDirectives::parse(&headers(&[(CDN, "private=\"x-a, x-b\", no-cache, no-store=?0")]), &[CDN]);
        assert_eq!(read.private.fields().len(), 2);
        assert!(read.no_cache.whole() && !read.no_store);
    }
}
