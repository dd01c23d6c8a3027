//! Why a decision was taken.

/// Why a request was answered, or a response kept, as it was. One word each in `Cache-Status`, metrics, logs and `explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The stored response is fresh.
    Fresh,
    /// Nothing is stored for this key.
    NotStored,
}

impl Reason {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::NotStored => "not-stored",
        }
    }
}
