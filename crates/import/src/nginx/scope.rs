//! Which directives hold at a place: a block has those of the blocks around it, name by name.

use super::syntax::Directive;

/// A block within others. Copies are cheap: three blocks are the most that nginx has but for locations within locations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    pub(super) block: &'a [Directive],
    around: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(block: &'a [Directive]) -> Self {
        Self { block, around: None }
    }

    pub(super) fn within(&'a self, block: &'a [Directive]) -> Scope<'a> {
        Scope { block, around: Some(self) }
    }

    /// The block around it.
    pub(super) fn around(&self) -> Option<Scope<'a>> {
        self.around.copied()
    }

    /// All directives of this name in the innermost block that has any: nginx takes those of the blocks around only where there is none.
    pub(super) fn all(&self, name: &str) -> Vec<&'a Directive> {
        self.all_of(&[name])
    }

    /// The same of several names that are one setting.
    pub(super) fn all_of(&self, names: &[&str]) -> Vec<&'a Directive> {
        let here: Vec<_> = self.block.iter().filter(|directive| names.contains(&directive.name.as_str())).collect();
        match self.around {
            Some(around) if here.is_empty() => around.all_of(names),
            _ => here,
        }
    }

    /// The last of them.
    pub(super) fn one(&self, name: &str) -> Option<&'a Directive> {
        self.all(name).pop()
    }

    /// Whether it is "on".
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.one(name).is_some_and(|directive| directive.arg(0) == "on")
    }
}
