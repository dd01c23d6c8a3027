//! Members of a JSON object.

/// Bytes of a value: longer ones are no names of anything.
pub(super) const MAX_VALUE: usize = 1024;

/// The top-level members of a JSON object that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JsonFields(Vec<(String, Value)>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Value {
    /// It is not there, or neither string nor number nor boolean.
    #[default]
    Missing,
    /// It is longer than [`MAX_VALUE`].
    TooLong,
    Text(String),
}

impl JsonFields {
    /// The value of a member: a string's text, a number as it was written, `true` or `false`.
    pub fn get(&self, name: &str) -> Option<&str> {
        match self.value(name)? {
            Value::Text(text) => Some(text),
            Value::Missing | Value::TooLong => None,
        }
    }

    /// Whether a member is there, but longer than the name of anything.
    pub fn is_too_long(&self, name: &str) -> bool {
        self.value(name) == Some(&Value::TooLong)
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Nothing yet of the members that are `wanted`.
    pub(super) fn wanted(wanted: &[String]) -> Self {
        Self(wanted.iter().map(|name| (name.clone(), Value::Missing)).collect())
    }

    /// Whether every member that is wanted has been found.
    pub(super) fn has_all(&self) -> bool {
        self.0.iter().all(|(_, value)| *value != Value::Missing)
    }

    /// Takes a member that was read; without a `value`, it has none that counts.
    pub(super) fn set(&mut self, name: &str, value: Option<String>) {
        if let Some((_, slot)) = self.0.iter_mut().find(|(known, _)| known == name) {
            *slot = match value {
                None => Value::Missing,
                Some(value) if value.len() > MAX_VALUE => Value::TooLong,
                Some(value) => Value::Text(value),
            };
        }
    }
}

impl FromIterator<(String, String)> for JsonFields {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(fields: I) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name, Value::Text(value))).collect())
    }
}
