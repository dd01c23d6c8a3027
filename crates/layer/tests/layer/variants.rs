//! Whatever is asked in whatever order, nobody gets what was made for other selecting fields.

use crate::common;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use common::{Origin, Reply, header, request, response, send, streaming, with_rules};
use http::HeaderMap;
use http::request::Parts;
use http_body_util::{BodyExt, Full};
use larder_store::{Invalidation, InvalidationTarget};
use larder_tower::TagSource;

/// The fields that select the representations of a resource; from the sixth on it changes with the version.
const SELECTING: [&[&str]; 5] = [&[], &["x-a"], &["x-a", "x-b"], &["accept-encoding"], &["x-b"]];
const RESOURCES: u64 = 10;

/// Numbers that are the same in every run (xorshift).
struct Lot(u64);

impl Lot {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

fn selecting(resource: u64, version: u64) -> &'static [&'static str] {
    let changing = if resource < 5 { 0 } else { version };
    SELECTING[((resource + changing) % 5) as usize]
}

fn is_coded(fields: &HeaderMap) -> bool {
    fields.get("accept-encoding").is_some_and(|accepted| accepted.to_str().unwrap().split(", ").any(|coding| coding == "gzip"))
}

fn content(resource: u64, version: u64, fields: &HeaderMap) -> String {
    let values = selecting(resource, version).iter().map(|name| match *name {
        "accept-encoding" => format!("coded={};", is_coded(fields)),
        name => format!("{name}={:?};", fields.get(name)),
    });
    format!("resource {resource}, version {version}: {}", values.collect::<String>())
}

/// Strong for even resources; for odd ones weak, and the same for all representations.
fn tag(resource: u64, version: u64, content: &str) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    if resource.is_multiple_of(2) { format!("\"{:x}\"", hasher.finish()) } else { format!("W/\"{resource}-{version}\"") }
}

/// An origin that keeps to the rules, and fails now and then.
fn answer(lot: &mut Lot, resource: u64, version: u64, fields: &HeaderMap) -> Reply {
    if lot.below(30) == 0 {
        let status = [400, 401, 404, 405, 503][lot.below(5) as usize];
        return response(status, "failed").header("cache-control", lot.one(&["no-store", "max-age=1", ""]));
    }
    let content = content(resource, version, fields);
    let tag = tag(resource, version, &content);
    let opaque = tag.trim_start_matches("W/");
    let known = fields.get("if-none-match").is_some_and(|tags| tags.to_str().unwrap().split(", ").any(|one| one.ends_with(opaque)));
    let reply = if known { response(304, "") } else { streaming(200, Full::new(Bytes::from(content)).map_err(Into::into).boxed_unsync()) };
    let lifetimes =
        ["max-age=1", "max-age=0", "max-age=3", "no-cache", "max-age=1, stale-while-revalidate=2", "max-age=1, stale-if-error=9"];
    let reply = reply.header("etag", &tag).header("cache-control", lot.one(&lifetimes));
    let reply = match selecting(resource, version) {
        ["accept-encoding"] if is_coded(fields) && !known => reply.header("content-encoding", "gzip"),
        _ => reply,
    };
    match selecting(resource, version) {
        [] => reply,
        names => reply.header("vary", &names.join(", ")),
    }
}

