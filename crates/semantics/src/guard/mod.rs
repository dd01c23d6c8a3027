//! Answers that must not be for everyone, whatever their fields say: those that give back what one client sent (web cache poisoning), that name
//! the client, that another client got otherwise, or that their URL lies about (web cache deception).
//!
//! 1. [`Suspects::of`]: the values of a request that are part of neither the key nor the variant.
//! 2. [`Suspects::in_fields`] and [`Suspects::in_body`] look for them in the answer, for all in one pass (`search`).
//! 3. [`AnswersByClient`] knows who got which answer for a key.
//! 4. [`is_misleading`] compares the path with the type of the answer.
//! 5. [`may_be_caused_by_unusual`] looks for what may have made the origin answer with an error.

mod clients;
mod misleading;
mod search;
mod suspects;
mod unusual;

pub use clients::{AnswersByClient, has_credentials, without_credentials};
pub use misleading::is_misleading;
pub use suspects::{Suspect, Suspects, may_tell};
pub use unusual::may_be_caused_by_unusual;

/// What becomes of an answer that a guard finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GuardMode {
    /// No guard looks.
    #[default]
    Off,
    /// It is stored as its fields say, and reported; but one that its URL lies about is not.
    Report,
    /// It is not stored, and reported.
    Refuse,
}

/// Bytes of the beginning of a body that are searched.
pub const SEARCHED: usize = 64 * 1024;
