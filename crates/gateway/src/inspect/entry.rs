//! All that lies under one key, found by the key or by a URL.

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode, Uri};
use larder_semantics::{KeyBuffer, KeyParts, PrimaryKey, Target};
use larder_store::{Invalidation, Slot, StoredResponse};
use larder_tower::Cache;

use super::report::{EntryReport, StoredEntry};
use crate::active::ActiveConfig;
use crate::explain::{key_report, stored_report};
use crate::purge::{Known, Refused};

/// An entry, with the responses in the order of the report.
pub(crate) struct Found {
    pub(crate) report: EntryReport,
    /// `None` for what is not a whole response.
    pub(crate) responses: Vec<Option<Arc<StoredResponse>>>,
}

/// Finds what lies under a key, or under the key that a GET of a URL has which shows neither cookies nor an identity.
pub(crate) fn find(cache: &Cache, active: &ActiveConfig, text: &str) -> Result<Found, Refused> {
    let key = match text.starts_with("http://") || text.starts_with("https://") {
        true => key_of_url(cache, active, text)?,
        false if KeyParts::of(text).is_some() => PrimaryKey::from(text),
        false => {
            return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "This is neither a key, as `larder keys` lists them, nor a URL."));
        }
    };
    let slots = cache.slots_of(&key);
    let mut found =
        Found { report: EntryReport { key: key_report(key.text()).unwrap_or_default(), ..EntryReport::default() }, responses: Vec::new() };
    for slot in &slots {
        let Some(stored) = stored_report(cache, slot, |_| Vec::new()) else { continue };
        let (fields, response) = match slot {
            Slot::Response(stored) => (stored.head.headers.to_map(), Some(Arc::clone(stored))),
            Slot::Partial(part) => (part.meta.head.headers.to_map(), None),
            Slot::Vary(_) | Slot::HitForMiss(_) => (HeaderMap::new(), None),
        };
        // The fields that are filled in when it is served have empty places.
        let lines = fields.iter().filter(|(_, value)| !value.is_empty());
        let fields = lines.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect();
        found.report.stored.push(StoredEntry { stored, fields });
        found.responses.push(response);
    }
    found.report.key.name = found.responses.iter().flatten().find_map(|stored| active.name_that_purges(stored));
    if found.report.stored.is_empty() { Err(nothing(cache, active, &key)) } else { Ok(found) }
}

/// Others may lie under the same URL: each identity and each cookie of the key makes another key.
fn nothing(cache: &Cache, active: &ActiveConfig, key: &PrimaryKey) -> Refused {
    let targets = Known(active).url(key.url()).unwrap_or_default();
    let others = cache.estimate(&Invalidation { targets, soft: false });
    let hint = match others {
        0 => String::new(),
        others => format!(" About {others} are stored under its URL with other keys: `larder keys --prefix` lists them."),
    };
    Refused::new(StatusCode::NOT_FOUND, format!("Nothing is stored in memory under `{}`.{hint}", key.text()))
}

fn key_of_url(cache: &Cache, active: &ActiveConfig, text: &str) -> Result<PrimaryKey, Refused> {
    let wrong =
        || Refused::new(StatusCode::UNPROCESSABLE_ENTITY, format!("`{text}` is not an absolute URL like http://example.com/a?b=1."));
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(wrong()) };
    if authority.as_str().contains('@') || text.contains('#') {
        return Err(wrong());
    }
    let target = Target { scheme, authority: authority.as_str(), path: uri.path(), query: uri.query() };
    // Routes with conditions on fields may each have it under a key of their own.
    let mut keys = Vec::new();
    for service in active.routes.all(&Method::GET, target) {
        let mut key = KeyBuffer::default();
        service.route().key().derive(target, &HeaderMap::new(), &mut key);
        keys.push(key.to_key());
    }
    let stored = keys.iter().position(|key| !cache.slots_of(key).is_empty());
    keys.into_iter()
        .nth(stored.unwrap_or(0))
        .ok_or_else(|| Refused::new(StatusCode::NOT_FOUND, format!("No route is for `{text}`, so nothing is stored under it.")))
}
