//! JSON in bodies, as far as tags and invalidations are made of it.

mod content;
#[cfg(feature = "json")]
mod fields;
#[cfg(feature = "json")]
mod scanner;

pub(crate) use content::Content;
#[cfg(feature = "json")]
pub use fields::JsonFields;
#[cfg(feature = "json")]
pub(crate) use scanner::Scanner;
