//! The event of a step, as `POST /events` takes it.

use serde_json::{Map, Value};

use super::Tested;
use crate::model::TestEvent;
use crate::parse::mistake::Mistake;
use crate::parse::nearest;
use crate::parse::reader::Table;

/// Reads `event`; mistakes are noted.
pub(super) fn read(mut table: Table<'_>, tested: &Tested<'_>) -> Option<TestEvent> {
    table.require("type", "like type = \"issue.moved\", as [[on_event]] has it");
    let kind = table.parse("type", "the type of an event in quotes, like \"issue.moved\"", |kind| known(kind, tested));
    let fields = table.scalars("event", "a string or a number")?;
    let message: Map<String, Value> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Some(TestEvent { kind: kind?.into_inner(), message: Value::Object(message) })
}

fn known(kind: &str, tested: &Tested<'_>) -> Result<String, Mistake> {
    if tested.events.contains(&kind) {
        return Ok(kind.to_owned());
    }
    let mistake = Mistake::new(format!("no [[on_event]] is for the type `{kind}`"));
    Err(match &tested.events[..] {
        [] => mistake.hint("there is no [[on_event]]"),
        events => mistake.hint(nearest::hint(kind, events.iter().copied(), "there are")),
    })
}
