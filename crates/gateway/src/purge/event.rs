//! An event: something happened elsewhere that makes stored responses old.

use http::StatusCode;
use larder_store::InvalidationTarget;
use serde_json::Value;

use super::{Known, Refused};
use crate::active::ActiveConfig;
use crate::write_rules;

/// What `[[on_event]]` says that an event makes old. It is an object with a `type`; it counts for every rule of that type, or for none.
pub(crate) fn made_old(live: &ActiveConfig, event: &Value) -> Result<Vec<InvalidationTarget>, Refused> {
    let Some(kind) = event["type"].as_str() else {
        return Err(Refused::new(StatusCode::BAD_REQUEST, "An event is an object with a `type`, which is a string."));
    };
    let mut targets = Vec::new();
    let mut known = false;
    for rule in live.config.on_event.iter().filter(|rule| rule.kind == kind) {
        known = true;
        let named = write_rules::event(rule, |url| Known(live).url(url), |field| text(&event[field]))
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
