//! What a route is to be, going by what is known of it.

use http::{HeaderMap, HeaderName, StatusCode, header};
use larder_semantics::directives::ResponseDirectives;

use crate::naming::{IdentityPart, is_asset, is_private};
use crate::survey::{Answer, Found};
use crate::template::Segment;

/// What the configuration says of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// It passes by the cache.
    Off,
    /// One stored response for each client.
    Identity(Vec<IdentityPart>),
    /// A lifetime, since the backend names none.
    Lifetime(&'static str),
    /// The backend says itself what it is good for.
    Origin,
    /// Nothing is known, so nothing is said.
    Unknown,
}

/// Whether an answer is for everyone, and for how long; with the reason in a sentence.
pub(crate) fn judge(found: &Found) -> (Rule, String) {
    of_document(found).or_else(|| of_sample(found)).unwrap_or_else(|| of_name(found))
}

/// What the document says outranks what a request without credentials was answered.
fn of_document(found: &Found) -> Option<(Rule, String)> {
    let operation = found.operation.as_ref()?;
    if operation.streams {
        return Some((Rule::Off, "A stream of events, by its document.".to_owned()));
    }
    if operation.other_credentials {
        return Some((Rule::Off, "Its document asks for credentials that a key cannot hold.".to_owned()));
    }
    let parts: Vec<String> = operation.identity.iter().map(ToString::to_string).collect();
    (!parts.is_empty())
        .then(|| (Rule::Identity(operation.identity.clone()), format!("Answers go by {}, by its document.", parts.join(" and "))))
}

fn of_sample(found: &Found) -> Option<(Rule, String)> {
    let (target, answer) = found.sample.as_ref()?;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Some((unknown_or_private(found), format!("GET {target}: {error}."))),
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or_default();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        let challenged = answer.headers.contains_key(header::WWW_AUTHENTICATE);
        let rule = if challenged { Rule::Identity(IdentityPart::header("authorization").into_iter().collect()) } else { Rule::Off };
        return Some((rule, format!("GET {target} without credentials: {}.", status.as_u16())));
    }
    if !status.is_success() {
        let leads = answer.location().map_or_else(String::new, |location| format!(" to {location}"));
        return Some((unknown_or_private(found), format!("GET {target}: {}{leads}.", status.as_u16())));
    }
    let (rule, why) = of_answer(answer, found)?;
    Some((rule, format!("GET {target}: {} {why}", status.as_u16())))
}

fn unknown_or_private(found: &Found) -> Rule {
    if private_name(found).is_some() { Rule::Off } else { Rule::Unknown }
}

/// What the fields of a good answer say. `None`: nothing forbids it, and its name does.
fn of_answer(answer: &Answer, found: &Found) -> Option<(Rule, String)> {
    let headers = &answer.headers;
    let directives = ResponseDirectives::parse(headers, &[HeaderName::from_static("cdn-cache-control")]);
    let off = |why: &str| Some((Rule::Off, why.to_owned()));
    if answer.content_type().starts_with("text/event-stream") {
        return off("is a stream of events.");
    }
    if directives.no_store || directives.private.whole() {
        return off(if directives.private.whole() { "is private." } else { "says no-store." });
    }
    if headers.contains_key(header::SET_COOKIE) {
        return off("sets a cookie.");
    }
    if let Some(field) = personal_vary(headers) {
        return off(&format!("varies by {field}."));
    }
    if private_name(found).is_some() && !directives.speaks_to_shared_caches() {
        return None;
    }
    if directives.no_cache.whole() {
        return Some((Rule::Origin, "is validated each time, as it says.".to_owned()));
    }
    let seconds = directives.s_maxage.or(directives.max_age);
    match seconds {
        Some(0) => return Some((Rule::Origin, "is validated each time, as it says.".to_owned())),
        Some(seconds) => return Some((Rule::Origin, format!("names its own lifetime, {seconds} s."))),
        None if headers.contains_key(header::EXPIRES) => return Some((Rule::Origin, "names its own lifetime, by Expires.".to_owned())),
        None => {}
    }
    Some((Rule::Lifetime(lifetime(found)), "names no lifetime.".to_owned()))
}

/// A field in `Vary` that says that everybody may get another answer.
fn personal_vary(headers: &HeaderMap) -> Option<String> {
    let names = headers.get_all(header::VARY).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    names.map(|name| name.trim().to_ascii_lowercase()).find(|name| ["*", "cookie", "authorization"].contains(&name.as_str()))
}

fn of_name(found: &Found) -> (Rule, String) {
    match private_name(found) {
        Some(name) => {
            (Rule::Off, format!("`{name}` is somebody's own, by its name. If each client has an own answer: scope = \"identity\"."))
        }
        None => (Rule::Unknown, "Not looked at: no example of such a request.".to_owned()),
    }
}

fn private_name(found: &Found) -> Option<&str> {
    found.template.segments().iter().find_map(|segment| match segment {
        Segment::Text(text) if is_private(text) => Some(text.as_str()),
        _ => None,
    })
}

/// Long enough to be worth it, and short enough that nobody misses a purge that is not there yet.
pub(crate) fn lifetime(found: &Found) -> &'static str {
    let asset = found.sample.as_ref().is_some_and(|(target, _)| is_asset(target));
    match found.template.segments().last() {
        _ if asset => "1h",
        Some(Segment::Part(_)) => "1m",
        _ => "30s",
    }
}
