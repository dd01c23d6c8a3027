//! The requests of steps, and the answers of the scripted origin.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use larder_semantics::fields::is_hop_by_hop;
use toml::Spanned;

use crate::model::{FieldExpectation, TestAnswer, TestContent, TestFailure, TestRequest, WarmBase};
use crate::parse::mistake::Mistake;
use crate::parse::reader::{Said, Table};

/// The methods that have a key each; `request` takes any.
const METHODS: [(&str, &str); 8] = [
    ("get", "GET"),
    ("head", "HEAD"),
    ("post", "POST"),
    ("put", "PUT"),
    ("patch", "PATCH"),
    ("delete", "DELETE"),
    ("options", "OPTIONS"),
    ("query", "QUERY"),
];

const URL: &str = "a URL or a path in quotes";
const FIELDS: &str = "a string, or a list of strings";

/// It is there and wrong, which is noted.
pub(super) struct Unread;

/// The request of a step, if it has one.
pub(super) fn request(table: &mut Table<'_>, base: &WarmBase) -> Result<Option<TestRequest>, Unread> {
    let mut found: Vec<(&str, Option<(Method, Uri)>)> = Vec::new();
    for (key, name) in METHODS {
        let read = |text: &str| Ok((method(name)?, url(text, base)?));
        if table.has(key) {
            found.push((key, table.parse(key, URL, read).map(Spanned::into_inner)));
        } else {
            // A key that is not there is one that the table knows all the same.
            let _ = table.get(key);
        }
    }
    let line = table.parse("request", "a method and a URL in quotes, like \"PROPFIND /a\"", |text| {
        let (name, target) = text
            .split_once(' ')
            .ok_or_else(|| Mistake::new(format!("`{text}` is no request")).hint("a method and a URL: \"PROPFIND /a\""))?;
        Ok((method(name)?, url(target.trim(), base)?))
    });
    if table.has("request") {
        found.push(("request", line.map(Spanned::into_inner)));
    }
    let headers = fields(table, "headers", true);
    let body = table.parse("body", "a string", |text| Ok(text.to_owned())).map(Spanned::into_inner);
    let client = table.parse("client", "an address in quotes, like \"10.0.0.7\"", client).map(Spanned::into_inner);
    if let [(first, _), (second, _), ..] = found[..] {
        let mistake = Mistake::new(format!("a step is one request, and this one has `{first}` and `{second}`"));
        table.mistakes().error(table.span(), mistake.hint("make two steps of it"));
        return Err(Unread);
    }
    let Some((_, request)) = found.pop() else { return Ok(None) };
    let (method, url) = request.ok_or(Unread)?;
    Ok(Some(TestRequest {
        method,
        url,
        headers,
        body: body.unwrap_or_default(),
        client: client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    }))
}

fn method(name: &str) -> Result<Method, Mistake> {
    Method::from_bytes(name.as_bytes())
        .ok()
        .filter(|method| *method != Method::CONNECT)
        .ok_or_else(|| Mistake::new(format!("`{name}` is not a method that a listener takes")).hint("in capitals, like \"PROPFIND\""))
}

fn url(text: &str, base: &WarmBase) -> Result<Uri, Mistake> {
    base.url(text).filter(|_| !text.contains('#')).ok_or_else(|| {
        Mistake::new(format!("`{text}` is nothing to ask for")).hint("a path that begins with `/`, or a URL with http or https")
    })
}

fn client(text: &str) -> Result<IpAddr, Mistake> {
    text.parse().map_err(|_| Mistake::new(format!("`{text}` is no address")).hint("like \"10.0.0.7\" or \"2001:db8::7\""))
}

/// Fields of a message, each with a line or several.
fn fields(table: &mut Table<'_>, key: &'static str, of_request: bool) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, said) in table.named_values(key, FIELDS, false) {
        let field = match field(name.get_ref()) {
            Ok(field) if of_request && (is_hop_by_hop(&field) || field == HOST || field == CONTENT_LENGTH) => {
                let mistake = Mistake::new(format!("`{field}` is not the test's to say"));
                table.mistakes().error(name.span(), mistake.hint("a whole URL names the host; `body` has the content"));
                continue;
            }
            Ok(field) => field,
            Err(mistake) => {
                table.mistakes().error(name.span(), mistake);
                continue;
            }
        };
        let Said::Lines(lines) = said else { continue };
        for line in lines {
            match HeaderValue::from_str(line.get_ref()) {
                Ok(value) => _ = fields.append(&field, value),
                Err(_) => {
                    let mistake = Mistake::new(format!("this is no value for `{field}`"));
                    table.mistakes().error(line.span(), mistake.hint("without line breaks"));
                }
            }
        }
    }
    fields
}

fn field(name: &str) -> Result<HeaderName, Mistake> {
    HeaderName::try_from(name).map_err(|_| Mistake::new(format!("`{name}` is not the name of a field")).hint("like \"cache-control\""))
}

/// What is expected of fields.
pub(super) fn expected_fields(table: &mut Table<'_>, key: &'static str) -> Vec<(HeaderName, FieldExpectation)> {
    let mut expected = Vec::new();
    for (name, said) in table.named_values(key, "a string, a list of strings, true for any value, or false for none", true) {
        match field(name.get_ref()) {
            Ok(field) => expected.push((
                field,
                match said {
                    Said::Lines(lines) => FieldExpectation::Lines(lines.into_iter().map(|line| line.into_inner().to_owned()).collect()),
                    Said::Is(true) => FieldExpectation::Present,
                    Said::Is(false) => FieldExpectation::Absent,
                },
            )),
            Err(mistake) => table.mistakes().error(name.span(), mistake),
        }
    }
    expected
}

/// What the origin answers.
pub(super) fn answer(mut table: Table<'_>) -> Option<TestAnswer> {
    let status = status(&mut table, "status");
    let headers = fields(&mut table, "headers", false);
    let body = table.parse("body", "a string", |text| Ok(Bytes::copy_from_slice(text.as_bytes())));
    let takes = table.duration("takes").map(Spanned::into_inner).unwrap_or_default();
    let fails = table.one_of("fails", &[("unreachable", TestFailure::Unreachable), ("timeout", TestFailure::Timeout)]);
    let is_response = ["status", "headers", "body"].into_iter().find(|key| table.has(key));
    if let (Some(fails), Some(key)) = (&fails, is_response) {
        let mistake = Mistake::new(format!("an origin that fails has no `{key}`"));
        table.mistakes().error(fails.span(), mistake.hint("leave out one of them"));
    }
    let is_wrong = table.has("status") && status.is_none() || table.has("fails") && fails.is_none();
    table.finish();
    let content = match fails {
        Some(fails) => TestContent::Failure(fails.into_inner()),
        None => TestContent::Response {
            status: status.unwrap_or(StatusCode::OK),
            headers,
            body: body.map(Spanned::into_inner).unwrap_or_default(),
        },
    };
    (!is_wrong).then_some(TestAnswer { takes, content })
}

/// The status of a final response.
pub(super) fn status(table: &mut Table<'_>, key: &'static str) -> Option<StatusCode> {
    table.integer(key, 200..=599).and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok())
}
