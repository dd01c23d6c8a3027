//! `[tags]`.

use larder_store::TagCascade;

/// `[tags]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseTags {
    /// The response fields in which origins name tags.
    pub from: Vec<http::HeaderName>,
    /// Whether clients see these fields.
    pub forward: bool,
    /// Maximum number of tags of one response; a response with more is not stored.
    pub max: usize,
    /// Which tags are invalidated together with which others.
    pub cascade: TagCascade,
}

impl Default for ResponseTags {
    fn default() -> Self {
        Self { from: Vec::new(), forward: false, max: 128, cascade: TagCascade::default() }
    }
}
