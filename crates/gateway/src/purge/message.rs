//! A message on the Redis channel, from applications that know Redis but not Larder.
//!
//! ```text
//! {"tags":["issue:7"],"soft":true}        as POST /purge takes it; one of a kind may stand alone: {"prefix":"/api/v1"}
//! {"type":"issue.moved","id":7}           as POST /events takes it
//! issue:7 · issue:*                       a tag, and all tags that begin so
//! http://a.example/x · /x · /api/*/board  a URL, a path on every host with any query, a pattern of paths on every host
//! *                                       everything
//! ```

use std::collections::HashSet;
use std::fmt;

use http::StatusCode;
use larder_store::Invalidation;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{Ask, Known, Refused, event};
use crate::active::ActiveConfig;

/// The lists of a purge, with the name for one of a kind.
const KINDS: [(&str, &str); 9] = [
    ("url", "urls"),
    ("prefix", "prefixes"),
    ("tag", "tags"),
    ("name", "names"),
    ("route", "routes"),
    ("class", "classes"),
    ("namespace", "namespaces"),
    ("pattern", "patterns"),
    ("regex", "regexes"),
];

/// The invalidation that a message asks for.
pub(crate) fn invalidation(active: &ActiveConfig, message: &[u8]) -> Result<Invalidation, Refused> {
    let max_targets = active.config.purge.max_targets;
    match serde_json::from_slice(message) {
        Ok(Value::Object(fields)) if fields.contains_key("type") => {
            once_per_name(message)?;
            event::targets(active, &Value::Object(fields)).map(Invalidation::hard)
        }
        Ok(Value::Object(fields)) => {
            once_per_name(message)?;
            Ask::from_value(several(fields))?.invalidation(&Known(active), max_targets)
        }
        Ok(Value::String(text)) => bare(&text)?.invalidation(&Known(active), max_targets),
        Ok(_) => Err(Refused::new(StatusCode::BAD_REQUEST, "The message is neither an object nor a name.")),
        Err(_) => {
            let text = std::str::from_utf8(message).map_err(|_| Refused::new(StatusCode::BAD_REQUEST, "The message is not text."))?;
            bare(text.trim())?.invalidation(&Known(active), max_targets)
        }
    }
}

/// Refuses a purge, or an event, in which two fields have one name: of these [`Value`] has the last alone.
pub(crate) fn once_per_name(object: &[u8]) -> Result<(), Refused> {
    let twice = |error: serde_json::Error| Refused::new(StatusCode::BAD_REQUEST, format!("Its fields cannot be told apart: {error}."));
    serde_json::from_slice(object).map(|OncePerName| ()).map_err(twice)
}

/// An object whose fields have a name each.
struct OncePerName;

impl<'de> Deserialize<'de> for OncePerName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self)
    }
}

impl<'de> Visitor<'de> for OncePerName {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut fields: M) -> Result<Self, M::Error> {
        let mut names = HashSet::new();
        while let Some((name, IgnoredAny)) = fields.next_entry::<String, _>()? {
            if names.contains(&name) {
                return Err(M::Error::custom(format_args!("duplicate field `{name}`")));
            }
            names.insert(name);
        }
        Ok(self)
    }
}

/// With a list for each one that stands alone.
fn several(mut fields: Map<String, Value>) -> Value {
    for (one, list) in KINDS {
        if let Some(value) = fields.remove(one) {
            match fields.entry(list).or_insert_with(|| Value::Array(Vec::new())) {
                Value::Array(values) => values.push(value),
                // Wrong all the same, and said to be.
                other => *other = value,
            }
        }
    }
    Value::Object(fields)
}

