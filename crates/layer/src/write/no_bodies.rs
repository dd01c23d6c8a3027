//! In place of [`body_invalidation`](super::body_invalidation) without the feature `json`: no rule can ask for members of bodies, so no write
//! has a watcher.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderMap, Response};
use larder_store::InvalidationTarget;

use crate::body::CacheBody;
use crate::body::request::{ClientBody, RequestBody};
use crate::cache::Cache;
use crate::rules::{Invalidates, Refetch};

/// There is none.
#[derive(Debug)]
pub(crate) struct BodyWatcher(Infallible);

/// The targets that are known beforehand, and the body to be sent.
pub(crate) fn watch<R: ClientBody>(
    invalidates: Invalidates,
    _: &HeaderMap,
    body: R,
) -> (Vec<InvalidationTarget>, Option<BodyWatcher>, RequestBody) {
    (invalidates.known, None, RequestBody::new(body))
}

impl BodyWatcher {
    pub(crate) fn early(&mut self) -> Vec<InvalidationTarget> {
        match self.0 {}
    }

    pub(crate) fn unanswered(&self) -> Vec<InvalidationTarget> {
        match self.0 {}
    }

    pub(crate) fn refetch_later(&mut self, _: Vec<Refetch>) {
        match self.0 {}
    }

    pub(crate) fn waits_for(&self, _: &HeaderMap, _: bool) -> bool {
        match self.0 {}
    }
}

pub(crate) fn watched<B>(_: &Arc<Cache>, watcher: BodyWatcher, _: Response<B>) -> Response<B> {
    match watcher.0 {}
}

pub(crate) fn pass_watched<B>(_: &Arc<Cache>, watcher: BodyWatcher, _: Response<B>) -> Response<CacheBody<B>> {
    match watcher.0 {}
}
