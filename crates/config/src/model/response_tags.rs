//! `[tags]`.

use super::Cascade;

/// `[tags]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseTags {
    /// The response fields in which origins name tags.
    pub from: Vec<http::HeaderName>,
    /// Whether clients see these fields.
    pub forward: bool,
    /// Tags of one response; one with more is not stored.
    pub most: usize,
    /// Which tags become old with which others.
    pub cascade: Cascade,
}

impl Default for ResponseTags {
    fn default() -> Self {
        Self { from: Vec::new(), forward: false, most: 128, cascade: Cascade::default() }
    }
}
