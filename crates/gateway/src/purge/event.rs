//! Events: what happened elsewhere and invalidates stored responses.

use http::StatusCode;
use larder_store::InvalidationTarget;
use serde_json::Value;

use super::{Known, Refused};
use crate::active::ActiveConfig;
use crate::write_rules::{self, KeySpellings};

/// The targets that an event invalidates by `[[on_event]]`. An event is an object with a `type`; either all rules of that type apply, or none.
pub(crate) fn targets(active: &ActiveConfig, event: &Value) -> Result<Vec<InvalidationTarget>, Refused> {
    let Some(kind) = event["type"].as_str() else {
        return Err(Refused::new(StatusCode::BAD_REQUEST, "An event is an object with a `type`, which is a string."));
    };
    let tags_in_lower_case = KeySpellings::of(&active.config).in_lower_case();
    let mut targets = Vec::new();
    let mut known = false;
    for rule in active.config.on_event.iter().filter(|rule| rule.kind == kind) {
        known = true;
        let named = write_rules::event(rule, tags_in_lower_case, |url| Known(active).url(url), |field| text(&event[field]))
            .map_err(|why| Refused::new(StatusCode::UNPROCESSABLE_ENTITY, format!("An event `{kind}` {why}")))?;
        targets.extend(named);
    }
    if known {
        Ok(targets)
    } else {
        Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, format!("No [[on_event]] is for the type `{kind}`.")))
    }
}

/// A field's value as it stands in a tag.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
