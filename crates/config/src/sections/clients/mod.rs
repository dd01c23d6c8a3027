//! Who clients are, and how much they may have: `[auth.jwt]`, `[[limits]]`.

pub(crate) mod auth;
pub(crate) mod limits;
