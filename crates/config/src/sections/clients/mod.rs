//! Who clients are, and how much they may have: `[auth.jwt]`, `[[limits]]`, `[[quotas]]`.

pub(crate) mod auth;
pub(crate) mod limits;
pub(crate) mod quotas;
