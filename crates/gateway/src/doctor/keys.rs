//! The keys of `[auth.jwt]`, where they are at a URL.

use larder_tower::clock::monotonic;

use super::Finding;
use crate::auth;
use crate::config::{JwtAuth, JwtKeys};

const REMEDY: &str = "is `jwks_url` right and reachable from here, does `ca_file` name who issues its certificate, and are its keys for `algorithms`? \
                      without keys every request with a token passes by the cache";

/// `None` where no URL is asked: keys of a file were read with the configuration.
pub(super) async fn finding(settings: &JwtAuth) -> Option<Finding> {
    let JwtKeys::Url(url) = &settings.keys else { return None };
    // The path may be secret, and the host says enough.
    let what = format!("keys of [auth.jwt] at {}", url.url.authority().map_or("", |authority| authority.as_str()));
    let started = monotonic();
    Some(match auth::probe(settings, url).await {
        Ok(keys) => {
            let time = monotonic().saturating_duration_since(started).as_millis();
            let keys = if keys == 1 { "one key".to_owned() } else { format!("{keys} keys") };
            Finding::good(what, format!("{keys} in {time} ms"))
        }
        Err(why) => Finding::error(what, why, REMEDY),
    })
}
