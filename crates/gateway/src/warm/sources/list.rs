//! A list that an API gives: pages of JSON, of which a JSONPath selects the items.

use std::collections::HashSet;

use http::header::LINK;
use http::uri::PathAndQuery;
use http::{HeaderMap, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{Enough, Finder};
use crate::config::WarmList;

/// All but what stands for itself everywhere in a URL (RFC 3986 §2.3): an item is one value, whatever it is made of.
const ITEM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Hands on the URLs of all items, page after page.
pub(super) async fn find(finder: &mut Finder, list: &WarmList) -> Result<(), Enough> {
    let (mut next, mut seen, mut is_empty) = (Some(list.from.clone()), HashSet::new(), true);
    while let Some(page) = next.take() {
        if !seen.insert(page.clone()) {
            finder.job.found_odd("list-loop");
            return Ok(());
        }
        let Some((headers, body)) = finder.answer(&page).await else { return Ok(()) };
        let Ok(value) = serde_json::from_slice::<Value>(&body) else {
            finder.job.found_wrong("list-not-json");
            return Ok(());
        };
        drop(body);
        for item in list.each.query(&value).iter() {
            is_empty = false;
            match url_of(list, item) {
                Some(url) => finder.named(&url).await?,
                None => finder.job.found_wrong("no-value"),
            }
        }
        next = if list.follow { next_page(&headers, &page) } else { None };
        if next.is_some() && seen.len() >= list.pages as usize {
            finder.job.found_odd("more-pages");
            return Ok(());
        }
    }
    if is_empty {
        finder.job.found_odd("list-empty");
    }
    Ok(())
}

/// The URL of an item; `None` where it is neither a string nor a number.
fn url_of(list: &WarmList, item: &Value) -> Option<String> {
    let text = match item {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    Some(match &list.url {
        Some(url) => url.replace(WarmList::PLACE, &utf8_percent_encode(&text, ITEM).to_string()),
        None => text,
    })
}

/// The page that a `Link` with `rel="next"` names (RFC 8288 §3). It is asked for at the host of the page before: an API that does not know by which name
/// clients know it names another.
fn next_page(headers: &HeaderMap, page: &Uri) -> Option<Uri> {
    let lines = headers.get_all(LINK).iter().filter_map(|line| line.to_str().ok());
    let target = lines.flat_map(links).find(|(_, parameters)| is_next(parameters))?.0;
    let target = match target.split_once("://") {
        Some((_, rest)) => &rest[rest.find(['/', '?']).unwrap_or(rest.len())..],
        None => target,
    };
    let path = page.path();
    let whole = match target.as_bytes().first() {
        Some(b'/') if target.starts_with("//") => target[2..].find('/').map_or("/", |place| &target[2 + place..]).to_owned(),
        Some(b'/') => target.to_owned(),
        Some(b'?') => format!("{path}{target}"),
        Some(_) => format!("{}{target}", &path[..=path.rfind('/')?]),
        None => "/".to_owned(),
    };
    let mut parts = page.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(whole).ok()?);
    Uri::from_parts(parts).ok()
}

/// The links of a line: what stands between angle brackets, and the parameters behind it.
fn links(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let start = rest.find('<')? + 1;
        let end = start + rest[start..].find('>')?;
        let target = &rest[start..end];
        let behind = &rest[end + 1..];
        // Another link begins after a comma outside of quotes.
        let mut is_quoted = false;
        let length = behind.find(|letter| {
            is_quoted ^= letter == '"';
            letter == ',' && !is_quoted
        });
        let (parameters, after) = behind.split_at(length.unwrap_or(behind.len()));
        rest = after;
        Some((target.trim(), parameters))
    })
}

/// "next" is one of the relation types, in any case of letters.
fn is_next(parameters: &str) -> bool {
    parameters.split(';').filter_map(|parameter| parameter.split_once('=')).any(|(name, value)| {
        let types = value.trim().trim_matches('"').split_ascii_whitespace();
        name.trim().eq_ignore_ascii_case("rel") && types.into_iter().any(|kind| kind.eq_ignore_ascii_case("next"))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    fn next(line: &'static str) -> Option<String> {
        let headers = [(LINK, HeaderValue::from_static(line))].into_iter().collect();
        next_page(&headers, &Uri::from_static("http://a.example/api/items?page=1")).map(|page| page.to_string())
    }

    #[test]
    fn rfc8288_the_next_page_is_found_among_other_links_and_stays_at_its_host() {
        for (line, page) in [
            ("</api/items?page=2>; rel=\"next\"", Some("http://a.example/api/items?page=2")),
            ("<?page=2>; rel=next", Some("http://a.example/api/items?page=2")),
            ("<items?page=2>; REL=\"prefetch Next\"", Some("http://a.example/api/items?page=2")),
            ("</a>; rel=\"prev\"; title=\"a, <b>\", <https://internal:3000/c?d=e,f>; rel=\"next\"", Some("http://a.example/c?d=e,f")),
            ("<//other/c>; rel=next", Some("http://a.example/c")),
            ("<https://other>; rel=next", Some("http://a.example/")),
            ("</a>; rel=\"prev\"", None),
            ("</a>; title=\"rel=next\"; rel=prev", None),
            ("</a", None),
            ("", None),
        ] {
            assert_eq!(next(line).as_deref(), page, "{line}");
        }
    }

    #[test]
    fn an_item_is_one_value_whatever_it_is_made_of() {
        let list = |url: Option<&str>| WarmList {
            from: Uri::from_static("http://a.example/"),
            each: Default::default(),
            url: url.map(str::to_owned),
            follow: false,
            pages: 1,
        };
        let of = |url, item| url_of(&list(url), &item);
        assert_eq!(
            of(Some("/a/{}/b?c={}"), json!("x/../y?z ä")).as_deref(),
            Some("/a/x%2F..%2Fy%3Fz%20%C3%A4/b?c=x%2F..%2Fy%3Fz%20%C3%A4")
        );
        assert_eq!([of(Some("/a/{}"), json!(7)), of(None, json!("/b?c"))], [Some("/a/7".to_owned()), Some("/b?c".to_owned())]);
        assert_eq!([json!({}), json!([1]), json!(null), json!(true)].map(|item| of(None, item)), [None, None, None, None]);
    }
}
