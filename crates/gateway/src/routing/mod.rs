//! Which route a request takes, and what its path says: the router, the services of all routes, templates of paths and tags.

mod codings;
mod conditional;
mod documents;
mod guard;
mod key_names;
mod metered;
mod router;
mod table;
pub(crate) mod tagging;
mod watched;
mod way;
mod way_body;

pub(crate) use codings::{Negotiated, RequestDecoder, RouteCodings, Verdict, head_of, reads_content};
pub(crate) use documents::RouteDocuments;
pub(crate) use key_names::KeyNames;
pub(crate) use metered::{RouteUsage, UsageBooks};
pub(crate) use router::{Router, host_of};
pub(crate) use table::RouteTable;
pub(crate) use watched::watched;
pub(crate) use way::{ResponseEdits, RouteEdits, RouteUpstream, Tunnelled};
pub(crate) use way_body::WayBody;
