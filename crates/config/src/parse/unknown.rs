//! The mistake that a key is not known in its table.

use crate::parse::nearest;

/// Where keys stand that are easily written above the first header or below the wrong one.
const HOMES: [(&str, &str); 34] = [
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
    ("fields", "[log]"),
    ("endpoint", "[telemetry.traces]"),
    ("path", "[[routes]]"),
    ("tags", "[[routes]]"),
    ("ttl", "[cache], [classes.NAME] or [[routes]]"),
    ("client_ttl", "[cache], [classes.NAME] or [[routes]]"),
    ("etag", "[cache], [classes.NAME] or [[routes]]"),
    ("cookies", "[cache], [classes.NAME] or [[routes]]"),
    ("stale_while_revalidate", "[cache], [classes.NAME] or [[routes]]"),
    ("stale_if_error", "[cache], [classes.NAME] or [[routes]]"),
    ("stale_if_slow", "[cache], [classes.NAME] or [[routes]]"),
    ("stale_if_overloaded", "[cache], [classes.NAME] or [[routes]]"),
    ("state_dir", "[server]"),
    ("refresh_ahead", "[cache], [classes.NAME] or [[routes]]"),
    ("query", "[cache], [classes.NAME] or [[routes]]"),
    ("bypass", "[cache], [classes.NAME] or [[routes]]"),
    ("upstream", "[[routes]]"),
    ("scope", "[cache], [classes.NAME] or [[routes]]"),
    ("max_object", "[cache], [classes.NAME] or [[routes]]"),
    ("tiers", "[cache], [classes.NAME] or [[routes]]"),
    ("max_request_body", "[cache], [classes.NAME] or [[routes]]"),
    ("answer", "a step of [[tests]]"),
    ("expect", "a step of [[tests]]"),
];

/// Names of other products, and of habit, for keys of this configuration: the name, the key to write instead, and its section if that is not [cache], a class or a route.
const FOREIGN: [(&str, &str); 72] = [
    ("max_age", "ttl"),
    ("maxage", "ttl"),
    ("default_ttl", "ttl"),
    ("cache_ttl", "ttl"),
    ("lifetime", "ttl"),
    ("expires", "ttl"),
    ("proxy_cache_valid", "ttl"),
    ("s_maxage", "ttl"),
    ("negative_ttl", "ttl"),
    ("browser_ttl", "client_ttl"),
    ("browser_cache_ttl", "client_ttl"),
    ("edge_ttl", "cdn_ttl"),
    ("surrogate_control", "cdn_ttl"),
    ("proxy_cache_min_uses", "min_hits"),
    ("prefetch", "refresh_ahead"),
    ("refresh_ahead_factor", "refresh_ahead"),
    ("grace", "stale_while_revalidate"),
    ("swr", "stale_while_revalidate"),
    ("proxy_cache_background_update", "stale_while_revalidate"),
    ("stale", "stale_while_revalidate"),
    ("keep", "stale_if_error"),
    ("sie", "stale_if_error"),
    ("saint_mode", "stale_if_error"),
    ("proxy_cache_use_stale", "stale_if_error"),
    ("proxy_cache_lock", "collapse"),
    ("proxy_cache_lock_timeout", "collapse"),
    ("coalesce", "collapse"),
    ("proxy_cache_bypass", "bypass"),
    ("proxy_no_cache", "cache"),
    ("enabled", "cache"),
    ("pass", "cache"),
    ("proxy_ignore_headers", "unsafe_ignore"),
    ("proxy_cache_key", "query"),
    ("cache_key", "query"),
    ("ignore_query", "query"),
    ("drop_query", "query"),
    ("query_string", "query"),
    ("vary", "key"),
    ("key_headers", "key"),
    ("gzip", "compress"),
    ("gzip_types", "compress"),
    ("compression", "compress"),
    ("brotli", "encodings"),
    ("accept_encoding", "encodings"),
    ("proxy_set_header", "request"),
    ("request_headers", "request"),
    ("set_headers", "request"),
    ("add_header", "response"),
    ("response_headers", "response"),
    ("proxy_hide_header", "response"),
    ("strip_prefix", "rewrite"),
    ("strip_path", "rewrite"),
    ("when", "match"),
    ("strip_cookies", "ignore_cookies"),
    ("per_user", "scope"),
    ("private", "scope"),
    ("surrogate_key", "tags"),
    ("cache_tags", "tags"),
    ("xkey", "tags"),
    ("max_size", "max_object"),
    ("proxy_max_temp_file_size", "max_object"),
    ("client_max_body_size", "max_request_body"),
    ("backend", "upstream"),
    ("proxy_pass", "upstream"),
    ("proxy_read_timeout", "first_byte_timeout"),
    ("proxy_connect_timeout", "connect_timeout"),
    ("access_log", "access"),
    ("log_format", "format"),
    ("respond", "answer"),
    ("given", "answer"),
    ("assert", "expect"),
    ("then", "expect"),
];

/// The nearest key of this table; or another product's word for one; or else where such a key stands; or else the keys there are.
pub(crate) fn hint(given: &str, known: &[&str]) -> String {
    if given == "template" && known.contains(&"jwt") && known.contains(&"cookies") {
        return "that is `name` here".to_owned();
    }
    if let Some(key) = foreign(given) {
        return match (known.contains(&key), home(key)) {
            (false, Some((_, section))) => format!("that is `{key}` here; it stands in {section}"),
            _ => format!("that is `{key}` here"),
        };
    }
    match (nearest::nearest(given, known.iter().copied()), home(given)) {
        (None, Some((key, section))) => format!("`{key}` stands in {section}"),
        _ => nearest::hint(given, known.iter().copied(), "keys here"),
    }
}

fn foreign(given: &str) -> Option<&'static str> {
    let given = given.to_ascii_lowercase().replace('-', "_");
    FOREIGN.into_iter().find(|(word, _)| *word == given).map(|(_, key)| key)
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
        for (word, key) in
            [("max_age", "ttl"), ("max-age", "ttl"), ("proxy_cache_valid", "ttl"), ("grace", "stale_while_revalidate"), ("vary", "key")]
        {
            assert_eq!(hint(word, &["ttl", "stale_while_revalidate", "key"]), format!("that is `{key}` here"), "{word}");
        }
        assert_eq!(hint("max_age", &["listen"]), "that is `ttl` here; it stands in [cache], [classes.NAME] or [[routes]]");
        assert_eq!(hint("compression", &["compress"]), "that is `compress` here");
        assert_eq!(hint("constellation", &["listen", "access"]), "keys here: `listen`, `access`");
    }
}
