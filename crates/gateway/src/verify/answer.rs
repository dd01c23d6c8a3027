//! Answers by value, and the differences between two of them.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use larder_coding::{coding_of, decoded};
use serde_json::Value;

use super::noise::masks;
use crate::config::Verify;

/// Bytes of an answer that are compared; longer ones are not judged.
pub(super) const MAX_BODY: usize = 1 << 20;

/// Places at which two answers differ that are told apart; two that differ in more differ as a whole.
const MAX_PLACES: usize = 256;

/// Where two answers differ: `status`, `header NAME`, `body`, or a member of JSON as `$.items[*].name`.
pub(super) type Places = BTreeSet<String>;

/// An answer as it is compared.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    fields: Vec<(String, Vec<Vec<u8>>)>,
    content: Content,
}

#[derive(Debug, PartialEq)]
enum Content {
    Json(Value),
    Bytes(Bytes),
}

impl Answer {
    /// `None` for what cannot be compared: a coding that cannot be undone.
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, body: Bytes, settings: &Verify) -> Option<Self> {
        let body = match coding_of(headers) {
            Some(_) => Bytes::from(decoded(headers, &body, MAX_BODY)?),
            None => body,
        };
        let lines = |name: &http::HeaderName| headers.get_all(name).iter().map(|line| line.as_bytes().to_vec()).collect();
        let fields = settings.fields.iter().map(|name| (name.to_string(), lines(name))).collect();
        let is_json = headers.get(CONTENT_TYPE).is_some_and(|kind| String::from_utf8_lossy(kind.as_bytes()).contains("json"));
        let parsed = if is_json || body.starts_with(b"{") || body.starts_with(b"[") { serde_json::from_slice(&body).ok() } else { None };
        let content = parsed.map_or(Content::Bytes(body), |mut value: Value| {
            settings.ignore.iter().for_each(|path| forget(&mut value, path));
            Content::Json(value)
        });
        Some(Self { status, fields, content })
    }

    /// Where another answer differs from this one.
    pub(super) fn differences(&self, other: &Self) -> Places {
        let mut found = Places::new();
        if self.status != other.status {
            found.insert("status".to_owned());
        }
        for ((name, own), (_, others)) in self.fields.iter().zip(&other.fields) {
            if own != others {
                found.insert(format!("header {name}"));
            }
        }
        match (&self.content, &other.content) {
            (Content::Json(own), Content::Json(others)) => differ(own, others, &mut "$".to_owned(), &mut found),
            (own, others) if own != others => _ = found.insert("body".to_owned()),
            _ => {}
        }
        found
    }

    /// The same for all answers that differ in nothing but these places.
    pub(super) fn digest(&self, noise: &Places) -> u64 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.status.as_u16().to_be_bytes());
        match &self.content {
            Content::Bytes(body) if !noise.contains("body") => _ = hasher.update(body),
            Content::Bytes(_) => {}
            Content::Json(value) => put(value, &mut "$".to_owned(), noise, &mut hasher),
        }
        let bytes = hasher.finalize();
        u64::from_be_bytes(std::array::from_fn(|index| bytes.as_bytes()[index]))
    }
}

/// Makes nothing of the members that a path selects, so that they are the same in every answer.
fn forget(value: &mut Value, path: &serde_json_path::JsonPath) {
    let places: Vec<String> = path.query_located(value).locations().map(|place| place.to_json_pointer()).collect();
    for place in places {
        if let Some(member) = value.pointer_mut(&place) {
            *member = Value::Null;
        }
    }
}

/// Runs what looks at a member with its name at the end of the path.
fn within<T>(path: &mut String, name: &str, look: impl FnOnce(&mut String) -> T) -> T {
    let length = path.len();
    path.push_str(name);
    let looked = look(path);
    path.truncate(length);
    looked
}

fn differ(one: &Value, other: &Value, path: &mut String, found: &mut Places) {
    if found.len() >= MAX_PLACES {
        return;
    }
    match (one, other) {
        (Value::Object(own), Value::Object(others)) => {
            let names: BTreeSet<&String> = own.keys().chain(others.keys()).collect();
            for name in names {
                let (own, others) = (own.get(name).unwrap_or(&Value::Null), others.get(name).unwrap_or(&Value::Null));
                within(path, &format!(".{name}"), |path| differ(own, others, path, found));
            }
        }
        (Value::Array(own), Value::Array(others)) => within(path, "[*]", |path| match own.len() == others.len() {
            true => own.iter().zip(others).for_each(|(own, other)| differ(own, other, path, found)),
            false => _ = found.insert(path.clone()),
        }),
        // 1 and 1.0 are the same number.
        (Value::Number(own), Value::Number(others)) if own.as_f64() == others.as_f64() => {}
        (own, others) if own == others => {}
        _ => _ = found.insert(path.clone()),
    }
}

fn put(value: &Value, path: &mut String, noise: &Places, hasher: &mut blake3::Hasher) {
    if masks(noise, path) {
        return;
    }
    match value {
        Value::Object(members) => {
            let names: BTreeSet<&String> = members.keys().collect();
            for name in names {
                hasher.update(name.as_bytes()).update(b"\x00");
                within(path, &format!(".{name}"), |path| put(&members[name], path, noise, hasher));
            }
        }
        Value::Array(items) => within(path, "[*]", |path| {
            hasher.update(&(items.len() as u64).to_be_bytes());
            items.iter().for_each(|item| put(item, path, noise, hasher));
        }),
        Value::Number(number) => _ = hasher.update(&number.as_f64().unwrap_or_default().to_be_bytes()),
        other => _ = hasher.update(other.to_string().as_bytes()).update(b"\x00"),
    }
}
