//! `[[on_event]]`: the targets that one event invalidates.

use larder_store::InvalidationTarget;

use super::writes::named;
use crate::config::{OnEvent, PurgeTemplate};
use crate::routing::tagging::{Values, segment};

/// The targets that an event invalidates, given the values of its fields; or why there are none, as the end of a sentence about the event.
/// `url_targets` resolves a URL; `tags_in_lower_case`: whether some route's tags have parts of paths so.
pub(crate) fn event(
    rule: &OnEvent,
    tags_in_lower_case: bool,
    url_targets: impl Fn(&str) -> Result<Vec<InvalidationTarget>, String>,
    value: impl Fn(&str) -> Option<String>,
) -> Result<Vec<InvalidationTarget>, String> {
    let needed = |field: &String| value(field).ok_or_else(|| format!("needs the field `{field}`, a string or a number."));
    let fields: Vec<String> = rule.fields.iter().map(needed).collect::<Result<_, _>>()?;
    let captures: Vec<&str> = fields.iter().map(String::as_str).collect();
    let values = Values { captures: &captures, ..Values::default() };
    let encoded: Vec<String> = fields.iter().map(|field| segment(field)).collect();
    let encoded: Vec<&str> = encoded.iter().map(String::as_str).collect();
    let in_url = Values { captures: &encoded, ..Values::default() };
    let mut targets = Vec::new();
    for template in &rule.purge {
        match template {
            PurgeTemplate::Url(url) => {
                if let Some(url) = in_url.fill_url(url) {
                    targets.extend(url_targets(&url).map_err(|why| format!("names no URL: {why}"))?);
                }
            }
            PurgeTemplate::Prefix(path) => targets.extend(in_url.fill_url(path).map(InvalidationTarget::Prefix)),
            PurgeTemplate::Tag(tag) if values.fill(tag).is_err() => {
                return Err("has a field that is longer than what stands in a tag: 256 bytes, 8 colons.".to_owned());
            }
            template => targets.extend(named(template, values, tags_in_lower_case)),
        }
    }
    Ok(targets)
}
