//! Heads and fields (RFC 9110 §5, §6.4): what is kept of a response's head, and how single fields are read.

pub mod entity_tag;
pub mod fields;
mod shape_text;
pub(crate) mod stored;
pub(crate) mod stored_fields;

pub use stored::{FreshnessLifetime, HeadFlags, LifetimeSource, OriginControl, StoredHead};
pub use stored_fields::{Line, Shape, StoredFields};
