//! What a step invalidates, in the words of a purge.

use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, StatusCode};
use larder_semantics::Target;
use larder_semantics::invalidation::invalidated;
use larder_store::{AppliedBy, Invalidation, InvalidationLog, InvalidationTarget, Published, StoreFuture};

use crate::active::ActiveConfig;
use crate::config::{NAME_TAG, PurgeWord};
use crate::purge::{Ask, Known, Refused};

/// A log that no other replica follows: it keeps what is invalidated here.
#[derive(Debug, Default)]
pub(super) struct PurgeLog(Mutex<Vec<InvalidationTarget>>);

impl PurgeLog {
    /// Everything since it was last asked.
    pub(super) fn take(&self) -> Vec<InvalidationTarget> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl InvalidationLog for PurgeLog {
    fn publish(&self, invalidation: Invalidation) -> StoreFuture<'_, Published> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(invalidation.targets);
        Box::pin(std::future::ready(Published::Kept))
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn outlives_process(&self) -> bool {
        true
    }

    fn applied_by(&self, _: u64) -> StoreFuture<'_, Option<AppliedBy>> {
        Box::pin(std::future::ready(None))
    }
}

/// Takes the URLs away that a write makes invalid by itself (RFC 9111 §4.4): each of them once, since `[[on_write]]` may name one of them too.
pub(super) fn without_own(
    active: &ActiveConfig,
    target: Target<'_>,
    status: StatusCode,
    answer: &HeaderMap,
    mut all: Vec<InvalidationTarget>,
) -> Vec<InvalidationTarget> {
    let failed = status.is_client_error() || status.is_server_error();
    // An origin that has not answered may have done what it was asked.
    let status = if failed && !all.is_empty() { StatusCode::NO_CONTENT } else { status };
    for own in invalidated(target, status, answer).iter().flat_map(|own| active.routes.urls(own.target())) {
        if let Some(place) = all.iter().position(|known| *known == own) {
            all.remove(place);
        }
    }
    all
}

/// Targets as people write them, sorted. URLs and prefixes of the host that was asked are paths.
pub(super) fn words(targets: &[InvalidationTarget], authority: &str) -> Vec<PurgeWord> {
    let mut words: Vec<PurgeWord> = targets.iter().map(|target| word(target, authority)).collect();
    words.sort_unstable();
    words.dedup();
    words
}

fn word(target: &InvalidationTarget, authority: &str) -> PurgeWord {
    let (kind, value) = match target {
        InvalidationTarget::Url(url) => ("url", at_host(url, authority)),
        InvalidationTarget::Prefix(prefix) => ("prefix", at_host(prefix, authority)),
        InvalidationTarget::Tag(tag) => match tag.strip_prefix(NAME_TAG) {
            Some(name) => ("name", name),
            None => ("tag", &**tag),
        },
        InvalidationTarget::Route(name) => ("route", &**name),
        InvalidationTarget::Class(name) => ("class", &**name),
        InvalidationTarget::Namespace(name) => ("namespace", &**name),
        InvalidationTarget::Identity(_) => ("identity", ""),
        InvalidationTarget::Pattern(pattern) => ("pattern", &**pattern),
        InvalidationTarget::Regex(regex) => ("regex", &**regex),
        InvalidationTarget::Path(path) => ("path", &**path),
        InvalidationTarget::All => ("all", ""),
        other => (other.kind(), ""),
    };
    PurgeWord { kind: kind.to_owned(), value: value.to_owned() }
}

/// What is expected, in the same form: a URL as the keys of its routes have it.
pub(super) fn expected(active: &ActiveConfig, words: &[PurgeWord], (scheme, authority): (&str, &str)) -> Vec<PurgeWord> {
    let same = |expected: &PurgeWord| -> Vec<PurgeWord> {
        let whole = match expected.value.starts_with('/') {
            true => format!("{scheme}://{authority}{}", expected.value),
            false => expected.value.clone(),
        };
        match expected.kind.as_str() {
            "url" => match Known(active).url(&whole) {
                Ok(targets) => self::words(&targets, authority),
                Err(_) => vec![expected.clone()],
            },
            "prefix" => vec![PurgeWord { value: at_host(&whole, authority).to_owned(), ..expected.clone() }],
            _ => vec![expected.clone()],
        }
    };
    let mut words: Vec<PurgeWord> = words.iter().flat_map(same).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// A URL without scheme and host, where it is of this host.
fn at_host<'u>(url: &'u str, authority: &str) -> &'u str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let is_own = rest.get(..authority.len()).is_some_and(|own| own.eq_ignore_ascii_case(authority));
    match rest.get(authority.len()..) {
        Some(path) if is_own && path.starts_with('/') => path,
        _ => url,
    }
}

/// The invalidation that a step asks for. URLs that are paths are of this host.
pub(super) fn invalidation(active: &ActiveConfig, words: &[PurgeWord], (scheme, host): (&str, &str)) -> Result<Invalidation, Refused> {
    let mut ask = Ask::default();
    for PurgeWord { kind, value } in words {
        let list = match kind.as_str() {
            "tag" => &mut ask.tags,
            "url" => &mut ask.urls,
            "prefix" => &mut ask.prefixes,
            "route" => &mut ask.routes,
            "class" => &mut ask.classes,
            "namespace" => &mut ask.namespaces,
            "pattern" => &mut ask.patterns,
            "regex" => &mut ask.regexes,
            "path" => &mut ask.paths,
            "name" => &mut ask.names,
            "all" => {
                ask.all = true;
                continue;
            }
            _ => return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "identity: a purge by people names no client.")),
        };
        list.push(if kind == "url" && value.starts_with('/') { format!("{scheme}://{host}{value}") } else { value.clone() });
    }
    ask.invalidation(&Known(active), usize::MAX)
}
