//! `targeted`: fields for shared caches (RFC 9213).

use http::HeaderName;
use http::header::{CACHE_CONTROL, EXPIRES};

use super::items;
use crate::parse::mistake::Mistake;
use crate::parse::reader::Table;

/// The most specific first (RFC 9213 §2.2). An empty list is none: only `Cache-Control` and `Expires` count.
pub(super) fn read(table: &mut Table<'_>) -> Option<Vec<HeaderName>> {
    let mut before = Vec::new();
    let parse = |text: &str| {
        let name = targeted_field(text)?;
        if before.contains(&name) {
            let mistake = Mistake::new(format!("`{text}` is listed twice"));
            return Err(mistake.hint("remove one of them: the first valid one of a response counts"));
        }
        before.push(name.clone());
        Ok(name)
    };
    table.list("targeted", "field names in quotes, like \"CDN-Cache-Control\"", parse).map(items)
}

fn targeted_field(text: &str) -> Result<HeaderName, Mistake> {
    let name = HeaderName::try_from(text).map_err(|_| {
        Mistake::new(format!("`{text}` is not the name of a field")).hint("like \"CDN-Cache-Control\" or \"Surrogate-Control\"")
    })?;
    if name == CACHE_CONTROL || name == EXPIRES {
        let mistake = Mistake::new(format!("`{text}` is not a targeted field"));
        return Err(mistake.hint("leave it out: it counts wherever no targeted field does"));
    }
    Ok(name)
}
