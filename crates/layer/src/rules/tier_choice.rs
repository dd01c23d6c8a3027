//! Which of the tiers behind the memory a route uses.

use std::sync::Arc;

/// The tiers that a route uses, by their names; all of them unless some are named.
#[derive(Clone, Debug, Default)]
pub(crate) struct TierChoice(Option<Arc<[Box<str>]>>);

impl TierChoice {
    /// These and no others.
    pub(super) fn only(names: impl IntoIterator<Item = Box<str>>) -> Self {
        Self(Some(names.into_iter().collect()))
    }

    /// Whether the tier of this name is used.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.iter().any(|known| **known == *name))
    }
}
