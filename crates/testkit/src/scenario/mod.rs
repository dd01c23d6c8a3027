//! Scenarios: a config, what the origin answers, and a story told step by step.
//!
//! ```text
//! # A stored response answers the next request.
//! config
//!     [cache]
//!     ttl = "60s"
//!
//! origin GET /a
//!     > 200
//!     > body hello
//!
//! GET /a
//!     < 200
//!     < X-Cache: MISS
//! GET /a
//!     < X-Cache: HIT
//!     < has Age
//!     < body hello
//! ```
//!
//! Steps happen one after the other, so a scenario has one meaning. What overlaps is said: `start` begins a request that a later `finish` ends,
//! and gates hold the origin in the middle of an answer. In a block, `>` is what its actor sends and `<` what it must receive.
//! `tests/scenarios/README.md` has the whole language.

mod expect;
mod parse;
mod run;
mod text;

pub use run::run_file;
