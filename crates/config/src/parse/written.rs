//! What a file says, value by value.

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::secrets::shown;
use super::source::mask_sentence;

/// What a file says, and what the environment says instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) sections: Vec<WrittenSection>,
    /// Whether the environment names the servers of `[store.redis]`.
    pub(crate) redis_from_environment: bool,
}

/// One table of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WrittenSection {
    /// The path of its header: `server`, `upstreams.api`.
    pub(crate) path: String,
    /// Whether it is one of several, as `[[routes]]`.
    pub(crate) is_item: bool,
    pub(crate) line: Option<usize>,
    /// Keys within it with their values as TOML, secrets masked, and their lines.
    pub(crate) values: Vec<(String, String, Option<usize>)>,
}

impl WrittenSection {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.values.iter().find(|(own, ..)| own == key).map(|(_, value, _)| value.as_str())
    }
}

/// A reader of one file.
struct Reader<'t> {
    text: &'t str,
    sections: Vec<WrittenSection>,
}

impl Written {
    /// Reads what a file says.
    pub(crate) fn of(table: &DeTable<'_>, text: &str) -> Self {
        let mut reader = Reader { text, sections: Vec::new() };
        for (name, value) in table {
            reader.section(name.get_ref(), name.span().start, value);
        }
        Self { sections: reader.sections, redis_from_environment: false }
    }

    /// What flags say in place of a file.
    pub(crate) fn flag(&mut self, path: &str, key: &str, value: &str) {
        let value = shown(key, quoted(&mask_sentence(value)));
        let section = WrittenSection { path: path.to_owned(), values: vec![(key.to_owned(), value, None)], ..WrittenSection::default() };
        self.sections.push(section);
    }
}

impl Reader<'_> {
    fn line(&self, offset: usize) -> Option<usize> {
        self.text.get(..offset).map(|before| before.matches('\n').count() + 1)
    }

    /// A table under a header of its own, or several, or tables under names that the user chooses, as `[store.…]` and `[upstreams.…]`.
    fn section(&mut self, path: &str, at: usize, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) if holds_sections(path) => {
                for (name, inner) in table {
                    self.section(&format!("{path}.{}", name.get_ref()), name.span().start, inner);
                }
            }
            DeValue::Table(table) => self.table(path, false, at, table),
            DeValue::Array(items) if is_tables(items) => {
                for item in items.iter() {
                    if let DeValue::Table(table) = item.get_ref() {
                        self.table(path, true, item.span().start, table);
                    }
                }
            }
            other => {
                let line = self.line(at);
                let values = vec![(path.to_owned(), shown(path, as_toml(path, other)), line)];
                self.sections.push(WrittenSection { line, values, ..WrittenSection::default() });
            }
        }
    }

    fn table(&mut self, path: &str, is_item: bool, at: usize, table: &DeTable<'_>) {
        let (line, place) = (self.line(at), self.sections.len());
        let mut values = Vec::new();
        for (name, value) in table {
            match value.get_ref() {
                // `[[admin.tokens]]` and the like stand under headers of their own.
                DeValue::Array(items) if !is_item && is_tables(items) => {
                    self.section(&format!("{path}.{}", name.get_ref()), name.span().start, value);
                }
                _ => self.value(name.get_ref().to_string(), name.span().start, value, &mut values),
            }
        }
        // The tables inside come after it.
        self.sections.insert(place, WrittenSection { path: path.to_owned(), is_item, line, values });
    }

    fn value(&self, key: String, at: usize, value: &Spanned<DeValue<'_>>, values: &mut Vec<(String, String, Option<usize>)>) {
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => {
                for (name, value) in inner {
                    self.value(format!("{key}.{}", name.get_ref()), name.span().start, value, values);
                }
            }
            plain => {
                let text = shown(&key, as_toml(&key, plain));
                values.push((key, text, self.line(at)));
            }
        }
    }
}

/// Tables whose entries are sections. By name: `[cache]` may say nothing but tables, too.
fn holds_sections(path: &str) -> bool {
    matches!(path, "store" | "upstreams" | "classes" | "telemetry" | "auth" | "prices")
}

fn is_tables(items: &DeArray<'_>) -> bool {
    !items.is_empty() && items.iter().all(|item| item.get_ref().is_table())
}

/// `key` is the one that it stands under: what may be shown of a table's values depends on it.
fn as_toml(key: &str, value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(&mask_sentence(text)),
        DeValue::Integer(number) => match number.radix() {
            10 => number.as_str().to_owned(),
            radix => i128::from_str_radix(number.as_str(), radix).map_or_else(|_| number.as_str().to_owned(), |number| number.to_string()),
        },
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| as_toml(key, item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Table(table) => {
            let entry = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                let name: &std::borrow::Cow<'_, str> = name.get_ref();
                let whole = format!("{key}.{name}");
                format!("{name} = {}", shown(&whole, as_toml(&whole, value.get_ref())))
            };
            let entries: Vec<String> = table.iter().map(entry).collect();
            if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
        }
    }
}

/// A basic string: its escapes are those of JSON, but for `\/`, which is never written.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
