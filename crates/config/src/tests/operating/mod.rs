//! What people who run a gateway see and are told.

mod alerts;
mod effective;
mod log;
mod traces;
