//! What an origin brings of a body whose other source broke off, if it still has the same representation: the rest of it, in the place of a tier that
//! reads from the start to the end, or single segments (`backed`). Where no rest can be asked for, it is asked for all of it (`again`).

mod again;
mod backed;
mod origin;

pub(super) use again::{Again, Before};
pub(super) use backed::Backed;
pub(super) use origin::{Rest, STALL, is_resumable, within};
