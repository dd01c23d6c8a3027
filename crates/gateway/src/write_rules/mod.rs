//! Invalidations that the configuration adds to a write: `[[on_write]]` and the cascades of tags.
//!
//! ```text
//! write --> writes (which rules) --> base (URLs, tags) --> cascade (tags that follow from tags, and other spellings in keys)
//!                 \--> waiting (targets that only JSON bodies name)
//! ```
//!
//! A reload may come while a write is under way: its URLs are named as the keys of both configurations have them ([`in_force`]).

mod cascade;
mod events;
mod in_force;
mod spellings;
mod url_base;
mod waiting;
mod writes;

pub(crate) use cascade::ConfiguredCascade;
pub(crate) use events::event;
pub(crate) use spellings::KeySpellings;
pub(crate) use writes::Writes;
