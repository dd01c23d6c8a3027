//! A batch of calls of JSON-RPC (2.0 §6). "The Client SHOULD match contexts between the set of Request objects and the resulting set of Response objects
//! based on the id member within each Object."

use std::collections::BTreeMap;

use crate::content::json::Value;
use crate::content::rpc;

/// The calls of a batch.
#[derive(Debug)]
pub(super) struct Calls<'a> {
    /// Each with the text of its `id`.
    calls: Vec<(Value<'a>, String)>,
}

impl<'a> Calls<'a> {
    /// The calls; `None` where two have the same `id`.
    pub(super) fn of(batch: Value<'a>) -> Option<Self> {
        let Value::Array(calls) = batch else { return None };
        let calls = calls.into_iter().map(|call| rpc::id(&call).ok().map(|id| (call, id))).collect::<Option<Vec<_>>>()?;
        let mut ids: Vec<&str> = calls.iter().map(|(_, id)| id.as_str()).collect();
        ids.sort_unstable();
        let are_apart = ids.windows(2).all(|two| two[0] != two[1]);
        are_apart.then_some(Self { calls })
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// The one in this place, by itself.
    pub(super) fn request_alone(&self, place: usize) -> Option<String> {
        self.calls.get(place).map(|(call, _)| call.to_json())
    }

    /// Those in these places, as a batch.
    pub(super) fn request(&self, places: &[usize]) -> String {
        Value::Array(places.iter().filter_map(|place| self.calls.get(*place)).map(|(call, _)| call.copy()).collect()).to_json()
    }

    pub(super) fn cut(&self, places: &[usize], answer: &Value<'_>) -> Option<Vec<String>> {
        let answers = answer.items()?;
        let known = answers.iter().map(|answer| Some((rpc::id(answer).ok()?, answer))).collect::<Option<BTreeMap<_, _>>>()?;
        if answers.len() != places.len() {
            return None;
        }
        places.iter().map(|place| known.get(&self.calls.get(*place)?.1).map(|answer| answer.to_json())).collect()
    }

    pub(super) fn join(&self, answers: Vec<Value<'_>>) -> Option<String> {
        let own = answers.into_iter().zip(&self.calls).map(|(mut answer, (_, id))| {
            answer.member("id")?;
            answer.set("id", Value::Plain(id));
            Some(answer)
        });
        Some(Value::Array(own.collect::<Option<_>>()?).to_json())
    }
}
