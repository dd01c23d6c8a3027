//! Tags (surrogate keys): the names that a response can be purged by, besides its URL.

use std::fmt;

use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use larder_semantics::content::graphql;
use larder_semantics::{PrimaryKey, Reason};
use larder_store::Tag;

use super::RouteRules;
use crate::body::content::joined;
use crate::json::Content;
#[cfg(feature = "json")]
use crate::json::{JsonFields, Scanner};

/// Names the surrogate keys of what a request's answer will be stored under.
pub trait TagSource: Send + Sync + fmt::Debug {
    /// The tags; called once per exchange with the origin, before it begins, never on a hit. `None` where they are more or longer than is
    /// kept, so that the answer is not stored: it could not be purged by all of them.
    fn tags(&self, request: &Parts) -> Option<Vec<String>>;

    /// The tags that follow from the key alone, at most sixteen families of each: they count wherever [`Self::tags`] do.
    fn tags_of_key(&self, key: &PrimaryKey) -> Vec<String> {
        let _ = key;
        Vec::new()
    }

    /// The tags that the origin names in its answer's fields; `None` where it names too many, so that the answer is not stored. Fields
    /// that are not for clients are taken out.
    fn take_tags(&self, response: &mut HeaderMap) -> Option<Vec<String>> {
        let _ = response;
        Some(Vec::new())
    }

    /// The members of a JSON answer that tags are made of.
    #[cfg(feature = "json")]
    fn in_response(&self) -> &[String] {
        &[]
    }

    /// The tags made of such members, besides [`Self::tags`], and `None` as there.
    #[cfg(feature = "json")]
    fn tags_in_body(&self, request: &Parts, response: &JsonFields) -> Option<Vec<String>> {
        let _ = (request, response);
        Some(Vec::new())
    }
}

/// No tags.
#[derive(Clone, Copy, Debug)]
pub struct NoTags;

impl TagSource for NoTags {
    fn tags(&self, _: &Parts) -> Option<Vec<String>> {
        Some(Vec::new())
    }
}

/// Whether an answer's body names tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TagsInBody {
    None,
    Readable,
    /// It has a content coding.
    Unreadable,
}

impl RouteRules {
    /// The members of JSON answers that tags are made of.
    #[cfg(feature = "json")]
    fn members(&self) -> &[String] {
        self.tags.in_response()
    }

    /// No tag is made of members.
    #[cfg(not(feature = "json"))]
    fn members(&self) -> &[String] {
        &[]
    }

    /// Whether bodies of answers may name tags.
    pub(crate) fn reads_tags(&self) -> bool {
        !self.members().is_empty() || self.tags_types()
    }

    fn tags_types(&self) -> bool {
        self.content.as_ref().is_some_and(|content| content.tags_types)
    }

    /// Whether an answer's body names tags, and whether they can be read.
    pub(crate) fn tags_in(&self, fields: &HeaderMap) -> TagsInBody {
        if !self.reads_tags() {
            return TagsInBody::None;
        }
        match Content::of(fields) {
            Content::Other => TagsInBody::None,
            Content::Json => TagsInBody::Readable,
            Content::Coded => TagsInBody::Unreadable,
        }
    }

    /// The tags that a JSON body names.
    ///
    /// # Errors
    /// Why they cannot be kept, so that the answer is not stored.
    pub(crate) fn read_tags<'b>(&self, request: &Parts, frames: impl Iterator<Item = &'b Bytes> + Clone) -> Result<Vec<Tag>, Reason> {
        let mut tags = self.read_members(request, frames.clone())?;
        if self.tags_types() {
            let names = graphql::types(&joined(frames)).ok_or(Reason::UnreadTags)?;
            tags.extend(Tag::surrogates(names.iter().map(String::as_str)).ok_or(Reason::TooManyTags)?);
        }
        Ok(tags)
    }

    /// The tags that are made of members.
    #[cfg(feature = "json")]
    fn read_members<'b>(&self, request: &Parts, frames: impl Iterator<Item = &'b Bytes>) -> Result<Vec<Tag>, Reason> {
        if self.members().is_empty() {
            return Ok(Vec::new());
        }
        let mut scanner = Scanner::new(self.members());
        for frame in frames {
            scanner.push(frame);
            if scanner.is_done() {
                break;
            }
        }
        if scanner.is_cut() {
            return Err(Reason::UnreadTags);
        }
        let named = self.tags.tags_in_body(request, scanner.fields());
        named.and_then(|named| Tag::surrogates(named.iter().map(String::as_str))).ok_or(Reason::TooManyTags)
    }

    /// None, since no tag is made of members.
    #[cfg(not(feature = "json"))]
    fn read_members<'b>(&self, _: &Parts, _: impl Iterator<Item = &'b Bytes>) -> Result<Vec<Tag>, Reason> {
        Ok(Vec::new())
    }
}
