//! URLs of a purge under which nothing is stored, while the same path is stored under another scheme, host or port: behind a proxy that ends
//! TLS, or with the port left out, people purge a URL that no key has.

use http::Uri;
use larder_store::Invalidation;
use larder_tower::Cache;

use super::{Ask, Known};
use crate::config::Server;

/// URLs of one call that are looked at: each costs a look at a sample of the store.
const MAX_URLS: usize = 4;

/// A sentence for each URL that names nothing, where another is likely meant.
pub(crate) fn hints(ask: &Ask, known: &Known<'_>, server: &Server, cache: &Cache) -> Vec<String> {
    let ports: Vec<&str> = server.listen.iter().filter_map(|listen| Some(listen.address().rsplit_once(':')?.1)).collect();
    let is_stored = |url: &str| {
        let targets = known.url(url).unwrap_or_default();
        cache.estimate(&Invalidation { targets, soft: false }) > 0
    };
    let of = |url: &String| {
        if is_stored(url) {
            return None;
        }
        let other = others(&url.parse().ok()?, &ports).into_iter().find(|other| is_stored(other))?;
        Some(format!("nothing is stored under {url}; did you mean {other}?"))
    };
    ask.urls.iter().take(MAX_URLS).filter_map(of).collect()
}

/// The same path and query under the schemes and ports that are likely, without the URL itself.
fn others(uri: &Uri, ports: &[&str]) -> Vec<String> {
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Vec::new() };
    let rest = uri.path_and_query().map_or("/", |rest| rest.as_str());
    let host = authority.host();
    let with_ports = ports.iter().map(|port| format!("{host}:{port}"));
    let authorities: Vec<String> = [authority.to_string(), host.to_owned()].into_iter().chain(with_ports).collect();
    let schemes = if scheme == "https" { ["https", "http"] } else { ["http", "https"] };
    let mut found: Vec<String> = Vec::new();
    for scheme in schemes {
        for authority in &authorities {
            let other = format!("{scheme}://{authority}{rest}");
            if other != uri.to_string() && !found.contains(&other) {
                found.push(other);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_likely_target_has_another_scheme_or_port() {
        let others = |url: &str| others(&url.parse().expect("a URL"), &["8080"]);
        assert_eq!(others("http://h/a?b=1"), ["http://h:8080/a?b=1", "https://h/a?b=1", "https://h:8080/a?b=1"]);
        assert_eq!(others("https://h:8443/a"), ["https://h/a", "https://h:8080/a", "http://h:8443/a", "http://h/a", "http://h:8080/a"]);
    }
}
