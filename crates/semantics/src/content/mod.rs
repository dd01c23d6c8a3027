//! The content of a request as a part of its key (RFC 10008 §2.7, for QUERY; by configuration for POST): a hash of its canonical form.
//!
//! ```text
//! fields, bytes ──ContentRules::key──> media type ──> canonical form ──> BLAKE3-256 ──> " #body=json:8f14e45f…"
//!                                        │               │
//!                                        `- not the kind `- broken, too deep, ambiguous: no key, so the request passes by the cache
//! ```
//!
//! Two contents share a key only if every origin takes them for the same. Where a format leaves open what a content means (a repeated member
//! of JSON, an escape that is none), there is no key. Nothing of the content itself stands in the key.

mod form;
pub(crate) mod json;
mod media_type;
mod pointer;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE};

pub use pointer::{BadPointer, Pointer};

use media_type::MediaType;

/// What kind of content is part of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentKind {
    /// Any, byte for byte.
    Bytes,
    /// JSON (RFC 8259): members in any order, white space and escapes as they like; numbers as they are written.
    Json,
    /// `application/x-www-form-urlencoded`: names in any order, values of one name in theirs.
    Form,
}

impl ContentKind {
    /// Its name in configurations and keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Json => "json",
            Self::Form => "form",
        }
    }
}

/// How the content of a request enters its key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ContentRules {
    /// The kind; content of another kind has no key.
    pub kind: ContentKind,
    /// The longest content that has a key, in bytes.
    pub max_length: usize,
    /// Parts left out of the key. The origin gets them, so its answer must not depend on them.
    pub drop: Vec<Pointer>,
    /// The only parts of it that the key has; empty for all.
    pub only: Vec<Pointer>,
    /// Whether POST is a read: safe, so that it invalidates nothing, and may be answered from the store. QUERY always is (RFC 10008).
    pub post: bool,
}

impl ContentRules {
    /// The longest content that has a key unless set otherwise, in bytes.
    pub const MAX_LENGTH: usize = 256 << 10;

    /// Rules for a kind, which keep all of it in the key.
    pub fn new(kind: ContentKind) -> Self {
        Self { kind, max_length: Self::MAX_LENGTH, drop: Vec::new(), only: Vec::new(), post: false }
    }

    /// The key of a content with these fields; `None` where it has none: it is of another kind, coded, longer than permitted, broken or ambiguous.
    pub fn key(&self, fields: &HeaderMap, content: &[u8]) -> Option<ContentKey> {
        if content.len() > self.max_length {
            return None;
        }
        let mut hash = blake3::Hasher::new();
        // "A cache MAY normalize [...] unless the request includes the no-transform cache directive" (after RFC 10008 §2.7).
        let kind = if forbids_transformation(fields) { ContentKind::Bytes } else { self.kind };
        match kind {
            ContentKind::Bytes => {
                for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE] {
                    fields.get_all(&name).iter().for_each(|value| put(&mut hash, value.as_bytes()));
                    hash.update(&[0]);
                }
                put(&mut hash, content);
            }
            ContentKind::Json | ContentKind::Form => {
                let media_type = MediaType::of(fields)?;
                if !media_type.is_utf8() || is_coded(fields) {
                    return None;
                }
                put(&mut hash, media_type.essence().as_bytes());
                fields.get_all(CONTENT_LANGUAGE).iter().for_each(|value| put(&mut hash, value.as_bytes()));
                hash.update(&[0]);
                if kind == ContentKind::Json {
                    media_type.is_json().then_some(())?;
                    json::Value::parse(content)?.select(&self.drop, &self.only)?.hash(&mut hash);
                } else {
                    media_type.is_form().then_some(())?;
                    form::Fields::parse(content)?.select(&self.drop, &self.only)?.hash(&mut hash);
                }
            }
        }
        Some(ContentKey { kind, digest: hash.finalize().into() })
    }
}

/// The content's part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentKey {
    kind: ContentKind,
    digest: [u8; 32],
}

impl ContentKey {
    /// Its kind.
    pub fn kind(&self) -> ContentKind {
        self.kind
    }

    /// Appends it as it stands in keys: the kind, a colon and the hash in hexadecimal digits.
    pub(crate) fn write(&self, text: &mut String) {
        text.push_str(self.kind.as_str());
        text.push(':');
        text.push_str(&blake3::Hash::from_bytes(self.digest).to_hex());
    }
}

/// A piece of text, with its length in front, so that pieces cannot pass for each other.
fn put(hash: &mut blake3::Hasher, text: &[u8]) {
    hash.update(&[1]);
    hash.update(&(text.len() as u64).to_le_bytes());
    hash.update(text);
}

fn is_coded(fields: &HeaderMap) -> bool {
    fields.get_all(CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn forbids_transformation(fields: &HeaderMap) -> bool {
    let is_named = |value: &[u8]| value.split(|byte| *byte == b',').any(|member| member.trim_ascii().eq_ignore_ascii_case(b"no-transform"));
    fields.get_all(CACHE_CONTROL).iter().any(|value| is_named(value.as_bytes()))
}

#[cfg(test)]
mod tests;
