//! When something was last invalidated.

use super::super::{Position, Validity};

/// When something was last invalidated, hard and soft.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::ledger) struct Stamp {
    hard: Position,
    soft: Position,
}

impl Stamp {
    pub(super) fn set(&mut self, position: Position, soft: bool) {
        *if soft { &mut self.soft } else { &mut self.hard } = position;
    }

    pub(super) fn join(&mut self, other: Self) {
        (self.hard, self.soft) = (self.hard.max(other.hard), self.soft.max(other.soft));
    }

    pub(super) fn last(self) -> Position {
        self.hard.max(self.soft)
    }

    pub(super) fn since(self, position: Position) -> Validity {
        match position {
            position if self.hard > position => Validity::Invalid,
            position if self.soft > position => Validity::Stale,
            _ => Validity::Valid,
        }
    }
}
