//! `verify`.

use http::HeaderName;
use serde_json_path::JsonPath;
use toml::Spanned;

use super::items;
use crate::model::{OnLeak, Verify, VerifyMode};
use crate::parse::mistake::Mistake;
use crate::parse::reader::Table;
use crate::sections::json_path::json_path;

/// `verify = false`, or a table.
pub(super) fn read(table: &mut Table<'_>) -> Option<Option<Verify>> {
    if table.get("verify").and_then(|value| value.get_ref().as_bool()) == Some(false) {
        return Some(None);
    }
    let mut verify = table.table("verify")?;
    let usual = Verify::default();
    let read = Verify {
        sample: verify.fraction("sample").map_or(usual.sample, Spanned::into_inner),
        mode: verify
            .one_of("mode", &[("check", VerifyMode::Check), ("shadow", VerifyMode::Shadow)])
            .map_or(usual.mode, Spanned::into_inner),
        fields: verify.list("fields", "field names in quotes, like \"content-type\"", field).map_or(usual.fields, items),
        ignore: verify.list("ignore", "JSONPaths in quotes, like \"$.generated_at\"", ignored).map_or(usual.ignore, items),
        on_leak: verify.one_of("on_leak", &[("report", OnLeak::Report), ("stop", OnLeak::Stop)]).map_or(usual.on_leak, Spanned::into_inner),
    };
    verify.finish();
    Some(Some(read))
}

fn field(text: &str) -> Result<HeaderName, Mistake> {
    HeaderName::try_from(text).map_err(|_| Mistake::new(format!("`{text}` is not the name of a field")).hint("like \"content-type\""))
}

fn ignored(text: &str) -> Result<JsonPath, Mistake> {
    json_path(text, "as RFC 9535 has it: \"$.generated_at\", \"$.items[*].etag\", \"$..request_id\"")
}
