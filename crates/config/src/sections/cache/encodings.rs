//! `encodings` and `compress` in `[cache]`, a class or a route: the codings that answers are kept in.

use larder_semantics::Coding;
use toml::Spanned;

use super::items;
use crate::model::{Compress, RouteSettings};
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::nearest;
use crate::parse::reader::Table;

/// What one table says; `None` is "not here".
#[derive(Clone, Debug, Default)]
pub(super) struct EncodingsLayer {
    encodings: Option<Vec<Coding>>,
    compress: Option<Spanned<CompressLayer>>,
}

#[derive(Clone, Debug)]
enum CompressLayer {
    Off,
    On { min: Option<u64>, types: Option<Vec<String>> },
}

impl EncodingsLayer {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let mut before = Vec::new();
        let parse = |text: &str| {
            let coding = coding(text)?;
            if before.contains(&coding) {
                return Err(Mistake::new(format!("`{text}` is listed twice")).hint("remove one of them: the first is the most liked"));
            }
            before.push(coding);
            Ok(coding)
        };
        let encodings = table.list("encodings", "\"zstd\", \"br\", \"gzip\"", parse).map(items);
        Self { encodings, compress: compress(table) }
    }

    /// Lays this over what it inherits.
    pub(super) fn apply(&self, base: &mut RouteSettings) {
        if let Some(encodings) = &self.encodings {
            base.encodings.clone_from(encodings);
        }
        match self.compress.as_ref().map(Spanned::get_ref) {
            None => {}
            Some(CompressLayer::Off) => base.compress = None,
            Some(CompressLayer::On { min, types }) => {
                let inherited = base.compress.take().unwrap_or_default();
                base.compress = Some(Compress { min: min.unwrap_or(inherited.min), types: types.clone().unwrap_or(inherited.types) });
            }
        }
    }

    /// Reports a `compress` that has no coding to pack with.
    pub(super) fn check(&self, settings: &RouteSettings, mistakes: &Mistakes) {
        if let Some(compress) = &self.compress
            && settings.compress.is_some()
            && settings.encodings.is_empty()
        {
            let mistake = Mistake::new("`compress` without `encodings` has nothing to compress with");
            mistakes.error(compress.span(), mistake.hint("add encodings = [\"zstd\", \"br\", \"gzip\"]"));
        }
    }
}

/// `compress = false`, or a table.
fn compress(table: &mut Table<'_>) -> Option<Spanned<CompressLayer>> {
    let span = table.get("compress")?.span();
    if table.get("compress").and_then(|value| value.get_ref().as_bool()) == Some(false) {
        return Some(Spanned::new(span, CompressLayer::Off));
    }
    let mut compress = table.table("compress")?;
    let min = compress.bytes("min", 0..=1 << 40).map(Spanned::into_inner);
    let types = compress.list("types", "media types in quotes, like \"text/*\"", media_type).map(items);
    compress.finish();
    Some(Spanned::new(span, CompressLayer::On { min, types }))
}

fn coding(text: &str) -> Result<Coding, Mistake> {
    let names = Coding::ALL.map(Coding::name);
    Coding::ALL.into_iter().find(|coding| coding.name() == text).ok_or_else(|| {
        let hint = match text {
            "brotli" => "its name in messages is \"br\"".to_owned(),
            "deflate" => "servers and clients do not agree on it; \"gzip\" is as small".to_owned(),
            _ => nearest::hint(text, names, "there are"),
        };
        Mistake::new(format!("`{text}` is not a coding of `encodings`")).hint(hint)
    })
}

fn media_type(text: &str) -> Result<String, Mistake> {
    let is_type = text.split_once('/').is_some_and(|(kind, subtype)| !kind.is_empty() && !subtype.is_empty() && !subtype.contains('/'))
        && text.matches('*').count() <= 1
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/*+-._!#$&^".contains(&byte));
    if is_type {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Mistake::new(format!("`{text}` is not a media type"))
        .hint("without parameters, with one `*` for any text: \"text/*\", \"application/*+json\""))
}
