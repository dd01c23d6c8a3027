//! Storing responses in caches (RFC 9111 §3), and updating stored ones (§3.2, §4.3.4): what becomes of an origin's answer.

pub(crate) mod assemble;
pub mod disposition;
pub(crate) mod freshen;
pub(crate) mod post;
pub mod storage;
pub(crate) mod unkeyed;
mod withheld;
mod worth;

pub use freshen::{HeadUpdate, head_update};
pub use post::on_write_response;
pub use unkeyed::may_steer;
pub use withheld::Withheld;
pub use worth::worth_storing;
