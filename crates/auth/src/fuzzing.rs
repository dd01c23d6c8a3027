//! The judgement of a payload, as a function of bytes: for the fuzz targets in `fuzz/`, and no part of the library's interface.

use larder_semantics::Timestamp;

use crate::{Refusal, TokenRules};

/// The end of a token with this payload that is signed; or why it is not believed.
///
/// # Errors
/// The [`Refusal`].
pub fn end_of(payload: &[u8], rules: &TokenRules, now: Timestamp) -> Result<Timestamp, Refusal> {
    crate::check::believed(payload, rules, &["sub".to_owned()], now).map(|checked| checked.until).map_err(|refused| refused.reason)
}
