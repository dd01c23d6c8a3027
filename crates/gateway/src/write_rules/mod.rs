//! What a write makes old as the configuration says: `[[on_write]]` and the cascades of tags.
//!
//! ```text
//! write --> writes (which rules) --> place (URLs, tags) --> cascade (tags that follow from tags)
//!                 \--> waiting (targets that only JSON bodies name)
//! ```

mod cascade;
mod place;
mod waiting;
mod writes;

pub(crate) use cascade::TagCascade;
pub(crate) use writes::{Writes, event};
