//! A request that has happened, with what would become of it now.

use http::StatusCode;

use super::report::{Explanation, Happened};
use super::request::question;
use super::run::explain;
use crate::proxy::Gateway;
use crate::purge::Refused;

/// Explains the request with this id, or the last one.
pub(crate) async fn explain_happened(gateway: &Gateway, id: Option<&str>) -> Result<Explanation, Refused> {
    let not_found = |detail: String| Refused::new(StatusCode::NOT_FOUND, detail);
    let Some(json) = gateway.observers.recent(id) else {
        return Err(not_found(match (gateway.observers.keeps_recent(), id) {
            (false, _) => "Requests that have happened are kept only with `request_id = true` in [server].".to_owned(),
            (true, Some(_)) => "No request with this id is among the last thousand.".to_owned(),
            (true, None) => "No request has happened yet.".to_owned(),
        }));
    };
    let facts: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
    let text = |name: &str| facts[name].as_str().unwrap_or_default().to_owned();
    let url = format!("{}://{}{}", text("scheme"), text("host"), text("target"));
    let active = gateway.active.load_full();
    let link = active.config.traces.as_ref().and_then(|traces| traces.link.as_ref());
    let trace_link = facts["trace_id"].as_str().and_then(|id| Some(link?.to(id)));
    let happened = Happened { trace_link, ..Happened::of(facts) };
    // One that no client could send again has no dry run.
    let mut explanation = match question(&serde_json::json!({ "url": url, "method": happened.text("method") })) {
        Ok(request) => explain(&active, request).await?,
        Err(_) => Explanation { method: happened.text("method"), url: url.clone(), ..Explanation::default() },
    };
    if url.contains('…') {
        explanation
            .notes
            .push("secrets in the URL are masked, so the rest is about another URL than the one that was asked for".to_owned());
    }
    explanation.notes.push("the fields of a request that has happened are not kept: the rest is about one without any".to_owned());
    explanation.happened = Some(happened);
    Ok(explanation)
}
