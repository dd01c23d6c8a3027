//! What a JSON value says, asked part by part.

use std::borrow::Cow;

use super::json::Value;

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
        let Self::Object(members) = self else { return };
        match members.binary_search_by(|(known, _)| known.as_ref().cmp(name)) {
            Ok(place) => members[place].1 = value,
            Err(place) => members.insert(place, (Cow::Borrowed(name), value)),
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
