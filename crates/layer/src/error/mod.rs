//! Errors between the cache and its inner service.

mod body;
mod elsewhere;
mod fetch;
mod kind;

use std::error::Error;

pub use body::BodyError;
pub use elsewhere::FailedElsewhere;
pub use fetch::FetchError;
pub use kind::FetchErrorKind;

/// Any error.
pub type BoxError = Box<dyn Error + Send + Sync>;
