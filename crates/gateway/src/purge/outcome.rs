//! A purge carried out, and what is said of it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use larder_store::Invalidation;
use larder_tower::{AppliedBy, Cache, Published};

/// How long a purge waits for other replicas unless it says otherwise.
pub(crate) const USUAL_WAIT: Duration = Duration::from_secs(2);

/// The outcome of a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Purged {
    position: u64,
    /// How many replicas have applied it; `None` where only this one is known to, because the log cannot be reached.
    applied: Option<AppliedBy>,
    /// Whether the others will hear of it even if this process ends before the log can be reached.
    kept: bool,
}

/// Makes everything old that an invalidation names, and waits until every live replica has applied it, at most for `wait`.
pub(crate) async fn purge(cache: &Cache, invalidation: &Invalidation, wait: Duration) -> Purged {
    let invalidated = cache.invalidate(invalidation).await;
    let position = match invalidated.published {
        Some(Published::Logged(number)) => number,
        Some(Published::Kept | Published::Unwritten) => invalidated.position.log_number(),
        None => invalidated.position.0,
    };
    let applied = cache.applied(&invalidated, wait).await;
    // Without other replicas nobody has to hear of it.
    let kept = applied.is_some() || invalidated.published != Some(Published::Unwritten);
    Purged { position, applied, kept }
}

impl Purged {
    /// As people read it.
    pub(crate) fn in_words(self) -> String {
        let Self { position, applied, kept } = self;
        match applied {
            Some(by) if by.applied == by.replicas => {
                format!("Purged: applied on {} of {} replicas (position {position}).", by.applied, by.replicas)
            }
            Some(by) => format!(
                "Purged here: applied on {} of {} replicas so far (position {position}); the others follow.",
                by.applied, by.replicas
            ),
            None if kept => "Purged here. The log that replicas share cannot be reached: they hear of it once it can.".to_owned(),
            None => "Purged here. Neither the shared log nor the journal takes it: if this process ends, other replicas never hear of it."
                .to_owned(),
        }
    }

    /// `{"position":7,"applied":3,"replicas":3}`, with `"unknown":1` for those of the replicas that were not heard of for a while. Where the log
    /// cannot be reached the number of replicas is `null`, and the status says that there is something left to be done; where that would be
    /// lost with this process, the answer says so. `hints` are for people.
    pub(crate) fn response(self, hints: &[String]) -> Response<Bytes> {
        let mut body = serde_json::json!({
            "position": self.position,
            "applied": self.applied.map_or(1, |by| by.applied),
            "replicas": self.applied.map(|by| by.replicas),
        });
        if let Some(unknown) = self.applied.map(|by| by.unknown).filter(|unknown| *unknown > 0) {
            body["unknown"] = unknown.into();
        }
        if !self.kept {
            body["kept"] = "in memory only: the journal cannot be written".into();
        }
        if !hints.is_empty() {
            body["hints"] = hints.into();
        }
        let mut response = Response::new(Bytes::from(body.to_string()));
        if self.applied.is_none() {
            *response.status_mut() = StatusCode::ACCEPTED;
        }
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_names_the_replicas_that_have_applied_it() {
        let document: serde_json::Value = serde_json::from_str(include_str!("../admin/openapi.json")).expect("JSON");
        let not_kept = r#"{"applied":1,"kept":"in memory only: the journal cannot be written","position":7,"replicas":null}"#;
        for (applied, kept, status, body) in [
            (Some(AppliedBy { applied: 3, replicas: 3, unknown: 0 }), true, 200, r#"{"applied":3,"position":7,"replicas":3}"#),
            (Some(AppliedBy { applied: 2, replicas: 3, unknown: 1 }), true, 200, r#"{"applied":2,"position":7,"replicas":3,"unknown":1}"#),
            (None, true, 202, r#"{"applied":1,"position":7,"replicas":null}"#),
            (None, false, 202, not_kept),
        ] {
            let response = Purged { position: 7, applied, kept }.response(&[]);
            for path in ["/purge", "/events"] {
                let described = &document["paths"][path]["post"]["responses"];
                assert!(described[response.status().as_str()].is_object(), "{path} {status}: {described}");
            }
            assert_eq!((response.status().as_u16(), &response.body()[..]), (status, body.as_bytes()));
        }
    }
}
