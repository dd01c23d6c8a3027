//! The variables of an operation, by which the targets of its invalidations are named.

use std::borrow::Cow;
use std::sync::Arc;

use super::json::Value;

/// Bytes of the longest one that is told: longer texts are no names of anything.
const MAX_LENGTH: usize = 1024;

/// Variables of an operation, or parameters of a call. They are looked up by the paths that a configuration names, and not listed: of a list of
/// what there is, its bound would choose, and a client chooses how many others stand before the one that counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// JSON; `None` where there are none.
    text: Option<Arc<str>>,
}

impl Variables {
    pub(super) fn of(value: &Value<'_>) -> Self {
        let has_members = matches!(value, Value::Array(_) | Value::Object(_));
        Self { text: has_members.then(|| value.to_json().into()) }
    }

    /// The text, number or boolean at a path: names of members and places in lists, with dots between them (`input.ids.0`).
    pub fn get(&self, path: &str) -> Option<Cow<'_, str>> {
        at(&Value::parse(self.text.as_ref()?.as_bytes())?, path)
    }
}

/// A name may have dots itself, so each name that the path begins with may be meant.
fn at<'a>(value: &Value<'a>, path: &str) -> Option<Cow<'a, str>> {
    match value {
        Value::Array(items) => {
            let (place, rest) = split(path);
            let item = place.parse().ok().filter(|at: &usize| at.to_string() == place).and_then(|at| items.get(at))?;
            below(item, rest)
        }
        Value::Object(members) => members.iter().find_map(|(name, member)| {
            let rest = path.strip_prefix(&**name)?;
            if rest.is_empty() { below(member, None) } else { below(member, Some(rest.strip_prefix('.')?)) }
        }),
        Value::Plain(_) | Value::String(_) => None,
    }
}

fn below<'a>(value: &Value<'a>, rest: Option<&str>) -> Option<Cow<'a, str>> {
    match (value, rest) {
        (_, Some(rest)) => at(value, rest),
        (Value::Plain("null"), None) => None,
        (Value::Plain(text), None) => Some(Cow::Borrowed(*text)).filter(|text| text.len() <= MAX_LENGTH),
        (Value::String(text), None) => Some(text.clone()).filter(|text| text.len() <= MAX_LENGTH),
        (Value::Array(_) | Value::Object(_), None) => None,
    }
}

fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(text: &str) -> Variables {
        Variables::of(&Value::parse(text.as_bytes()).expect("JSON"))
    }

    #[test]
    fn variables_are_found_by_their_paths() {
        let long = "x".repeat(MAX_LENGTH + 1);
        let all = variables(&format!(
            r#"{{"a":1.50,"b":null,"c":true,"d":{{"e":["x",{{"f":"\"y\n\u00e4"}}]}},"g":"{long}","h":{{}},"i.j":{{"k":2}},"i":{{"j":3}}}}"#
        ));
        for (path, text) in [("a", "1.50"), ("c", "true"), ("d.e.0", "x"), ("d.e.1.f", "\"y\nä"), ("i.j.k", "2"), ("i.j", "3")] {
            assert_eq!(all.get(path).as_deref(), Some(text), "{path}");
        }
        for path in ["", "b", "d", "d.e", "d.e.00", "d.e.+0", "d.e.2", "d.e.0.", "a.b", "g", "h", "x", "i."] {
            assert_eq!(all.get(path), None, "{path}");
        }
        assert_eq!(variables(r#"["a",{"id":7}]"#).get("1.id").as_deref(), Some("7"));
        assert_eq!(variables("7").get(""), None);
    }

    #[test]
    fn a_variable_is_found_behind_any_number_of_others() {
        let others: String = (0..10_000).map(|number| format!(r#""a{number}":{number},"#)).collect();
        assert_eq!(variables(&format!(r#"{{{others}"id":7}}"#)).get("id").as_deref(), Some("7"));
        let list = vec!["0"; 10_000].join(",");
        assert_eq!(variables(&format!(r#"{{"a":[{list}],"id":7}}"#)).get("id").as_deref(), Some("7"));
        let deep = format!(r#"{}7{}"#, r#"{"a":"#.repeat(20), "}".repeat(20));
        assert_eq!(variables(&deep).get(&vec!["a"; 20].join(".")).as_deref(), Some("7"));
    }
}
