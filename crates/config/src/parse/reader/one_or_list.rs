//! Values of which there may be one or several.

use std::ops::RangeInclusive;

use toml::Spanned;

use super::Table;
use crate::parse::mistake::Mistake;
use crate::parse::units;

impl Table<'_> {
    /// A string, or a list of strings that is not empty, less the items that are wrong.
    pub(crate) fn one_or_list<T>(
        &mut self,
        key: &'static str,
        form: &str,
        mut parse: impl FnMut(&str) -> Result<T, Mistake>,
    ) -> Option<Vec<Spanned<T>>> {
        let value = self.get(key)?;
        if value.get_ref().as_array().is_none() {
            return self.parse(key, form, parse).map(|one| vec![one]);
        }
        let items = self.items_of(key, value, form, &mut parse)?.into_inner();
        if items.is_empty() {
            self.mistakes().error(value.span(), Mistake::new(format!("`{key}` is empty")).hint(format!("expected {form}")));
        }
        Some(items).filter(|items| !items.is_empty())
    }
}

/// A size within limits, as the value of this key.
pub(crate) fn sized(key: &str, text: &str, allowed: &RangeInclusive<u64>) -> Result<u64, Mistake> {
    let (min, max) = (units::display_bytes(*allowed.start()), units::display_bytes(*allowed.end()));
    match units::bytes(text)? {
        size if size < *allowed.start() => {
            Err(Mistake::new(format!("`{text}` is too small for `{key}`")).hint(format!("at least \"{min}\"")))
        }
        size if size > *allowed.end() => Err(Mistake::new(format!("`{text}` is too large for `{key}`")).hint(format!("at most \"{max}\""))),
        size => Ok(size),
    }
}
