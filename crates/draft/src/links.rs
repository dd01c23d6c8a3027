//! What else there is, going by an answer: links in it, and the first item of a list.

use serde_json::Value;

use crate::openapi::{below, scalar};

/// Links that are taken from one answer.
const MAX_LINKS: usize = 100;

/// Paths below this URL of an upstream that a page or JSON names, without query, as clients ask for them.
pub(crate) fn links(body: &[u8], json: Option<&Value>, origin: &str) -> Vec<String> {
    let mut found = Vec::new();
    match json {
        Some(value) => of_json(value, origin, &mut found),
        None => of_page(&String::from_utf8_lossy(body), origin, &mut found),
    }
    found
}

fn of_json(value: &Value, origin: &str, found: &mut Vec<String>) {
    match value {
        Value::String(text) => add(text, origin, found),
        Value::Array(items) => items.iter().for_each(|item| of_json(item, origin, found)),
        Value::Object(members) => {
            for (name, member) in members {
                add(name, origin, found);
                of_json(member, origin, found);
            }
        }
        _ => {}
    }
}

/// Values of `href` and `src`, as far as they can be told without reading HTML.
fn of_page(text: &str, origin: &str, found: &mut Vec<String>) {
    for attribute in ["href=", "src="] {
        for (at, _) in text.match_indices(attribute) {
            let rest = &text[at + attribute.len()..];
            let Some(quote @ ('"' | '\'')) = rest.chars().next() else { continue };
            if let Some(link) = rest[1..].split(quote).next() {
                add(link, origin, found);
            }
        }
    }
}

fn add(link: &str, origin: &str, found: &mut Vec<String>) {
    let root = origin.find("://").and_then(|at| origin[at + 3..].find('/').map(|slash| at + 3 + slash)).unwrap_or(origin.len());
    let (host, base) = origin.split_at(root);
    let path = link.strip_prefix(host).unwrap_or(link);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let Some(path) = below(base, path) else { return };
    if found.len() < MAX_LINKS
        && path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= 200
        && !found.iter().any(|known| known == path)
    {
        found.push(path.to_owned());
    }
}

/// The first item of a list: of the array itself, or of the first array in the object around it.
pub(crate) fn first_item(json: &Value) -> Option<&Value> {
    let list = match json {
        Value::Array(list) => list,
        Value::Object(members) => {
            members.values().find_map(|member| member.as_array().filter(|list| list.first().is_some_and(Value::is_object)))?
        }
        _ => return None,
    };
    list.first()
}

/// What an item is known by where a path calls it `part`.
pub(crate) fn key_of(item: &Value, part: &str) -> Option<String> {
    let Value::Object(members) = item else { return scalar(item) };
    let plain = |name: &str| name.to_ascii_lowercase().replace(['_', '-'], "");
    let same = members.iter().find(|(name, _)| plain(name) == plain(part)).map(|(_, value)| value);
    let usual = ["id", "_id", "uuid", "slug", "key", "code", "name"].iter().filter_map(|name| members.get(*name));
    same.into_iter().chain(usual).find_map(scalar)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{first_item, key_of, links};

    #[test]
    fn links_of_json_and_of_pages_are_paths_on_the_origin() {
        let index =
            json!({ "books": "http://h:1/books/?page=1", "see": ["/authors", "https://other/x", "//h/y", "text"], "/search?q=": "a list" });
        assert_eq!(links(b"", Some(&index), "http://h:1"), ["/search", "/books/", "/authors"]);
        let below = json!({ "books": "http://h:1/api/books", "other": "/other", "near": "/apiary", "same": "/api/v2" });
        assert_eq!(links(b"", Some(&below), "http://h:1/api"), ["/books", "/v2"]);
        let page = r##"<a href="/a#x">a</a> <script src='/app.js'></script> <a href=/bare> <a href="mailto:x"> <a href="/a">"##;
        assert_eq!(links(page.as_bytes(), None, "http://h:1"), ["/a", "/app.js"]);
    }

    #[test]
    fn an_item_is_known_by_what_the_path_calls_it_or_by_its_id() {
        let list = json!({ "total": 1, "items": [{ "id": 7, "bookId": "b7" }] });
        let item = first_item(&list).expect("an item");
        assert_eq!((key_of(item, "book_id").as_deref(), key_of(item, "number").as_deref()), (Some("b7"), Some("7")));
        assert_eq!(key_of(first_item(&json!(["de"])).expect("an item"), "language").as_deref(), Some("de"));
        assert!(first_item(&json!({ "a": [1], "b": {} })).is_none());
    }
}
