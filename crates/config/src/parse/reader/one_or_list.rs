//! Values that may be written in more than one way.

use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::DeValue;

use super::Table;
use crate::parse::mistake::Mistake;
use crate::parse::units;

/// What is said of something that has a name.
pub(crate) enum Said<'a> {
    /// A string, or a list of strings.
    Lines(Vec<Spanned<&'a str>>),
    /// Whether it is there.
    Is(bool),
}

impl<'a> Table<'a> {
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

    /// A table whose keys the user chooses, with strings or lists of strings, and with `may_be` also true and false, like
    /// `headers = { vary = ["a", "b"], age = false }`.
    pub(crate) fn named_values(&mut self, key: &'static str, form: &str, may_be: bool) -> Vec<(Spanned<&'a str>, Said<'a>)> {
        let Some(table) = self.table(key) else { return Vec::new() };
        let said = |value: &'a Spanned<DeValue<'a>>| match value.get_ref() {
            DeValue::String(text) => Some(Said::Lines(vec![Spanned::new(value.span(), text.as_ref())])),
            DeValue::Boolean(is) if may_be => Some(Said::Is(*is)),
            DeValue::Array(lines) => {
                let line = |line: &'a Spanned<DeValue<'a>>| Some(Spanned::new(line.span(), line.get_ref().as_str()?));
                lines.iter().map(line).collect::<Option<_>>().map(Said::Lines)
            }
            _ => None,
        };
        let entries = table.entries.iter().filter_map(|(name, value)| {
            let found = said(value);
            if found.is_none() {
                table.wrong_type(&format!("`{}` of `{key}`", name.get_ref()), form, value);
            }
            Some((Spanned::new(name.span(), name.get_ref().as_ref()), found?))
        });
        entries.collect()
    }

    /// All values of a table whose keys the user chooses: strings and numbers, as JSON has them. `None` where one is neither, which is noted.
    pub(crate) fn scalars(&self, key: &'static str, form: &str) -> Option<Vec<(&'a str, serde_json::Value)>> {
        let number = |text: &str, radix: u32| i64::from_str_radix(text, radix).ok().map(serde_json::Value::from);
        let scalar = |value: &'a Spanned<DeValue<'a>>| match value.get_ref() {
            DeValue::String(text) => Some(text.as_ref().into()),
            DeValue::Integer(integer) => number(integer.as_str(), integer.radix()),
            DeValue::Float(float) => {
                let number = float.as_str().parse().ok().and_then(serde_json::Number::from_f64);
                number.map(serde_json::Value::Number)
            }
            _ => None,
        };
        let read = |(name, value): (&'a Spanned<std::borrow::Cow<'a, str>>, &'a Spanned<DeValue<'a>>)| {
            let found = scalar(value);
            if found.is_none() {
                self.wrong_type(&format!("`{}` of `{key}`", name.get_ref()), form, value);
            }
            Some((name.get_ref().as_ref(), found?))
        };
        let all: Vec<Option<_>> = self.entries.iter().map(read).collect();
        all.into_iter().collect()
    }

    /// Whole seconds, as a number or as a duration.
    pub(crate) fn count_or_seconds(&mut self, key: &'static str) -> Option<u32> {
        match self.get(key)?.get_ref() {
            DeValue::Integer(_) => self.integer(key, 0..=u64::from(u32::MAX)).and_then(|seconds| u32::try_from(seconds).ok()),
            _ => self.parse(key, "seconds, like 60 or \"1m\"", units::seconds).map(Spanned::into_inner),
        }
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
