//! `match` of a route: request fields and query parameters that a request has to have.

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderName, HeaderValue};
use toml::Spanned;

use crate::model::RequestMatch;
use crate::parse::mistake::Mistake;
use crate::parse::reader::Table;

/// Reads the table; `None` where it is not there or says nothing.
pub(super) fn read(table: &mut Table<'_>) -> Option<RequestMatch> {
    let mistakes = table.mistakes();
    let mut table = table.table("match")?;
    let span = table.span();
    let says_something = table.has("headers") || table.has("query");
    let headers = table.named_texts("headers", |name, text| Ok((field(name)?, value(name, text)?))).unwrap_or_default();
    let query = table.named_texts("query", |name, text| Ok((parameter(name)?, value(name, text)?))).unwrap_or_default();
    table.finish();
    if !says_something {
        mistakes.error(span, Mistake::new("`match` names nothing").hint("leave it out, or write match = { headers = { x-api = \"2\" } }"));
    }
    let matches = RequestMatch {
        headers: headers.into_iter().map(Spanned::into_inner).collect(),
        query: query.into_iter().map(Spanned::into_inner).collect(),
    };
    Some(matches).filter(|matches| matches.conditions() > 0)
}

/// As a part of a route's name, which has neither spaces nor quotes.
pub(super) fn as_name(matches: &RequestMatch) -> String {
    let query = matches.query.iter().map(|(name, value)| format!("{name}={value}"));
    let headers = matches.headers.iter().map(|(name, value)| format!("{name}:{value}"));
    let text = format!("[{}]", query.chain(headers).collect::<Vec<_>>().join(","));
    text.chars().map(|character| if character.is_ascii_graphic() && !"\"\\".contains(character) { character } else { '_' }).collect()
}

/// The same for keys, where no two may be alike: a number made of all conditions.
pub(super) fn digest(matches: &RequestMatch) -> String {
    let mut hash = blake3::Hasher::new();
    let mut put = |kind: u8, name: &str, value: &str| {
        hash.update(&[kind]);
        for text in [name, value] {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
    };
    matches.headers.iter().for_each(|(name, value)| put(0, name.as_str(), value));
    matches.query.iter().for_each(|(name, value)| put(1, name, value));
    hash.finalize().to_hex()[..32].to_owned()
}

fn field(text: &str) -> Result<HeaderName, Mistake> {
    let name =
        HeaderName::try_from(text).map_err(|_| Mistake::new(format!("`{text}` is not the name of a field")).hint("like \"x-api\""))?;
    if [AUTHORIZATION, COOKIE].contains(&name) {
        let mistake = Mistake::new(format!("a route cannot be told by `{text}`"));
        return Err(
            mistake.hint("a client may send any; scope = \"identity\" and key = { cookies = [\"NAME\"] } keep answers apart by them")
        );
    }
    Ok(name)
}

fn parameter(text: &str) -> Result<String, Mistake> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"&=#".contains(&byte));
    if plain {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(format!("`{text}` is not the name of a query parameter")).hint("as clients send it, percent-encoded"))
}

/// At most one star.
fn value(name: &str, text: &str) -> Result<String, Mistake> {
    if HeaderValue::from_str(text).is_err() || text.matches('*').count() > 1 {
        let mistake = Mistake::new(format!("`{text}` is not a value for `{name}`"));
        return Err(mistake.hint("a text, with one `*` for any: \"2\", \"v1.*\", \"*\""));
    }
    Ok(text.to_owned())
}
