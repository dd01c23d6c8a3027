//! OpenAPI documents (3.x, and Swagger 2.0; JSON or YAML), as far as a cache wants to know of them.

use std::collections::BTreeMap;
use std::fmt;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::naming::{IdentityPart, is_about_the_exchange, names_a_client};
use crate::template::Template;

/// Operations that are read of a document.
const MAX_OPERATIONS: usize = 600;

/// References that are followed from one place, since they may lead in a circle.
const MAX_REFERENCES: usize = 8;

/// The members of a path that are operations.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Why a text is no such document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOpenApi {
    /// It is no JSON and no mapping in YAML, or nested deeper than anybody writes.
    Unreadable,
    /// It has no `openapi` or `swagger`, or no `paths`.
    OtherDocument,
}

impl fmt::Display for NotOpenApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "it is neither JSON nor YAML",
            Self::OtherDocument => "it is JSON or YAML, but no OpenAPI document",
        })
    }
}

/// What a document says of an interface.
#[derive(Clone, Debug, Default)]
pub struct Api {
    pub(crate) title: String,
    pub(crate) operations: Vec<Operation>,
    /// Operations that were left out, since there are too many or no request has their path.
    pub(crate) left_out: usize,
}

/// One method of one path.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// In capitals.
    pub(crate) method: String,
    pub(crate) template: Template,
    pub(crate) summary: String,
    /// What tells clients apart: security schemes, and parameters that name a client.
    pub(crate) identity: Vec<IdentityPart>,
    /// Whether it asks for credentials that no key can hold.
    pub(crate) other_credentials: bool,
    /// Other fields of the request that it goes by.
    pub(crate) fields: Vec<String>,
    /// Examples of values, by the name of the parameter in the path.
    pub(crate) examples: BTreeMap<String, String>,
    /// The query with the parameters that it cannot do without; `None`: there is no example of one.
    pub(crate) query: Option<String>,
    /// Whether it answers with a stream of events.
    pub(crate) streams: bool,
}

impl Operation {
    /// One of which nothing else is known.
    pub(crate) fn plain(method: &str, template: Template, summary: String) -> Self {
        Self {
            method: method.to_owned(),
            template,
            summary,
            identity: Vec::new(),
            other_credentials: false,
            fields: Vec::new(),
            examples: BTreeMap::new(),
            query: Some(String::new()),
            streams: false,
        }
    }
}

impl Api {
    /// Reads a document. `base` is the path of the upstream's URL, which is put before every request's path anyway.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(bytes: &[u8], base: &str) -> Result<Self, NotOpenApi> {
        let document = parsed(bytes).ok_or(NotOpenApi::Unreadable)?;
        // Without its quotes, `swagger: 2.0` is a number in YAML.
        let names_version = |member: &str| document[member].is_string() || document[member].is_number();
        let is_one = names_version("openapi") || names_version("swagger");
        let Some(paths) = document["paths"].as_object().filter(|_| is_one) else { return Err(NotOpenApi::OtherDocument) };
        let reader = Reader { document: &document, prefix: prefix(&document), base };
        let mut api = Self { title: text(&document["info"]["title"]), ..Self::default() };
        for (path, item) in paths {
            reader.path(path, reader.resolved(item), &mut api);
        }
        Ok(api)
    }

    /// How many operations it names.
    pub fn operations(&self) -> usize {
        self.operations.len() + self.left_out
    }
}

/// A document in JSON, or else in YAML. The YAML reader bounds depth, nodes and the expansion of aliases, since a backend need not be friendly.
fn parsed(bytes: &[u8]) -> Option<Value> {
    // Almost any text is a scalar in YAML, and none at all an empty mapping.
    let in_yaml = || serde_saphyr::from_slice::<Map<String, Value>>(bytes).ok().filter(|members| !members.is_empty()).map(Value::Object);
    serde_json::from_slice(bytes).ok().or_else(in_yaml)
}

/// What stands before every path: the first server's (3.x), or `basePath` (2.0).
fn prefix(document: &Value) -> String {
    let server = text(&document["servers"][0]["url"]);
    let after_host = match server.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
        None => server.as_str(),
    };
    let path = if after_host.is_empty() { text(&document["basePath"]) } else { after_host.to_owned() };
    let path = path.trim_end_matches('/');
    if path.starts_with('/') && !path.contains('{') { path.to_owned() } else { String::new() }
}

/// A path as clients ask for it, where the path of the upstream's URL is put before every request's.
pub(crate) fn below<'p>(base: &str, path: &'p str) -> Option<&'p str> {
    path.strip_prefix(base).filter(|rest| rest.starts_with('/'))
}

struct Reader<'d> {
    document: &'d Value,
    prefix: String,
    base: &'d str,
}