/// A name without any form around it.
fn bare(text: &str) -> Result<Ask, Refused> {
    let one = vec![text.to_owned()];
    let family = text.strip_suffix(":*").or_else(|| text.strip_suffix(r":\*"));
    let (starred, family) = (text.contains('*'), family.is_some_and(|family| !family.contains('*')));
    match text {
        "*" => Ok(Ask { all: true, ..Ask::default() }),
        _ if text.contains(char::is_whitespace) => Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "A name alone is one word.")),
        _ if text.starts_with('{') || text.starts_with('[') => Err(Refused::new(StatusCode::BAD_REQUEST, "The message is not JSON.")),
        _ if text.contains("://") && !starred => Ok(Ask { urls: one, ..Ask::default() }),
        // No pattern, of which only so many are kept: applications name thousands.
        _ if text.starts_with('/') && !starred => Ok(Ask { paths: one, ..Ask::default() }),
        _ if text.starts_with('/') => Ok(Ask { patterns: vec![format!("*{text}")], ..Ask::default() }),
        _ if text.contains('/') => Ok(Ask { patterns: one, ..Ask::default() }),
        _ if family || !starred => Ok(Ask { tags: one, ..Ask::default() }),
        _ => {
            let detail =
                format!("`{text}` is not a tag, for a star may only follow a colon at its end, and not a path, which has a slash.");
            Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn active() -> ActiveConfig {
        let text = r#"
            [upstreams.api]
            url = "http://127.0.0.1:3000"
            [[on_event]]
            type = "issue.moved"
            purge = ["tag:issue:{id}"]
        "#;
        let (config, _) =
            config::parse("test.toml", text.as_bytes(), &Default::default()).unwrap_or_else(|report| panic!("{}", report.render(false)));
        ActiveConfig::alone(config)
    }

    #[tokio::test]
    async fn every_form_says_what_it_makes_old() {
        let active = active();
        for (message, targets) in [
            (r#"{"tags":["a","b"]}"#, r#"[{"tag":"a"},{"tag":"b"}]"#),
            (r#"{"tag":"a"}"#, r#"[{"tag":"a"}]"#),
            (r#"{"tag":"a","tags":["b"]}"#, r#"[{"tag":"b"},{"tag":"a"}]"#),
            (r#"{"urls":["http://a.example/x"]}"#, r#"[{"url":"http://a.example/x"}]"#),
            (r#"{"prefix":"/api/v1"}"#, r#"[{"prefix":"/api/v1"}]"#),
            (r#"{"type":"issue.moved","id":7}"#, r#"[{"tag":"issue:7"}]"#),
            ("issue:7\n", r#"[{"tag":"issue:7"}]"#),
            (r#""issue:7""#, r#"[{"tag":"issue:7"}]"#),
            ("issue:*", r#"[{"tag":"issue:*"}]"#),
            ("http://a.example/x?b=1&a=2", r#"[{"url":"http://a.example/x?a=2&b=1"}]"#),
            ("/x", r#"[{"path":"/x"}]"#),
            (r"issue:\*", r#"[{"tag":"issue:\\*"}]"#),
            ("/api/*/board", r#"[{"pattern":"*/api/*/board"}]"#),
            ("a.example/api/**", r#"[{"pattern":"a.example/api/**"}]"#),
            ("*", r#"["all"]"#),
        ] {
            let found = invalidation(&active, message.as_bytes()).unwrap_or_else(|refused| panic!("{message}: {refused}"));
            assert_eq!(serde_json::to_string(&found.targets).expect("plain data"), targets, "{message}");
        }
        assert!(invalidation(&active, br#"{"tag":"a","soft":true}"#).expect("known").soft);
    }

    #[tokio::test]
    async fn an_unreadable_message_invalidates_nothing() {
        let active = active();
        for message in [
            "",
            " ",
            "iss*",
            "*:7",
            "{\"tags\":",
            "[1]",
            "17",
            r#"{"tags":"a"}"#,
            r#"{"tag":7}"#,
            r#"{"tags":["a"],"tags":["b"]}"#,
            r#"{"tag":"a","tag":"b"}"#,
            r#"{"type":"x"}"#,
            r#"{"type":"issue.moved","id":7,"id":8}"#,
            "{}",
            "a b",
            "/x?y",
            "/ä",
            r#"{"paths":["/x"]}"#,
        ] {
            assert!(invalidation(&active, message.as_bytes()).is_err(), "{message}");
        }
        assert!(invalidation(&active, &[0xff, 0xfe]).is_err());
    }
}
