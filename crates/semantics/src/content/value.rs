//! What a JSON value says, asked part by part.

use std::borrow::Cow;

use super::json::{Value, quoted};

impl<'a> Value<'a> {
    /// The member of an object.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        let place = members.binary_search_by(|(known, _)| known.as_ref().cmp(name)).ok()?;
        Some(&members[place].1)
    }

    /// The same, to be changed.
    pub(crate) fn member_mut(&mut self, name: &str) -> Option<&mut Self> {
        let Self::Object(members) = self else { return None };
        let place = members.binary_search_by(|(known, _)| known.as_ref().cmp(name)).ok()?;
        Some(&mut members[place].1)
    }

    /// Takes a member out of an object.
    pub(crate) fn take(&mut self, name: &str) {
        if let Self::Object(members) = self {
            members.retain(|(known, _)| known != name);
        }
    }

    /// Sets a member of an object.
    pub(crate) fn set(&mut self, name: &'static str, value: Self) {
        self.put(Cow::Borrowed(name), value);
    }

    /// The same with a name that is not known in advance.
    pub(crate) fn put(&mut self, name: Cow<'a, str>, value: Self) {
        let Self::Object(members) = self else { return };
        match members.binary_search_by(|(known, _)| known.as_ref().cmp(&name)) {
            Ok(place) => members[place].1 = value,
            Err(place) => members.insert(place, (name, value)),
        }
    }

    /// An object with these members; of two with one name the later one counts.
    pub(crate) fn object(members: impl IntoIterator<Item = (&'static str, Self)>) -> Self {
        let mut object = Self::Object(Vec::new());
        members.into_iter().for_each(|(name, value)| object.set(name, value));
        object
    }

    /// A string.
    pub(crate) fn string(text: impl Into<Cow<'a, str>>) -> Self {
        Self::String(text.into())
    }

    /// Its text as JSON: members in order of their names, numbers as they were written.
    pub(crate) fn to_json(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    /// Appends that text.
    pub(crate) fn write(&self, text: &mut String) {
        match self {
            Self::Plain(plain) => text.push_str(plain),
            Self::String(string) => text.push_str(&quoted(string)),
            Self::Array(items) => {
                text.push('[');
                for (index, item) in items.iter().enumerate() {
                    text.push_str(if index > 0 { "," } else { "" });
                    item.write(text);
                }
                text.push(']');
            }
            Self::Object(members) => {
                text.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    text.push_str(if index > 0 { "," } else { "" });
                    text.push_str(&quoted(name));
                    text.push(':');
                    value.write(text);
                }
                text.push('}');
            }
        }
    }

    /// Whether an object has no other members than these.
    pub(crate) fn has_only(&self, names: &[&str]) -> bool {
        matches!(self, Self::Object(members) if members.iter().all(|(name, _)| names.contains(&name.as_ref())))
    }

    /// The items of an array.
    pub(crate) fn items(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The text of a string.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a member that is a string.
    pub(crate) fn text_at(&self, name: &str) -> Option<&str> {
        self.member(name)?.text()
    }

    /// A number, as near as a float comes to it.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Plain(text) if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        }
    }

    /// A number of things.
    pub(crate) fn count(&self) -> Option<u64> {
        match self {
            Self::Plain(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The member by which one of several is told from the others; the first one where it is not there.
    pub(crate) fn label(&self, name: &str) -> String {
        match self.member(name) {
            Some(Self::Plain(text)) => (*text).to_owned(),
            Some(Self::String(text)) => text.clone().into_owned(),
            _ => "0".to_owned(),
        }
    }

    /// Whether it says nothing: `null`, `false`, or nothing in a pair of brackets or quotes.
    pub(crate) fn is_absent(&self) -> bool {
        match self {
            Self::Plain(text) => matches!(*text, "null" | "false"),
            Self::String(text) => text.is_empty(),
            Self::Array(items) => items.is_empty(),
            Self::Object(members) => members.is_empty(),
        }
    }
}
