//! The failure of a fetch.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use http::StatusCode;

use super::{BoxError, FetchErrorKind};

/// The inner service's error. One fetch may serve many clients, so they share it.
///
/// [`CacheService::serve`](crate::CacheService::serve) returns it. The tower service answers it instead, and leaves it in the extensions of that
/// response.
#[derive(Clone)]
pub struct FetchError {
    error: Arc<dyn Error + Send + Sync>,
    kind: FetchErrorKind,
    upstream_status: Option<StatusCode>,
}

impl FetchError {
    /// An error of a `kind` that the inner service knows. Services whose errors tell their kind by themselves ([`FetchErrorKind::of`]) need not
    /// make one.
    pub fn new(kind: FetchErrorKind, error: impl Into<BoxError>) -> Self {
        Self { error: Arc::from(error.into()), kind, upstream_status: None }
    }

    /// Of any error; one of this type stays as it is.
    pub(crate) fn of(error: impl Into<BoxError>) -> Self {
        match error.into().downcast::<Self>() {
            Ok(error) => *error,
            Err(error) => Self::new(FetchErrorKind::of(&*error), error),
        }
    }

    /// The fetch ended without an answer.
    pub(crate) fn lost() -> Self {
        Self::new(FetchErrorKind::Lost, "the exchange with the upstream was lost")
    }

    /// The same with the status of the answer that failed, for inner services that make errors of answers.
    #[must_use]
    pub fn with_upstream_status(self, status: StatusCode) -> Self {
        Self { upstream_status: Some(status), ..self }
    }

    /// The kind of failure.
    pub fn kind(&self) -> FetchErrorKind {
        self.kind
    }

    /// The status of the inner service's answer, where there was one: its body broke off, or the service made an error of it.
    pub fn upstream_status(&self) -> Option<StatusCode> {
        self.upstream_status
    }

    /// The inner service's own error, if it is of this type.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.error.downcast_ref()
    }
}

impl fmt::Debug for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("FetchError");
        debug.field("kind", &self.kind).field("error", &self.error);
        self.upstream_status.iter().for_each(|status| _ = debug.field("upstream_status", status));
        debug.finish()
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for FetchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}
