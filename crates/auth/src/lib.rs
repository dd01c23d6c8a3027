//! Bearer tokens (RFC 6750, RFC 7519) whose signatures are checked, so that their claims may tell clients apart.
//!
//! 1. [`KeySet`]: the public keys of the issuer (RFC 7517), each parsed once for each algorithm that it may be used with.
//! 2. `check`: one token against the keys and the [`TokenRules`], in the order of RFC 7519 §7.2. A [`Refusal`] says what is wrong with it.
//! 3. [`Verifier`]: remembers what was found by the hash of the token, bounded in number, and takes new keys at any time.
//!
//! No socket and no clock: the caller fetches the keys, and hands the time in.

mod algorithm;
mod check;
#[doc(hidden)]
pub mod fuzzing;
mod key_set;
mod verifier;

#[cfg(test)]
mod tests;

pub use algorithm::Algorithm;
pub use check::{Refusal, TokenRules};
pub use key_set::{KeySet, KeySetError};
pub use verifier::{Context, Verifier};