impl<'d> Reader<'d> {
    /// The value itself, or what it refers to within the document. A circle leads to nothing.
    fn resolved(&self, value: &'d Value) -> &'d Value {
        let mut value = value;
        for _ in 0..MAX_REFERENCES {
            let Some(reference) = value["$ref"].as_str() else { return value };
            // A pointer in a URL may be encoded as one (RFC 6901 §6).
            let pointer = reference.strip_prefix('#').and_then(|pointer| percent_decode_str(pointer).decode_utf8().ok());
            value = pointer.and_then(|pointer| self.document.pointer(&pointer)).unwrap_or(&Value::Null);
        }
        &Value::Null
    }

    fn path(&self, path: &str, item: &'d Value, api: &mut Api) {
        let whole = format!("{}{path}", self.prefix);
        // Some documents name paths with it, and some without.
        let template = Template::read(below(self.base, &whole).unwrap_or(&whole));
        for method in METHODS.iter().filter(|method| item[**method].is_object()) {
            match &template {
                Some(template) if api.operations.len() < MAX_OPERATIONS => {
                    api.operations.push(self.operation(method, template.clone(), item, &item[*method]));
                }
                _ => api.left_out += 1,
            }
        }
    }

    fn operation(&self, method: &str, template: Template, item: &'d Value, operation: &'d Value) -> Operation {
        let summary = Some(text(&operation["summary"])).filter(|summary| !summary.is_empty());
        let summary = summary.unwrap_or_else(|| text(&operation["operationId"]));
        let mut read = Operation::plain(&method.to_ascii_uppercase(), template, summary);
        read.streams = self.streams(operation);
        self.security(operation, &mut read);
        // An operation's own parameter replaces the path's of the same name and place.
        let mut parameters = BTreeMap::new();
        for parameter in list(&item["parameters"]).chain(list(&operation["parameters"])).map(|parameter| self.resolved(parameter)) {
            parameters.insert((text(&parameter["in"]), text(&parameter["name"])), parameter);
        }
        for ((place, name), parameter) in parameters {
            self.parameter(&place, &name, parameter, &mut read);
        }
        read
    }

    fn parameter(&self, place: &str, name: &str, parameter: &'d Value, read: &mut Operation) {
        match place {
            "path" => {
                if let Some(example) = self.example(parameter) {
                    read.examples.insert(name.to_owned(), example);
                }
            }
            "query" if parameter["required"] == true => {
                let given = self.example(parameter).map(|example| format!("{}={}", encoded(name), encoded(&example)));
                read.query = match (read.query.take(), given) {
                    (Some(query), Some(given)) if query.is_empty() => Some(given),
                    (Some(query), Some(given)) => Some(format!("{query}&{given}")),
                    _ => None,
                };
            }
            "header" if !is_about_the_exchange(name) => match IdentityPart::header(name) {
                Some(part) if names_a_client(name) => add(&mut read.identity, part),
                Some(_) => add(&mut read.fields, name.to_ascii_lowercase()),
                None => {}
            },
            "cookie" => {
                if let Some(part) = IdentityPart::cookie(name) {
                    add(&mut read.identity, part);
                }
            }
            _ => {}
        }
    }

    /// The security that it asks for: its own, or else the document's.
    fn security(&self, operation: &'d Value, read: &mut Operation) {
        let asked = if operation["security"].is_array() { &operation["security"] } else { &self.document["security"] };
        for name in list(asked).filter_map(Value::as_object).flat_map(Map::keys) {
            let place = |schemes: &'d Value| schemes.get(name).map(|scheme| self.resolved(scheme));
            let scheme = place(&self.document["components"]["securitySchemes"]).or_else(|| place(&self.document["securityDefinitions"]));
            let Some(scheme) = scheme else {
                read.other_credentials = true;
                continue;
            };
            let key = text(&scheme["name"]);
            let part = match (scheme["type"].as_str(), scheme["in"].as_str()) {
                (Some("apiKey"), Some("header")) => IdentityPart::header(&key),
                (Some("apiKey"), Some("cookie")) => IdentityPart::cookie(&key),
                (Some("apiKey"), Some("query")) => IdentityPart::query(&key),
                (Some("http" | "basic" | "oauth2" | "openIdConnect"), _) => IdentityPart::header("authorization"),
                _ => None,
            };
            match part {
                Some(part) => add(&mut read.identity, part),
                None => read.other_credentials = true,
            }
        }
    }

    fn example(&self, parameter: &'d Value) -> Option<String> {
        let schema = self.resolved(&parameter["schema"]);
        let of_several = parameter["examples"].as_object().and_then(|examples| examples.values().next());
        let given = [
            Some(&parameter["example"]),
            of_several.map(|example| &self.resolved(example)["value"]),
            Some(&parameter["x-example"]),
            Some(&schema["example"]),
            Some(&schema["examples"][0]),
            Some(&schema["default"]),
            Some(&schema["enum"][0]),
            Some(&parameter["default"]),
            Some(&parameter["enum"][0]),
        ];
        given.into_iter().flatten().find_map(scalar)
    }

    fn streams(&self, operation: &'d Value) -> bool {
        let answers = operation["responses"].as_object().into_iter().flat_map(Map::values).map(|answer| self.resolved(answer));
        let in_answers =
            answers.filter_map(|answer| answer["content"].as_object()).any(|content| content.contains_key("text/event-stream"));
        in_answers || list(&operation["produces"]).any(|kind| kind == "text/event-stream")
    }
}

fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if list.len() < 8 && !list.contains(&item) {
        list.push(item);
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A value that may stand in a URL; longer ones are no keys.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => return None,
    };
    (!text.is_empty() && text.len() <= 64).then_some(text)
}

/// As a segment of a path, or in a query.
pub(crate) fn encoded(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, KEPT).to_string()
}
