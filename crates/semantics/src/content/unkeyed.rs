//! Why a content has no key, and what it asks the origin to carry out.

use std::borrow::Cow;

use super::{ContentKind, ContentRules, Variables};
use crate::reason::Reason;

/// Why a content has no key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unkeyed {
    /// The reason.
    pub reason: Reason,
    /// What is to be carried out: one for each request of a batch that does not only read. None for what only reads.
    pub operations: Vec<Operation>,
}

/// An operation that a request asks for: a mutation or a subscription of GraphQL, or a call of JSON-RPC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// Its name and those of its root fields, or its method. None where the request could not be read: it may be any.
    pub names: Vec<String>,
    /// Its variables.
    pub variables: Variables,
}

impl Operation {
    /// Whether it may have a name that suits.
    pub fn may_be(&self, suits: impl Fn(&str) -> bool) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| suits(name))
    }

    /// The text of one of its variables, as [`Variables::get`].
    pub fn variable(&self, path: &str) -> Option<Cow<'_, str>> {
        self.variables.get(path)
    }
}

impl Unkeyed {
    /// A request that carries these out; `or_any`: and others that are not known.
    pub(super) fn of_operations(mut operations: Vec<Operation>, or_any: bool) -> Self {
        let reason = if operations.is_empty() { Reason::BodyNotKeyed } else { Reason::Operation };
        operations.extend(or_any.then(Operation::default));
        Self { reason, operations }
    }

    /// A request that could not be read, so that it may carry out any operation.
    pub(super) fn unread() -> Self {
        Self::of_operations(Vec::new(), true)
    }
}

impl From<Reason> for Unkeyed {
    fn from(reason: Reason) -> Self {
        Self { reason, operations: Vec::new() }
    }
}

impl ContentKind {
    /// Whether a request of this kind says itself whether it only reads, so that one that cannot be read may be a write.
    pub fn has_operations(self) -> bool {
        matches!(self, Self::GraphQl | Self::JsonRpc)
    }
}

impl ContentRules {
    /// Why a content has no key that cannot be read.
    pub fn unread(&self) -> Unkeyed {
        if self.kind.has_operations() { Unkeyed::unread() } else { Reason::BodyNotKeyed.into() }
    }
}
