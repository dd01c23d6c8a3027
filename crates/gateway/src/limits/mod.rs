//! `[[limits]]`: how much each client may have in a time.
//!
//! 1. [`RouteLimits::keys`]: the clients that a request counts for, one for each limit of its route.
//! 2. [`RouteLimits::enter`]: limits on requests and on bytes are asked before the look-up, at both doors. A hit waits for nothing there.
//! 3. [`MissTicket::ask`]: limits on misses are asked when the origin is about to be asked, once for each request of a client. So a hit, a follower and
//!    a refresh in the background take nothing.
//! 4. Bytes, tokens and cost are known only afterwards: a client is asked whether it has anything left, and charged once its answer has ended. Tokens and
//!    cost by [`MissTicket::charge`], since hits are free.
//! 5. Where replicas count together ([`shared`], [`owing`]), Redis is asked before either of these, unless what this replica has reserved is enough.
//! 6. [`RouteLimits::for_each_field`]: the fields that tell the client how it stands. They are written into each answer and stored in none.

mod asked;
mod fields;
mod kept;
mod keys;
mod limits_of;
mod owed;
mod owing;
mod report;
mod running;
mod shared;
#[cfg(test)]
mod tests;
mod ticket;
mod together;
mod warnings;

pub(crate) use asked::{Answers, Note, Over};
pub(crate) use kept::KeptLimit;
pub(crate) use keys::Keys;
pub(crate) use limits_of::{Limits, RouteLimits};
#[cfg(test)]
pub(crate) use report::WindowReport;
pub(crate) use report::{ClientReport, ClientsReport, LimitClientReport, LimitReport, QuotaReport};
pub(crate) use running::{LimitOutcome, RunningLimit};
pub(crate) use ticket::{MissTicket, NewTicket, Tokens, UnderLimits};
pub(crate) use warnings::Warning;
