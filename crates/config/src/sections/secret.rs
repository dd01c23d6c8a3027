//! Secrets, which stand in variables or files, so that no configuration has to be kept secret.

use toml::de::{DeTable, DeValue};

use crate::model::ReadFile;
use crate::parse::mistake::Mistake;

/// The sections in which values may be secrets.
const SECTIONS: [&str; 3] = ["alerts", "store", "telemetry"];

/// The text of `env:NAME` or `file:PATH`, without the line end behind it. `None`: the text is neither.
pub(crate) fn read(text: &str, hint: &str) -> Result<Option<String>, Mistake> {
    let secret = if let Some(name) = text.strip_prefix("env:") {
        std::env::var(name).map_err(|_| Mistake::new(format!("the variable {name} is not set")).hint(hint))?
    } else if let Some(path) = text.strip_prefix("file:") {
        std::fs::read_to_string(path).map_err(|error| {
            let mistake = Mistake::new(format!("cannot read the secret in {path}: {}", error.kind()));
            mistake.hint("the user who runs larder must be able to read it")
        })?
    } else {
        return Ok(None);
    };
    Ok(Some(secret.trim().to_owned()))
}

/// The files that hold secrets, as they are now: those that `file:PATH` names, and those of `[[admin.tokens]]`.
pub(crate) fn files(table: &DeTable<'_>) -> Vec<ReadFile> {
    let mut paths = Vec::new();
    for section in SECTIONS {
        table.get(section).into_iter().for_each(|value| named_in(value.get_ref(), &mut paths));
    }
    let admin = table.get("admin").and_then(|admin| admin.get_ref().as_table());
    let tokens = admin.and_then(|admin| admin.get("tokens")?.get_ref().as_array());
    let token_file = |token: &DeValue<'_>| token.as_table()?.get("file")?.get_ref().as_str().map(str::to_owned);
    paths.extend(tokens.into_iter().flatten().filter_map(|token| token_file(token.get_ref())));
    paths.into_iter().map(ReadFile::now).collect()
}

fn named_in(value: &DeValue<'_>, paths: &mut Vec<String>) {
    match value {
        DeValue::String(text) => paths.extend(text.strip_prefix("file:").map(str::to_owned)),
        DeValue::Array(values) => values.iter().for_each(|value| named_in(value.get_ref(), paths)),
        DeValue::Table(table) => table.iter().for_each(|(_, value)| named_in(value.get_ref(), paths)),
        _ => {}
    }
}
