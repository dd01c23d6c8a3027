//! The look-up of a request that a server has read by itself, and answers by itself where that is possible.

use std::fmt;

use larder_semantics::{PrimaryKey, RequestContext};

use crate::lookup::plan::FetchPlan;
use crate::lookup::stored_answer::StoredAnswer;

/// The parts of a request without content.
#[derive(Debug)]
pub enum Plain<B> {
    /// Nothing more: its answer is stored and fresh.
    Stored(StoredAnswer<B>),
    /// The inner service: [`CacheService::fetch`](crate::CacheService::fetch) asks it.
    Fetch(Planned),
}

/// Everything that is known of a request whose answer has to be fetched.
pub struct Planned {
    pub(crate) plan: FetchPlan,
    pub(crate) context: RequestContext,
    pub(crate) key: PrimaryKey,
}

impl<B> Plain<B> {
    /// The stored answer, where there is one.
    pub fn stored(self) -> Option<StoredAnswer<B>> {
        match self {
            Self::Stored(answer) => Some(answer),
            Self::Fetch(_) => None,
        }
    }
}

impl fmt::Debug for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planned").field("key", &self.key).field("plan", &self.plan).finish_non_exhaustive()
    }
}
