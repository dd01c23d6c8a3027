//! How keys differ from what people name in a purge: a route may leave the host out of its keys, and write paths in lower case.

use larder_semantics::PathCase;
use larder_store::InvalidationTarget;

use crate::config::{Config, Route};

/// Stands in keys for a host that is left out.
const ANY_HOST: &str = "*";

/// Which spellings some route has. A URL is named as its own route has it; a prefix, a path or a pattern may be of any route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeySpellings {
    without_host: bool,
    in_lower_case: bool,
}

impl KeySpellings {
    pub(crate) fn of(config: &Config) -> Self {
        let any = |is: fn(&Route) -> bool| config.routes.iter().chain(&config.fallback).any(is);
        Self { without_host: any(|route| !route.settings.key.host), in_lower_case: any(|route| route.settings.key.path == PathCase::Lower) }
    }

    /// Whether every route spells its keys as clients send them.
    pub(crate) fn is_plain(self) -> bool {
        self == Self::default()
    }

    /// Whether some route's tags have parts of paths in lower case.
    pub(crate) fn in_lower_case(self) -> bool {
        self.in_lower_case
    }

    /// The other spellings in which keys have what this target names.
    pub(super) fn others(self, target: &InvalidationTarget) -> Vec<InvalidationTarget> {
        match target {
            InvalidationTarget::Prefix(text) => self.of_text(text, text.len()).map(InvalidationTarget::Prefix).collect(),
            InvalidationTarget::Pattern(text) => {
                self.of_text(text, text.find("**").unwrap_or(text.len())).map(InvalidationTarget::Pattern).collect()
            }
            InvalidationTarget::Path(path) => self.of_text(path, path.len()).map(InvalidationTarget::Path).collect(),
            _ => Vec::new(),
        }
    }

    /// Of a text over host and path, whose host ends before `end` at the latest.
    fn of_text(self, text: &str, end: usize) -> impl Iterator<Item = String> {
        let text = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (host, path) = text.split_at(text.find('/').unwrap_or(text.len()).min(end.min(text.len())));
        let has_host = !host.is_empty() && host != ANY_HOST;
        let without_host = (self.without_host && has_host).then(|| format!("{ANY_HOST}{path}"));
        let lower = path.to_ascii_lowercase();
        let differs = self.in_lower_case && lower != path;
        let lower_without_host = (differs && without_host.is_some()).then(|| format!("{ANY_HOST}{lower}"));
        let lower = differs.then(|| format!("{host}{lower}"));
        [without_host, lower, lower_without_host].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn others(spellings: KeySpellings, target: InvalidationTarget) -> Vec<InvalidationTarget> {
        spellings.others(&target)
    }

    #[test]
    fn what_is_named_with_a_host_is_found_under_keys_without_one() {
        let hostless = KeySpellings { without_host: true, in_lower_case: false };
        let prefix = |text: &str| InvalidationTarget::Prefix(text.to_owned());
        let pattern = |text: &str| InvalidationTarget::Pattern(text.to_owned());
        assert_eq!(others(hostless, prefix("https://A.example:443/api")), [prefix("*/api")]);
        assert_eq!(others(hostless, prefix("a.example")), [prefix("*")]);
        assert_eq!(others(hostless, prefix("/api")), [], "it is for every host already");
        assert_eq!(others(hostless, pattern("a.example/b/*")), [pattern("*/b/*")]);
        assert_eq!(others(hostless, pattern("a.example**/b")), [pattern("***/b")]);
        assert_eq!(others(hostless, pattern("*/b")), []);
        assert_eq!(others(hostless, InvalidationTarget::Tag("a/b".to_owned())), []);
    }

    #[test]
    fn what_is_named_in_capitals_is_found_under_keys_in_lower_case() {
        let lower = KeySpellings { without_host: false, in_lower_case: true };
        assert_eq!(
            others(lower, InvalidationTarget::Prefix("a.example/Api".to_owned())),
            [InvalidationTarget::Prefix("a.example/api".to_owned())]
        );
        assert_eq!(others(lower, InvalidationTarget::Path("/Api/7".to_owned())), [InvalidationTarget::Path("/api/7".to_owned())]);
        assert_eq!(others(lower, InvalidationTarget::Path("/api/7".to_owned())), []);
        let both = KeySpellings { without_host: true, in_lower_case: true };
        let prefix = |text: &str| InvalidationTarget::Prefix(text.to_owned());
        assert_eq!(others(both, prefix("a/B")), [prefix("*/B"), prefix("a/b"), prefix("*/b")]);
    }
}
