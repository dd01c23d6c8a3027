//! A configuration to start from, out of what a backend says of itself: answers in, text out. No network and no clock.
//!
//! ```text
//! OpenAPI document --openapi--> Api --+
//!                                     +--survey--> targets to ask for, answers --judge--> rules --writes, output--> config.toml
//! paths, links in answers ------------+
//! ```
//!
//! 1. [`Api::read`] takes an OpenAPI document (3.x, or Swagger 2.0) for operations.
//! 2. [`Survey::next_target`] names what to ask for, one target at a time and only with GET; [`Survey::answered`] takes the answer, and learns from it what else there is.
//! 3. [`Survey::draft`] judges each route and writes the text.
//!
//! Nothing is guessed that would store more than what was seen allows: a route is given a lifetime where a sample of it was answered for everyone, and a
//! comment where none was.

mod judge;
mod links;
mod naming;
mod openapi;
mod output;
mod survey;
mod template;
mod writes;

pub use openapi::{Api, NotOpenApi};
pub use survey::{Answer, Survey};
