//! A request that is sent once more, as `retry` says: to another server where there is one, and on a fresh connection.
//!
//! What was never sent may be sent anywhere ([`spare::Wish::Unsent`]): it loads no server twice, so it needs no budget. What may have been
//! sent is sent again only where its method allows that (RFC 9110 §9.2.2), where it has no content, and as long as the budget ([`crate::protect::budget`]) lasts: a
//! server that fails under its load must not get twice of it.

pub(crate) mod again;
pub(crate) mod spare;
