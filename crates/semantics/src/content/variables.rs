//! The variables of an operation, by which the targets of its invalidations are named.

use super::json::Value;

/// The most of them that are told.
const MAX_COUNT: usize = 64;

/// Bytes of the longest one: longer texts are no names of anything.
const MAX_LENGTH: usize = 1024;

/// Objects and lists within each other at most.
const MAX_DEPTH: usize = 8;

/// Texts, numbers and booleans with their paths: names of members and places in lists, with dots between them.
pub(super) fn of(variables: &Value<'_>) -> Vec<(String, String)> {
    let mut all = Vec::new();
    add(&mut all, "", variables, 0);
    all
}

fn add(all: &mut Vec<(String, String)>, path: &str, value: &Value<'_>, depth: usize) {
    let within = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if depth > MAX_DEPTH || all.len() >= MAX_COUNT {
        return;
    }
    match value {
        Value::Plain("null") => {}
        Value::Plain(text) => put(all, path, text),
        Value::String(text) => put(all, path, text),
        Value::Array(items) => items.iter().enumerate().for_each(|(place, item)| add(all, &within(&place.to_string()), item, depth + 1)),
        Value::Object(members) => members.iter().for_each(|(name, value)| add(all, &within(name), value, depth + 1)),
    }
}

fn put(all: &mut Vec<(String, String)>, path: &str, text: &str) {
    if !path.is_empty() && text.len() <= MAX_LENGTH {
        all.push((path.to_owned(), text.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_have_paths_and_are_bounded() {
        let long = "x".repeat(MAX_LENGTH + 1);
        let text = format!(r#"{{"a":1.50,"b":null,"c":true,"d":{{"e":["x",{{"f":"y"}}]}},"g":"{long}","h":{{}}}}"#);
        let all = of(&Value::parse(text.as_bytes()).expect("JSON"));
        let expected = [("a", "1.50"), ("c", "true"), ("d.e.0", "x"), ("d.e.1.f", "y")];
        assert_eq!(all, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
        let many = format!("[{}]", vec!["1"; 1000].join(","));
        assert_eq!(of(&Value::parse(many.as_bytes()).expect("JSON")).len(), MAX_COUNT);
        assert_eq!(of(&Value::parse(b"7").expect("JSON")), []);
    }
}
