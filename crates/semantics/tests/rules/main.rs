//! The rules of RFC 9111 and its neighbours, told as exchanges: a request, a response, some time, another request.

mod ahead;
mod cookies;
mod freshening;
mod lifetimes;
mod preconditions;
mod ranges;
mod reuse;
mod storing;
mod support;
mod validating;
