//! A typed look at one TOML table that notes every mistake and goes on.
//!
//! serde stops at the first error, and an operator who repairs a file wants all of them; so the sections are read by asking
//! a [`Table`] for its keys. A key that was not asked for is unknown.

mod one_or_list;

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::parse::described::described;
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::{nearest, units, unknown};
pub(crate) use one_or_list::{Said, sized};

/// How a duration is written.
pub(crate) const DURATION: &str = "a duration in quotes, like \"5m\"";
const SIZE: &str = "a size in quotes, like \"8MiB\"";

/// One table of the file. End with [`Table::finish`], which reports the keys that were not read.
#[must_use = "unknown keys are reported by `finish`"]
pub(crate) struct Table<'a> {
    /// As the user writes it, with brackets: `[cache]`, `[[routes]]`.
    name: String,
    entries: &'a DeTable<'a>,
    span: Range<usize>,
    known: Vec<&'static str>,
    mistakes: &'a Mistakes,
}

/// An item of a list that may be written short.
pub(crate) enum TextOrTable<'a> {
    Text(Spanned<&'a str>),
    Table(Table<'a>),
}

impl<'a> Table<'a> {
    pub(crate) fn root(entries: &'a Spanned<DeTable<'a>>, mistakes: &'a Mistakes) -> Self {
        Self { name: "the file".to_owned(), entries: entries.get_ref(), span: entries.span(), known: Vec::new(), mistakes }
    }

    /// The header of this table, or the whole of it if it stands inline.
    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub(crate) fn mistakes(&self) -> &'a Mistakes {
        self.mistakes
    }

    /// The value of a key; from now on the key is known.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.entries.get(key)
    }

    /// Reports the key as missing unless it is there, right or wrong.
    pub(crate) fn require(&self, key: &str, hint: &str) {
        if !self.entries.contains_key(key) {
            self.mistakes.error(self.span(), Mistake::new(format!("{} needs the key `{key}`", self.name)).hint(hint));
        }
    }

    /// Whether the key is there, right or wrong.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// A string that `parse` makes sense of. `form` says how to write it, for values that are no strings.
    pub(crate) fn parse<T>(&mut self, key: &'static str, form: &str, parse: impl FnOnce(&str) -> Result<T, Mistake>) -> Option<Spanned<T>> {
        let value = self.get(key)?;
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(&format!("`{key}`"), form, value);
            return None;
        };
        self.keep(value.span(), parse(text))
    }

    /// `"5m"`.
    pub(crate) fn duration(&mut self, key: &'static str) -> Option<Spanned<Duration>> {
        self.parse(key, DURATION, units::duration)
    }

    /// A duration of whole seconds.
    pub(crate) fn seconds(&mut self, key: &'static str) -> Option<Spanned<u32>> {
        self.parse(key, DURATION, units::seconds)
    }

    /// `"8MiB"`, within limits.
    pub(crate) fn bytes(&mut self, key: &'static str, allowed: RangeInclusive<u64>) -> Option<Spanned<u64>> {
        self.parse(key, SIZE, |text| sized(key, text, &allowed))
    }

    /// One of a few words.
    pub(crate) fn one_of<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<Spanned<T>> {
        let form = nearest::quoted(words.iter().map(|(word, _)| *word));
        self.parse(key, &format!("one of {form}"), |text| choose(&format!("`{key}`"), text, words))
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        self.boolean_at(key).map(Spanned::into_inner)
    }

    /// As [`Self::boolean`], with its place.
    pub(crate) fn boolean_at(&mut self, key: &'static str) -> Option<Spanned<bool>> {
        let value = self.get(key)?;
        let boolean = value.get_ref().as_bool();
        if boolean.is_none() {
            self.wrong_type(&format!("`{key}`"), "true or false, without quotes", value);
        }
        boolean.map(|boolean| Spanned::new(value.span(), boolean))
    }

    /// A whole number within limits.
    pub(crate) fn integer(&mut self, key: &'static str, allowed: RangeInclusive<u64>) -> Option<u64> {
        let value = self.get(key)?;
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(&format!("`{key}`"), "a whole number, without quotes", value);
            return None;
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok().and_then(|number| u64::try_from(number).ok());
        let number = number.filter(|number| allowed.contains(number));
        if number.is_none() {
            let mistake = Mistake::new(format!("`{integer}` is out of range for `{key}`"));
            self.mistakes.error(value.span(), mistake.hint(format!("from {} to {}", allowed.start(), allowed.end())));
        }
        number
    }

    /// A number from 0 to 1, in thousandths.
    pub(crate) fn share(&mut self, key: &'static str) -> Option<Spanned<u16>> {
        let share = self.fraction(key)?;
        // In range, so it fits.
        Some(Spanned::new(share.span(), (share.get_ref() * 1000.0).round() as u16))
    }

    /// A number from 0 to 1.
    pub(crate) fn fraction(&mut self, key: &'static str) -> Option<Spanned<f64>> {
        let value = self.get(key)?;
        let number = match value.get_ref() {
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            DeValue::Integer(number) => number.as_str().parse::<f64>().ok(),
            _ => {
                self.wrong_type(&format!("`{key}`"), "a share, like 0.2, without quotes", value);
                return None;
            }
        };
        let share = number.filter(|share| (0.0..=1.0).contains(share));
        if share.is_none() {
            self.mistakes.error(value.span(), Mistake::new(format!("`{key}` is not a share")).hint("from 0.0 to 1.0; 0.2 is a fifth"));
        }
        share.map(|share| Spanned::new(value.span(), share))
    }

    /// A price: a number that is not negative.
    pub(crate) fn price(&mut self, key: &'static str) -> Option<f64> {
        self.number(key, "of a million tokens: 2.5")
    }

    /// A sum of money that is not negative; `hint` says of what.
    pub(crate) fn number(&mut self, key: &'static str, hint: &str) -> Option<f64> {
        let value = self.get(key)?;
        let number = match value.get_ref() {
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            DeValue::Integer(number) => number.as_str().parse::<f64>().ok(),
            _ => {
                self.wrong_type(&format!("`{key}`"), "a number, like 2.5, without quotes", value);
                return None;
            }
        };
        let price = number.filter(|number| number.is_finite() && *number >= 0.0);
        if price.is_none() {
            self.mistakes.error(value.span(), Mistake::new(format!("`{key}` is not a price")).hint(hint));
        }
        price
    }

    /// A list whose items are strings or tables, like `servers = ["a", { url = "b" }]`.
    pub(crate) fn texts_or_tables(&mut self, key: &'static str, form: &str) -> Option<Vec<TextOrTable<'a>>> {
        let value = self.get(key)?;
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(&format!("`{key}`"), &format!("a list of {form}"), value);
            return None;
        };
        let name = format!("[{}]", self.path(key));
        let items = array.iter().filter_map(|item| match item.get_ref() {
            DeValue::String(text) => Some(TextOrTable::Text(Spanned::new(item.span(), text.as_ref()))),
            DeValue::Table(entries) => {
                let (span, known) = (item.span(), Vec::new());
                Some(TextOrTable::Table(Table { name: name.clone(), entries, span, known, mistakes: self.mistakes }))
            }
            _ => {
                self.wrong_type(&format!("each item of `{key}`"), form, item);
                None
            }
        });
        Some(items.collect())
    }

    /// A list of strings, less the items that are wrong. `None` if the key is absent, no list, or has wrong items only: an empty list
    /// is one that was written so.
    pub(crate) fn list<T>(
        &mut self,
        key: &'static str,
        form: &str,
        mut parse: impl FnMut(&str) -> Result<T, Mistake>,
    ) -> Option<Spanned<Vec<Spanned<T>>>> {
        let value = self.get(key)?;
        self.items_of(key, value, form, &mut parse)
    }

    /// A table of lists whose keys the user chooses, like `cascade = { "a" = ["b", "c"] }`. `parse` is given key and item.
    pub(crate) fn named_lists<T>(
        &mut self,
        key: &'static str,
        form: &str,
        mut parse: impl FnMut(&str, &str) -> Result<T, Mistake>,
    ) -> Vec<(Spanned<&'a str>, Vec<Spanned<T>>)> {
        let Some(table) = self.table(key) else { return Vec::new() };
        let lists = table.entries.iter().filter_map(|(name, value)| {
            let items = table.items_of(name.get_ref(), value, form, &mut |text| parse(name.get_ref(), text))?;
            Some((Spanned::new(name.span(), name.get_ref().as_ref()), items.into_inner()))
        });
        lists.collect()
    }

    /// A table of strings whose keys the user chooses, like `set = { x-a = "1" }`. `parse` is given key and string. `None` if the table is absent.
    pub(crate) fn named_texts<T>(
        &mut self,
        key: &'static str,
        mut parse: impl FnMut(&str, &str) -> Result<T, Mistake>,
    ) -> Option<Vec<Spanned<T>>> {
        self.table(key).map(|table| table.texts(&mut parse))
    }

    /// All strings of a table whose keys the user chooses.
    pub(crate) fn texts<T>(&self, mut parse: impl FnMut(&str, &str) -> Result<T, Mistake>) -> Vec<Spanned<T>> {
        let texts = self.entries.iter().filter_map(|(name, value)| match value.get_ref().as_str() {
            Some(text) => self.keep(value.span(), parse(name.get_ref(), text)),
            None => {
                self.wrong_type(&format!("`{}`", name.get_ref()), "a string", value);
                None
            }
        });
        texts.collect()
    }

    fn items_of<T>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        form: &str,
        parse: &mut dyn FnMut(&str) -> Result<T, Mistake>,
    ) -> Option<Spanned<Vec<Spanned<T>>>> {
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(&format!("`{key}`"), &format!("a list of {form}"), value);
            return None;
        };
        let mut items = Vec::new();
        for item in array.iter() {
            match item.get_ref().as_str() {
                Some(text) => items.extend(self.keep(item.span(), parse(text))),
                None => self.wrong_type(&format!("each item of `{key}`"), form, item),
            }
        }
        (!items.is_empty() || array.is_empty()).then(|| Spanned::new(value.span(), items))
    }

    /// A table inside this one.
    pub(crate) fn table(&mut self, key: &'static str) -> Option<Table<'a>> {
        let value = self.get(key)?;
        self.inner(format!("[{}]", self.path(key)), key, value)
    }

    /// A table of strings whose keys the user chooses from a kind, like `ttl = { "404" = "10s" }`, less the entries that are wrong.
    pub(crate) fn named_strings<N, T>(
        &mut self,
        key: &'static str,
        form: &str,
        parse_name: impl Fn(&str) -> Result<N, Mistake>,
        parse: impl Fn(&str) -> Result<T, Mistake>,
    ) -> Option<Spanned<Vec<(N, T)>>> {
        let table = self.table(key)?;
        let entries = table.entries.iter().filter_map(|(name, value)| {
            let named = table.keep(name.span(), parse_name(name.get_ref()));
            let Some(text) = value.get_ref().as_str() else {
                table.wrong_type(&format!("`{}` of `{key}`", name.get_ref()), form, value);
                return None;
            };
            let value = table.keep(value.span(), parse(text));
            Some((named?.into_inner(), value?.into_inner()))
        });
        Some(Spanned::new(table.span(), entries.collect()))
    }

    /// A table whose keys are names that the user chooses, like `[upstreams.NAME]`.
    pub(crate) fn named_tables(&mut self, key: &'static str) -> Vec<(Spanned<&'a str>, Table<'a>)> {
        let Some(outer) = self.table(key) else { return Vec::new() };
        let mut tables = Vec::new();
        for (name, value) in outer.entries.iter() {
            let title = format!("[{key}.{}]", name.get_ref());
            if let Some(table) = self.inner(title, name.get_ref(), value) {
                tables.push((Spanned::new(name.span(), name.get_ref().as_ref()), table));
            }
        }
        tables
    }

    /// An array of tables, like `[[routes]]`.
    pub(crate) fn tables(&mut self, key: &'static str) -> Vec<Table<'a>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let name = format!("[[{}]]", self.path(key));
        match value.get_ref() {
            DeValue::Array(array) => array.iter().filter_map(|item| self.inner(name.clone(), key, item)).collect(),
            _ => {
                self.wrong_type(&format!("`{key}`"), &format!("{name}, once for each"), value);
                Vec::new()
            }
        }
    }

    /// Reports every key that was not read.
    pub(crate) fn finish(self) {
        for (key, _) in self.entries.iter().filter(|(key, _)| !self.known.contains(&key.get_ref().as_ref())) {
            let given = key.get_ref();
            let mistake = Mistake::new(format!("unknown key `{given}` in {}", self.name));
            self.mistakes.error(key.span(), mistake.hint(unknown::hint(given, &self.known)));
        }
    }

    fn inner(&self, name: String, key: &str, value: &'a Spanned<DeValue<'a>>) -> Option<Table<'a>> {
        match value.get_ref() {
            DeValue::Table(entries) => Some(Table { name, entries, span: value.span(), known: Vec::new(), mistakes: self.mistakes }),
            _ => {
                self.wrong_type(&format!("`{key}`"), &format!("a table: {name}"), value);
                None
            }
        }
    }

    /// The path of a key for a table's title: `store.memory` inside `[store]`.
    fn path(&self, key: &str) -> String {
        match self.name.trim_matches(['[', ']']) {
            outer if outer.len() < self.name.len() => format!("{outer}.{key}"),
            _ => key.to_owned(),
        }
    }

    fn keep<T>(&self, span: Range<usize>, result: Result<T, Mistake>) -> Option<Spanned<T>> {
        match result {
            Ok(value) => Some(Spanned::new(span, value)),
            Err(mistake) => {
                self.mistakes.error(span, mistake);
                None
            }
        }
    }

    fn wrong_type(&self, what: &str, form: &str, found: &Spanned<DeValue<'_>>) {
        let hint = match (found.get_ref(), form) {
            (DeValue::Integer(number), DURATION) => format!("write the unit, in quotes: \"{number}s\""),
            (DeValue::Integer(number), SIZE) => format!("write the unit, in quotes: \"{number}B\""),
            _ => format!("expected {form}"),
        };
        let mistake = Mistake::new(format!("{what} cannot be {}", described(found.get_ref())));
        self.mistakes.error(found.span(), mistake.hint(hint));
    }
}

/// One of `words`, by name.
pub(crate) fn choose<T: Copy>(what: &str, text: &str, words: &[(&str, T)]) -> Result<T, Mistake> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let known = words.iter().map(|(word, _)| *word);
        let hint = match nearest::nearest(text, known.clone()) {
            Some(word) => format!("did you mean \"{word}\"?"),
            None => format!("expected one of {}", nearest::quoted(known)),
        };
        Mistake::new(format!("`{text}` is not a value of {what}")).hint(hint)
    })
}