#[tokio::test]
async fn rfc9111_4_1_no_request_gets_a_response_for_other_selecting_fields() {
    let (version, lot) = (Arc::new(AtomicU64::new(0)), Mutex::new(Lot(0x9e37_79b9_7f4a_7c15)));
    let origin = {
        let version = Arc::clone(&version);
        Origin::new(move |request| {
            let resource = request.uri().path()[1..].parse().expect("a number");
            answer(&mut lot.lock().unwrap(), resource, version.load(Ordering::Relaxed), request.headers())
        })
    };
    let (cache, hand) = with_rules(origin.clone(), common::rules());
    let (mut lot, mut hits) = (Lot(42), 0);
    for _ in 0..6_000 {
        let resource = lot.below(RESOURCES);
        let mut fields = Vec::new();
        for (name, values) in [("x-a", &["1", "2"][..]), ("x-b", &["1", "2"]), ("accept-encoding", &["gzip", "br, gzip", "br"])] {
            if lot.below(2) == 0 {
                fields.push((name, lot.one(values)));
            }
        }
        if lot.below(8) == 0 {
            fields.push(("cache-control", lot.one(&["no-cache", "no-store", "max-age=0", "max-stale=2", "only-if-cached"])));
        }
        if lot.below(12) == 0 {
            fields.push(("authorization", "Bearer x"));
        }
        let request_sent = request(lot.one(&["GET", "GET", "GET", "HEAD"]), &format!("/{resource}"), &fields);
        let (is_head, own) = (request_sent.method() == http::Method::HEAD, request_sent.headers().clone());
        let read = send(&cache, request_sent).await;
        if read.response.status() == 200 && !is_head {
            let seen = version.load(Ordering::Relaxed);
            let right = (0..=seen).rev().any(|version| content(resource, version, &own) == read.text());
            assert!(right, "{fields:?} got {:?} as {:?}", read.text(), read.response);
            assert!(header(&read.response, "content-encoding").is_empty() || is_coded(&own), "{fields:?} got {:?}", read.response);
            hits += u32::from(read.x_cache() == "HIT");
        }
        match lot.below(40) {
            0 => _ = version.fetch_add(1, Ordering::Relaxed),
            1..4 => hand.advance(1),
            _ => {}
        }
    }
    assert!(hits > 1_000, "{hits} answers came from the store");
    assert!(origin.count() > 1_000, "and {} from the origin", origin.count());
}

/// Tags by the field that selects.
#[derive(Debug)]
struct ByTeam;

impl TagSource for ByTeam {
    fn tags(&self, request: &Parts) -> Option<Vec<String>> {
        Some(vec![format!("for:{}", header_of(request))])
    }

    fn take_tags(&self, response: &mut HeaderMap) -> Option<Vec<String>> {
        Some(response.remove("x-keys").iter().map(|keys| keys.to_str().unwrap_or_default().to_owned()).collect())
    }
}

fn header_of(request: &Parts) -> &str {
    request.headers.get("x-team").and_then(|team| team.to_str().ok()).unwrap_or_default()
}

#[tokio::test]
async fn what_a_304_makes_of_another_variant_is_purged_by_its_own_tags_and_by_those_before() {
    for names in [None, Some("named")] {
        for (tag, kept) in [("for:blue", [names.is_none(), false]), ("for:red", [false, false]), ("for:green", [true, true])] {
            let origin = Origin::new(move |request| {
                let reply = if request.headers().contains_key("if-none-match") { response(304, "") } else { response(200, "page") };
                let reply = names.iter().fold(reply, |reply, names| reply.header("x-keys", names));
                reply.header("etag", "\"1\"").header("vary", "x-team").header("cache-control", "max-age=60")
            });
            let cache = with_rules(origin.clone(), common::builder().tags(ByTeam).build()).0;
            let ask = |team| request("GET", "/a", &[("x-team", team)]);
            send(&cache, ask("red")).await;
            assert_eq!(send(&cache, ask("blue")).await.text(), "page");
            assert!(origin.fields(1).contains_key("if-none-match"));
            cache.cache().invalidate(&Invalidation::hard([InvalidationTarget::Tag(tag.to_owned())])).await;
            for (team, kept) in ["red", "blue"].into_iter().zip(kept) {
                let stays = send(&cache, request("GET", "/a", &[("x-team", team), ("cache-control", "only-if-cached")])).await;
                assert_eq!(stays.x_cache() == "HIT", kept, "{team} after a purge of {tag}, names {names:?}");
            }
        }
    }
}
