//! `rewrite` in `[cache]`, a class or a route: paths that the backend has other names for.

use larder_message::{PathRewrite, path_reading};

use crate::parse::mistake::Mistake;
use crate::parse::reader::Table;

/// Reads the table; `None` where it is not there.
pub(super) fn read(table: &mut Table<'_>) -> Option<PathRewrite> {
    let mut table = table.table("rewrite")?;
    let mut prefix = |key| table.parse(key, "the beginning of a path in quotes, like \"/api\"", prefix).map(toml::Spanned::into_inner);
    let rewrite =
        PathRewrite { strip_prefix: prefix("strip_prefix").unwrap_or_default(), add_prefix: prefix("add_prefix").unwrap_or_default() };
    table.finish();
    Some(rewrite)
}

/// Whole segments in their usual spelling, without the slash at their end; `""` is none.
fn prefix(text: &str) -> Result<String, Mistake> {
    let wrong = |hint: &str| Err(Mistake::new(format!("`{text}` is not the beginning of a path")).hint(hint));
    let trimmed = text.trim_end_matches('/');
    if !trimmed.is_empty() && !text.starts_with('/') {
        return wrong("it begins with a slash: \"/api\"");
    }
    if text.contains(['{', '}', '*']) {
        return wrong("it is taken letter by letter; it has no placeholders");
    }
    let is_path = text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains(['?', '#', '\\', '"']);
    if !is_path || path_reading::is_odd(text) || path_reading::normal(text) != text {
        return wrong("segments as clients send them, without dots, double slashes and needless escapes");
    }
    Ok(trimmed.to_owned())
}
