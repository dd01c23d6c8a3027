//! One exchange with an origin: over which protocol, how long it may take, what went wrong, and the response body.

pub(crate) mod body;
pub(crate) mod deadline;
pub(crate) mod failure;
pub(crate) mod transport;
