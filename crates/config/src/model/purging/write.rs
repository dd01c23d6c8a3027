//! `[[on_write]]` and `[[on_event]]`: what invalidates which stored responses.

use http::Method;

use super::TagTemplate;
use crate::model::PathTemplate;

/// `[[on_write]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnWrite {
    /// The methods that write; never empty.
    pub methods: Vec<Method>,
    /// Only requests that carry out an operation of this name, with one `*` for any text; `None`: any.
    pub operation: Option<String>,
    /// Only requests to this host; `None` for every host.
    pub host: Option<String>,
    /// The paths.
    pub path: PathTemplate,
    /// The keys, prefixes and tags to invalidate.
    pub purge: Vec<PurgeTemplate>,
    /// Whether invalidated URLs are fetched again at once.
    pub refresh: bool,
}

/// `[[on_event]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnEvent {
    /// The event's `type`.
    pub kind: String,
    /// The event's fields that the templates name, by the position that [`TagPart::Path`](super::TagPart::Path) gives.
    pub fields: Vec<String>,
    /// The keys, prefixes and tags to invalidate.
    pub purge: Vec<PurgeTemplate>,
}

/// One target of an invalidation, with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurgeTemplate {
    /// `tag:issue:{id}`
    Tag(TagTemplate),
    /// `url:/api/v1/issues/{id}`: with all its variants, of the host that was written to; in events with scheme and host.
    Url(TagTemplate),
    /// `prefix:/api/v1/projects/{id}`: of the host that was written to; in events of every host.
    Prefix(TagTemplate),
    /// `route:issue.list`
    Route(TagTemplate),
    /// `class:project`
    Class(TagTemplate),
    /// `namespace:default`
    Namespace(TagTemplate),
    /// `identity`: everything stored for the identity of the client that wrote.
    Identity,
    /// `all`
    All,
}

impl PurgeTemplate {
    /// The text, where there is one.
    pub fn template(&self) -> Option<&TagTemplate> {
        match self {
            Self::Tag(template)
            | Self::Url(template)
            | Self::Prefix(template)
            | Self::Route(template)
            | Self::Class(template)
            | Self::Namespace(template) => Some(template),
            Self::Identity | Self::All => None,
        }
    }
}
