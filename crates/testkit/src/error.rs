//! The one error of the test kit: a sentence.

use std::fmt;

/// A failure, worded for the person who reads the failed test.
pub struct Error(String);

/// A result with the test kit's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// The same error, with what was being done in front.
    #[must_use]
    pub fn while_doing(self, action: impl fmt::Display) -> Self {
        Self(format!("{action}: {}", self.0))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

// A test that returns an `Err` prints it with `Debug`: the sentence reads better than a struct.
impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}
