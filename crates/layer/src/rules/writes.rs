//! Invalidations by writes, beyond their own URLs.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use http::request::Parts;
use larder_semantics::Target;
use larder_store::{Invalidation, InvalidationTarget};

use super::RouteRules;
use crate::error::FetchError;
#[cfg(feature = "json")]
use crate::json::JsonFields;

/// A fetch that begins when it is polled: after the response that it replaces was invalidated.
pub type Refetch = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Names the targets that a write invalidates, beyond the URLs of RFC 9111 §4.4.
pub trait WriteRules: Send + Sync + fmt::Debug {
    /// The targets to invalidate when this request is answered without an error, or not at all. Called before the request goes out, for
    /// unsafe methods only.
    fn invalidates(&self, request: &Parts, target: Target<'_>) -> Invalidates;

    /// The targets by rules that have taken the place of these since [`Self::invalidates`], as a reload does: responses that were fetched meanwhile are
    /// stored by them. Called once the request is answered, or will not be. Default: none, for rules that stay.
    fn invalidates_since(&self, request: &Parts, target: Target<'_>) -> Vec<InvalidationTarget> {
        let _ = (request, target);
        Vec::new()
    }

    /// Whether a write that failed in this way never reached the origin. Otherwise that is unknown, and it counts as if it had
    /// taken place.
    fn never_arrived(&self, error: &FetchError) -> bool {
        let _ = error;
        false
    }

    /// The rules under which a GET of `target` may be answered, where they are not those of the write: the responses that it invalidates were stored
    /// under them, and so is an answer to it that is good for later GETs. Where there are several, it depends on more than the target, so no answer is
    /// stored. Default: none, which are those of the write.
    fn readings(&self, target: Target<'_>) -> Vec<Arc<RouteRules>> {
        let _ = target;
        Vec::new()
    }

    /// The fetches that bring back the responses among `old` that this write is about to invalidate, where that is wanted: [`CacheService::refetch_hot`] of the
    /// routes concerned.
    ///
    /// [`CacheService::refetch_hot`]: crate::CacheService::refetch_hot
    fn refetch(&self, request: &Parts, target: Target<'_>, old: &[InvalidationTarget]) -> Vec<Refetch> {
        let _ = (request, target, old);
        Vec::new()
    }
}

/// The invalidations of a write.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Invalidates {
    /// The targets that are known beforehand.
    pub known: Vec<InvalidationTarget>,
    /// The targets that only the bodies name.
    #[cfg(feature = "json")]
    pub by_bodies: Option<Box<dyn BodyInvalidation>>,
    /// What the rules need until the write has ended, whatever takes their place meanwhile.
    pub keeps: Option<Arc<dyn Any + Send + Sync>>,
}

impl From<Vec<InvalidationTarget>> for Invalidates {
    fn from(known: Vec<InvalidationTarget>) -> Self {
        Self { known, ..Self::default() }
    }
}

#[cfg(feature = "json")]
impl Invalidates {
    /// The same, and targets that only the bodies name.
    #[must_use]
    pub fn with_bodies(self, bodies: impl BodyInvalidation + 'static) -> Self {
        Self { by_bodies: Some(Box::new(bodies)), ..self }
    }
}

/// Invalidations whose targets are members of a write's JSON bodies.
#[cfg(feature = "json")]
pub trait BodyInvalidation: Send + Sync + fmt::Debug {
    /// The members of the request's object that are asked for.
    fn in_request(&self) -> &[String];

    /// The members of the answer's object that are asked for.
    fn in_response(&self) -> &[String];

    /// The targets that follow from them. One that depends on a missing member is left out.
    fn targets(&self, request: &JsonFields, response: &JsonFields) -> Vec<InvalidationTarget>;

    /// As [`WriteRules::refetch`], for what followed from members.
    fn refetch(&self, old: &[InvalidationTarget]) -> Vec<Refetch> {
        let _ = old;
        Vec::new()
    }
}

/// Adds to an invalidation the targets that depend on its own.
pub trait Cascade: Send + Sync + fmt::Debug {
    /// Adds it. Called once for each invalidation, before the log has it: replicas share the whole.
    fn widen(&self, invalidation: &mut Invalidation);
}

/// Nothing more.
#[derive(Clone, Copy, Debug)]
pub struct NoWrites;

impl WriteRules for NoWrites {
    fn invalidates(&self, _: &Parts, _: Target<'_>) -> Invalidates {
        Invalidates::default()
    }
}
