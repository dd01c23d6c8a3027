//! `verify`.

use http::HeaderName;
use serde_json_path::JsonPath;
use toml::Spanned;

use super::{items, set};
use crate::model::{OnLeak, Verify, VerifyMode};
use crate::parse::mistake::Mistake;
use crate::parse::reader::Table;
use crate::sections::json_path::json_path;

/// What one table says; `None` is "not here".
#[derive(Clone, Debug)]
pub(super) enum VerifyLayer {
    Off,
    On {
        sample: Option<f64>,
        mode: Option<VerifyMode>,
        fields: Option<Vec<HeaderName>>,
        ignore: Option<Vec<JsonPath>>,
        on_leak: Option<OnLeak>,
    },
}

impl VerifyLayer {
    /// `verify = false`, or a table.
    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        if table.get("verify").and_then(|value| value.get_ref().as_bool()) == Some(false) {
            return Some(Self::Off);
        }
        let mut verify = table.table("verify")?;
        let modes = [("check", VerifyMode::Check), ("shadow", VerifyMode::Shadow)];
        let read = Self::On {
            sample: verify.fraction("sample").map(Spanned::into_inner),
            mode: verify.one_of("mode", &modes).map(Spanned::into_inner),
            fields: verify.list("fields", "field names in quotes, like \"content-type\"", field).map(items),
            ignore: verify.list("ignore", "JSONPaths in quotes, like \"$.generated_at\"", ignored).map(items),
            on_leak: verify.one_of("on_leak", &[("report", OnLeak::Report), ("stop", OnLeak::Stop)]).map(Spanned::into_inner),
        };
        verify.finish();
        Some(read)
    }

    /// Lays this over what it inherits.
    pub(super) fn apply(&self, base: &mut Option<Verify>) {
        match self {
            Self::Off => *base = None,
            Self::On { sample, mode, fields, ignore, on_leak } => {
                let verify = base.get_or_insert_default();
                set(&mut verify.sample, sample);
                set(&mut verify.mode, mode);
                set(&mut verify.fields, fields);
                set(&mut verify.ignore, ignore);
                set(&mut verify.on_leak, on_leak);
            }
        }
    }
}

fn field(text: &str) -> Result<HeaderName, Mistake> {
    HeaderName::try_from(text).map_err(|_| Mistake::new(format!("`{text}` is not the name of a field")).hint("like \"content-type\""))
}

fn ignored(text: &str) -> Result<JsonPath, Mistake> {
    json_path(text, "as RFC 9535 has it: \"$.generated_at\", \"$.items[*].etag\", \"$..request_id\"")
}
