//! The mistake that a key is not known in its table.

use crate::parse::nearest;

/// Where keys stand that are easily written above the first header or below the wrong one.
const HOMES: [(&str, &str); 17] = [
    ("listen", "[server] or [admin]"),
    ("trusted_proxies", "[server]"),
    ("drain_timeout", "[server]"),
    ("max_connections", "[server]"),
    ("url", "[upstreams.NAME]"),
    ("connect_timeout", "[upstreams.NAME]"),
    ("first_byte_timeout", "[upstreams.NAME]"),
    ("capacity", "[store.memory]"),
    ("memory", "[store.memory]"),
    ("access", "[log]"),
    ("level", "[log]"),
    ("path", "[[routes]]"),
    ("tags", "[[routes]]"),
    ("ttl", "[cache], [classes.NAME] or [[routes]]"),
    ("scope", "[cache], [classes.NAME] or [[routes]]"),
    ("max_object", "[cache], [classes.NAME] or [[routes]]"),
    ("max_request_body", "[cache], [classes.NAME] or [[routes]]"),
];

/// The nearest key of this table; or else where such a key stands; or else the keys there are.
pub(crate) fn hint(given: &str, known: &[&str]) -> String {
    match (nearest::nearest(given, known.iter().copied()), home(given)) {
        (None, Some((key, section))) => format!("`{key}` stands in {section}"),
        _ => nearest::hint(given, known.iter().copied(), "keys here"),
    }
}

fn home(given: &str) -> Option<(&'static str, &'static str)> {
    let key = nearest::nearest(given, HOMES.iter().map(|(key, _)| *key))?;
    HOMES.into_iter().find(|(known, _)| *known == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_comes_before_another_section() {
        assert_eq!(hint("ttll", &["ttl", "scope"]), "did you mean `ttl`?");
        assert_eq!(hint("ttl", &["listen"]), "`ttl` stands in [cache], [classes.NAME] or [[routes]]");
        assert_eq!(hint("compression", &["listen", "access"]), "keys here: `listen`, `access`");
    }
}
