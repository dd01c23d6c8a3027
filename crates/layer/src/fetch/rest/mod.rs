//! What an origin brings of a body whose other source broke off, if it still has the same representation: the rest of it, in the place of a tier that
//! reads from the start to the end, or single segments (`backed`).

mod backed;
mod origin;

pub(super) use backed::Backed;
pub(super) use origin::Rest;
