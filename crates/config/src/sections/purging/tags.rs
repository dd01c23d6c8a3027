//! `[tags]`: how origins name tags, and which tags invalidate others.

use larder_store::TagCascade;

use crate::model::ResponseTags;
use crate::model::purging::cascade::{NamedPattern, following};
use crate::model::purging::tags::{Placeholders, TagTemplate};
use crate::parse::mistake::Mistake;
use crate::parse::reader::Table;
use crate::sections::cache::items;

/// Fields that decide what may be stored, and for whom. Fields of tags are removed before that decision.
const SAY_MORE: [&str; 8] = ["age", "cache-control", "cdn-cache-control", "date", "expires", "set-cookie", "surrogate-control", "vary"];

fn tag_field(text: &str) -> Result<http::HeaderName, Mistake> {
    let name = http::HeaderName::try_from(text)
        .map_err(|_| Mistake::new(format!("`{text}` is not the name of a header field")).hint("like \"surrogate-key\""))?;
    if SAY_MORE.contains(&name.as_str()) {
        let mistake = Mistake::new(format!("`{text}` is not a field of tags"));
        return Err(mistake.hint("\"surrogate-key\", \"cache-tag\" and \"xkey\" are"));
    }
    Ok(name)
}

/// Reads `[tags]`.
pub(crate) fn response_tags(root: &mut Table<'_>) -> ResponseTags {
    let mut tags = ResponseTags::default();
    let Some(mut table) = root.table("tags") else { return tags };
    if let Some(from) = table.list("from", "field names like \"surrogate-key\"", tag_field) {
        tags.from = items(from);
    }
    if let Some(forward) = table.boolean("forward") {
        tags.forward = forward;
    }
    if let Some(max) = table.integer("most", 1..=10_000).and_then(|max| usize::try_from(max).ok()) {
        tags.max = max;
    }
    tags.cascade = cascade(&mut table);
    table.finish();
    tags
}

/// Reads `cascade` of `[tags]`.
fn cascade(table: &mut Table<'_>) -> TagCascade {
    let mistakes = table.mistakes();
    let form = "strings like \"issue-of:{id}\"";
    let lists = table.named_lists("cascade", form, |tag, text| {
        // A mistake in the pattern is told at the pattern.
        let names = NamedPattern::parse(tag).map(|pattern| pattern.names().to_vec()).unwrap_or_default();
        TagTemplate::parse(text, Placeholders { of: "the tag that brings it about", names: &names, sources: &[] })
    });
    let mut cascade = TagCascade::default();
    let mut tags = Vec::new();
    for (tag, also) in lists {
        match NamedPattern::parse(tag.get_ref()) {
            Ok(pattern) => {
                tags.push((tag.span(), pattern.sample()));
                cascade.add(pattern.into_pattern(), also.iter().map(|template| following(template.get_ref())).collect());
            }
            Err(mistake) => mistakes.error(tag.span(), mistake),
        }
    }
    for (span, sample) in tags {
        if cascade.follow([sample.as_str()].into_iter()).is_err() {
            let mistake = Mistake::new(format!("a purge of `{sample}` would never end: what follows from it grows and grows"));
            mistakes.error(span, mistake.hint("a tag may bring about itself, but not longer and longer ones"));
        }
    }
    cascade
}
