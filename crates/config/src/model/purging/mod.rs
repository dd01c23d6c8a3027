//! Purging: tags, the templates of targets, and which writes and events invalidate what.

pub(crate) mod cascade;
mod purge;
mod response_tags;
pub(crate) mod tag_shape;
pub(crate) mod tags;
mod write;

pub use purge::Purge;
pub use response_tags::ResponseTags;
pub use tags::{TagPart, TagTemplate};
pub use write::{OnEvent, OnWrite, PurgeTemplate};
