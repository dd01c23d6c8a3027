//! `hash:TEMPLATE`: requests with the same key go to the same server (rendezvous hashing, Thaler and Ravishankar 1998). When a server comes or
//! goes, only its own keys move, and every process that has the same servers chooses alike.

use std::fmt::Write as _;

use http::request::Parts;
use http::{HeaderMap, header};
use larder_config::{HashKey, HashPart};
use larder_message::client::{ClientConnection, TrustedProxies, effective_target};
use xxhash_rust::xxh3::xxh3_64;

use super::draw::{mixed, unit};

/// The parts of a request that a key is made of.
#[derive(Clone, Copy)]
pub(crate) struct HashInput<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) client: Option<&'a ClientConnection>,
    pub(crate) trusted: &'a TrustedProxies,
}

/// The key of a request. `None` if it has none of the parts: then any server will do.
pub(super) fn key_of(key: &HashKey, input: HashInput<'_>) -> Option<u64> {
    let (mut text, mut has_any) = (String::new(), false);
    for part in &key.parts {
        let before = text.len();
        match part {
            HashPart::Text(plain) => text.push_str(plain),
            HashPart::Path => text.push_str(input.parts.uri.path()),
            HashPart::Query => text.push_str(input.parts.uri.query().unwrap_or_default()),
            HashPart::Host => text.push_str(host(input.parts)),
            HashPart::Client => put_client(input, &mut text),
            HashPart::Header(name) => text.push_str(field(&input.parts.headers, name)),
            HashPart::Cookie(name) => text.push_str(cookie(&input.parts.headers, name)),
        }
        has_any |= !matches!(part, HashPart::Text(_)) && text.len() > before;
        // So that "a" and "bc" differ from "ab" and "c".
        text.push('\0');
    }
    has_any.then(|| xxh3_64(text.as_bytes()))
}

/// How far a server is from a key: the nearest has it. A server of twice the weight has twice as many keys (weighted rendezvous hashing).
pub(super) fn distance(key: u64, server: u64, share: f64) -> f64 {
    -unit(mixed(key ^ server)).ln() / share
}

fn host(parts: &Parts) -> &str {
    parts.uri.authority().map_or_else(|| field(&parts.headers, &header::HOST), |authority| authority.as_str())
}

fn put_client(input: HashInput<'_>, text: &mut String) {
    if let Some(connection) = input.client {
        let target = effective_target(&input.parts.uri, &input.parts.headers, connection, input.trusted);
        let _infallible = write!(text, "{}", target.client.to_canonical());
    }
}

fn field<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn key(template: Vec<HashPart>, request: http::request::Builder) -> Option<u64> {
        let (parts, ()) = request.body(()).expect("request").into_parts();
        let connection = ClientConnection { peer: [10, 0, 0, 7].into(), secure: false, version: http::Version::HTTP_11 };
        let input = HashInput { parts: &parts, client: Some(&connection), trusted: &TrustedProxies::default() };
        key_of(&HashKey { parts: template }, input)
    }

    #[test]
    fn a_key_is_made_of_the_parts_that_are_named() {
        let request = || Request::get("http://h/a?b").header("x-user", "7").header("cookie", "a=1; sid=9");
        for part in [
            HashPart::Path,
            HashPart::Query,
            HashPart::Host,
            HashPart::Client,
            HashPart::Header(header::HeaderName::from_static("x-user")),
            HashPart::Cookie("sid".into()),
        ] {
            assert_eq!(key(vec![part.clone()], request()), key(vec![part], request()));
        }
        assert_eq!(key(vec![HashPart::Path], request()), key(vec![HashPart::Path], Request::get("http://other/a?c")));
        assert_ne!(key(vec![HashPart::Path], request()), key(vec![HashPart::Path], Request::get("http://h/b?b")));
    }

    #[test]
    fn a_request_without_any_of_its_parts_has_no_key() {
        let session = vec![HashPart::Text("s".into()), HashPart::Cookie("sid".into())];
        assert_eq!(key(session, Request::get("/").header("cookie", "id=1")), None);
    }

    #[test]
    fn a_server_of_twice_the_weight_has_twice_as_many_keys_and_no_other_key_moves_when_one_goes() {
        let servers = [(11, 1.0), (12, 1.0), (13, 2.0)];
        let nearest = |key: u64, servers: &[(u64, f64)]| {
            let distance = |(server, share): &(u64, f64)| distance(key, *server, *share);
            servers.iter().min_by(|one, other| distance(one).total_cmp(&distance(other))).expect("a server").0
        };
        let keys = (0..10_000u64).map(mixed);
        let mut heavy = 0;
        for key in keys {
            let chosen = nearest(key, &servers);
            heavy += u32::from(chosen == 13);
            if chosen != 12 {
                assert_eq!(nearest(key, &[servers[0], servers[2]]), chosen);
            }
        }
        assert!((4_700..5_300).contains(&heavy), "{heavy}");
    }
}
