//! GraphQL over HTTP: a query is keyed by its document, the name of its operation and its variables, whether they stand in a content or in the query of a GET.
//! A persisted query (APQ: the SHA-256 of a document in place of it) has the key of its document once that was seen.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use super::json::Value;
use super::{Operation, Unkeyed, Variables};
use crate::reason::Reason;

/// Reads documents; the parser is the caller's.
pub trait DocumentReader: Debug + Send + Sync {
    /// The document of a request, which runs the operation of this name, or the only one. `None` where it has an error, or no such operation.
    fn read(&self, document: &str, operation: Option<&str>) -> Option<Document>;

    /// The document with this SHA-256 (hexadecimal digits), where it was remembered.
    fn persisted(&self, hash: &str) -> Option<Arc<str>> {
        let _ = hash;
        None
    }

    /// Remembers a document by the hash that its request names, if that is its own: a wrong one would lead others to another's answer. Whether it is.
    fn remember(&self, hash: &str, document: &str) -> bool {
        let _ = (hash, document);
        false
    }
}

/// Bytes of documents that are read for the hashes of one batch: its client sends a few bytes for each.
const MAX_DOCUMENTS: usize = 1 << 20;

/// The parameters of a GET that stand for the members of a content.
pub(super) const PARAMETERS: [&str; 4] = ["extensions", "operationName", "query", "variables"];

/// A document, as the operation that is run makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Whether the operation is a query: it only reads.
    pub is_query: bool,
    /// One text for all ways of writing it.
    pub text: String,
    /// The name of the operation, where it has one, and those of its root fields; none for a query.
    pub names: Vec<String>,
}

/// Looks at a request, and brings it into the form that the key has. `is_safe`: it is a GET, which runs nothing but queries (GraphQL over HTTP §5.3).
/// Tells whether the origin has to know the document, since only its hash goes there.
///
/// # Errors
/// The reason for which it is not answered from the store.
pub(super) fn read(reader: &dyn DocumentReader, request: &mut Value<'_>, is_safe: bool) -> Result<bool, Unkeyed> {
    if let Some(batch) = request.items() {
        return Err(read_batch(reader, batch));
    }
    let text = match read_document(reader, request, &mut { usize::MAX })? {
        Some((document, named)) if document.is_query => Some((document.text, named)),
        Some((document, _)) => return Err(Unkeyed::of_operations(vec![operation(document, request)], false)),
        None if is_safe && hash(request).is_some() => None,
        None => return Err(Unkeyed::unread()),
    };
    let by_hash = said(request).is_none() && text.is_some();
    if !request.member("variables").is_none_or(|variables| is_nothing(variables) || matches!(variables, Value::Object(_))) {
        return Err(Reason::BodyNotKeyed.into());
    }
    if let Some((text, named)) = text {
        // It names the document, which is there. By the hash of another one, some origins would answer for that.
        if let Some(extensions) = request.member_mut("extensions").filter(|_| named) {
            extensions.take("persistedQuery");
        }
        request.set("query", Value::String(text.into()));
    }
    let says_nothing = |value: &Value<'_>| is_nothing(value) || matches!(value, Value::Object(members) if members.is_empty());
    for name in ["operationName", "variables", "extensions"] {
        if request.member(name).is_some_and(says_nothing) {
            request.take(name);
        }
    }
    Ok(by_hash)
}

/// What the requests of a batch carry out. They have no key together.
fn read_batch(reader: &dyn DocumentReader, batch: &[Value<'_>]) -> Unkeyed {
    let (mut operations, mut or_any, mut budget) = (Vec::new(), false, MAX_DOCUMENTS);
    for request in batch {
        match read_document(reader, request, &mut budget) {
            Ok(Some((document, _))) if document.is_query => {}
            Ok(Some((document, _))) if !document.names.is_empty() => operations.push(operation(document, request)),
            Ok(_) | Err(_) => or_any = true,
        }
    }
    Unkeyed::of_operations(operations, or_any)
}

/// The document that a request runs, and whether a hash names it; `None` where it does not say it, or only by a hash that is not known. `budget`: bytes of
/// documents that may be read for hashes.
fn read_document(reader: &dyn DocumentReader, request: &Value<'_>, budget: &mut usize) -> Result<Option<(Document, bool)>, Unkeyed> {
    let operation = match request.member("operationName").filter(|name| !is_nothing(name)) {
        None => None,
        Some(name) => Some(name.text().ok_or_else(Unkeyed::unread)?),
    };
    let text = match (said(request), hash(request)) {
        (Some(said), _) => Cow::Borrowed(said.text().ok_or_else(Unkeyed::unread)?),
        // By a hash alone it is not known what is run, unless its document was seen.
        (None, Some(hash)) => match reader.persisted(hash) {
            Some(document) => {
                *budget = budget.checked_sub(document.len()).ok_or_else(Unkeyed::unread)?;
                Cow::Owned(document.to_string())
            }
            None => return Ok(None),
        },
        (None, None) => return Ok(None),
    };
    let read = reader.read(&text, operation).ok_or_else(Unkeyed::unread)?;
    // A mutation's as well: the next one comes by its hash alone.
    let named = hash(request).is_some_and(|hash| said(request).is_none() || reader.remember(hash, &text));
    Ok(Some((read, named)))
}

fn operation(document: Document, request: &Value<'_>) -> Operation {
    let variables = request.member("variables").map(Variables::of).unwrap_or_default();
    Operation { names: document.names, variables }
}

/// The document in a request.
fn said<'v, 'a>(request: &'v Value<'a>) -> Option<&'v Value<'a>> {
    request.member("query").filter(|query| !is_nothing(query))
}

/// The hash of a document in a request.
fn hash<'v>(request: &'v Value<'_>) -> Option<&'v str> {
    request.member("extensions")?.member("persistedQuery")?.text_at("sha256Hash")
}

/// What an answer says of its own reuse, by `extensions.cacheControl` (Apollo's cache hints, version 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheHint {
    /// The shortest lifetime of its parts, in seconds.
    pub ttl: Option<u32>,
    /// Whether any of them is for one user.
    pub is_private: bool,
}

/// What an answer says of its own reuse; `None` where it may not be given again: it has no data, or errors that are not wanted.
pub(super) fn judge(keeps_errors: bool, answer: &[u8]) -> Option<CacheHint> {
    let answer = Value::parse(answer)?;
    let is_there = |name| answer.member(name).is_some_and(|value: &Value<'_>| *value != Value::Plain("null"));
    let is_fit = is_there("data") && (keeps_errors || !is_there("errors"));
    is_fit.then(|| answer.member("extensions").and_then(|extensions| extensions.member("cacheControl")).map(hint).unwrap_or_default())
}

/// The whole field, and each of its hints, may have a lifetime and a scope.
fn hint(control: &Value<'_>) -> CacheHint {
    let hints = control.member("hints").and_then(Value::items).unwrap_or_default();
    let all = || std::iter::once(control).chain(hints);
    // A lifetime that cannot be read is none (RFC 9111 §4.2.1).
    let ttl = |part: &Value<'_>| part.member("maxAge").filter(|ttl| !is_nothing(ttl)).map(|ttl| ttl.number().map_or(0, |ttl| ttl as u32));
    let is_private = |part: &Value<'_>| part.text_at("scope").is_some_and(|scope| scope.eq_ignore_ascii_case("private"));
    CacheHint { ttl: all().filter_map(ttl).min(), is_private: all().any(is_private) }
}

fn is_nothing(value: &Value<'_>) -> bool {
    matches!(value, Value::Plain("null"))
}

/// The types and the objects in an answer: `Issue` and `Issue:7` for each object that says so by `__typename` and `id`. `None` where it is no JSON.
pub fn types(answer: &[u8]) -> Option<Vec<String>> {
    let mut names = BTreeSet::new();
    add_types(&Value::parse(answer)?, &mut names);
    Some(names.into_iter().collect())
}

fn add_types(value: &Value<'_>, names: &mut BTreeSet<String>) {
    if let Some(kind) = value.text_at("__typename") {
        names.insert(kind.to_owned());
        match value.member("id") {
            Some(Value::String(id)) => _ = names.insert(format!("{kind}:{id}")),
            Some(Value::Plain(id)) if *id != "null" => _ = names.insert(format!("{kind}:{id}")),
            _ => {}
        }
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| add_types(item, names)),
        Value::Object(members) => members.iter().for_each(|(_, member)| add_types(member, names)),
        Value::Plain(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Asked, ContentKind, ContentRequest, ContentRules, Keyed};
    use super::*;
    use std::sync::Mutex;

    /// Takes what begins with `query` for one, and white space as it is.
    #[derive(Debug, Default)]
    struct Simple {
        remembered: Mutex<Option<(String, Arc<str>)>>,
    }

    impl DocumentReader for Simple {
        fn persisted(&self, hash: &str) -> Option<Arc<str>> {
            let remembered = self.remembered.lock().expect("no panic").clone().filter(|(own, _)| own == hash);
            remembered.map(|(_, document)| document).or_else(|| (hash == "known").then(|| "query { a }".into()))
        }

        fn remember(&self, hash: &str, document: &str) -> bool {
            *self.remembered.lock().expect("no panic") = Some((hash.to_owned(), document.into()));
            hash != "of another"
        }

        fn read(&self, document: &str, operation: Option<&str>) -> Option<Document> {
            let is_read = document.contains('{') && operation != Some("unknown");
            is_read.then(|| Document {
                is_query: document.starts_with("query"),
                text: document.replace(' ', ""),
                names: vec!["a".to_owned()],
            })
        }
    }

    fn rules() -> ContentRules {
        ContentRules { documents: Some(Arc::new(Simple::default())), ..ContentRules::new(ContentKind::GraphQl) }
    }

    fn ask(content: &str) -> Result<Keyed, Unkeyed> {
        ask_under(&rules(), content)
    }

    fn ask_under(rules: &ContentRules, content: &str) -> Result<Keyed, Unkeyed> {
        let fields = http::HeaderMap::from_iter([(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"))]);
        rules.key(&ContentRequest { path: "/graphql", fields: &fields, content: content.as_bytes() })
    }

    #[test]
    fn queries_share_a_key_that_say_the_same() {
        let key = |content: &str| ask(content).expect("a key").key;
        let base = key(r#"{"query":"query { a }","variables":{"b":1,"c":2}}"#);
        for same in [
            r#"{"variables":{"c":2,"b":1},"query":"query {a}"}"#,
            r#"{"query":"query { a }","variables":{"b":1,"c":2},"operationName":null,"extensions":{}}"#,
            r#"{"query":"query { a }","variables":{"b":1,"c":2},"extensions":{"persistedQuery":{"version":1,"sha256Hash":"a"}}}"#,
        ] {
            assert_eq!(key(same), base, "{same}");
        }
        for other in [
            r#"{"query":"query { b }","variables":{"b":1,"c":2}}"#,
            r#"{"query":"query { a }","variables":{"b":1,"c":3}}"#,
            r#"{"query":"query { a }","variables":{"b":1,"c":"2"}}"#,
            r#"{"query":"query { a }","variables":{"b":1,"c":2,"d":null}}"#,
            r#"{"query":"query { a }"}"#,
            r#"{"query":"query { a }","variables":{"b":1,"c":2},"operationName":"A"}"#,
            r#"{"query":"query { a }","variables":{"b":1,"c":2},"extensions":{"a":1}}"#,
            r#"{"query":"query { a }","variables":{"b":1,"c":2},"another":1}"#,
            r#"{"query":"query { a }","variables":{"b":1,"c":2},"extensions":{"persistedQuery":{"sha256Hash":"of another"}}}"#,
        ] {
            assert_ne!(key(other), base, "{other}");
        }
        assert_eq!(key(r#"{"query":"query { a }","variables":{}}"#), key(r#"{"query":"query { a }","variables":null}"#));
    }

    fn asked_in(query: &str) -> Result<Keyed, Unkeyed> {
        let rules = rules();
        assert!(rules.is_in_query(Some(query)), "{query}");
        rules.key_of_query(query)
    }

    #[test]
    fn a_get_has_the_key_of_a_post_with_the_same() {
        let base = ask(r#"{"query":"query { a }","variables":{"b":1}}"#).expect("a key");
        for query in [
            "query=query+%7B+a+%7D&variables=%7B%22b%22%3A1%7D",
            "variables={\"b\":1}&tenant=1&operationName=&query=query%20{%20a%20}&extensions={}",
        ] {
            assert_eq!(asked_in(query).expect("a key"), base, "{query}");
        }
        let plain = ContentRules::new(ContentKind::Json);
        assert!(!plain.is_in_query(Some("query=a")));
        assert_eq!(ContentRules::rest_of_query("b=1&query=x&variables={}&c=2").as_deref(), Some("b=1&c=2"));
        assert_eq!(ContentRules::rest_of_query("query=x"), None);
        for query in [
            "query=mutation+%7B+a+%7D",
            "query=query+%7Ba%7D&query=query+%7Bb%7D",
            "query=%zz",
            "query=query+%7Ba%7D&variables=%5B%5D",
            "extensions=1",
        ] {
            assert!(asked_in(query).is_err(), "{query}");
        }
    }

    #[test]
    fn a_persisted_query_has_the_key_of_its_document_once_that_is_known() {
        let by_hash = |hash: &str| format!(r#"{{"extensions":{{"persistedQuery":{{"version":1,"sha256Hash":"{hash}"}}}}}}"#);
        let document = ask(r#"{"query":"query { a }"}"#).expect("a key");
        assert_eq!(document.asked, Asked::GraphQl { by_hash: false });
        let known = ask(&by_hash("known")).expect("a key");
        assert_eq!((known.key, known.asked), (document.key, Asked::GraphQl { by_hash: true }));
        assert_eq!(ask(&by_hash("unknown")).err(), Some(Unkeyed::unread()), "it may be a mutation");
        let extensions =
            |hash: &str| format!("extensions=%7B%22persistedQuery%22%3A%7B%22version%22%3A1%2C%22sha256Hash%22%3A%22{hash}%22%7D%7D");
        assert_eq!(asked_in(&extensions("known")).expect("a key").key, document.key);
        let (one, other) = (asked_in(&extensions("one")).expect("a key"), asked_in(&extensions("other")).expect("a key"));
        assert!(one.key != other.key && one.asked == Asked::GraphQl { by_hash: false }, "a GET runs queries only, so its hash is enough");
    }

    #[test]
    fn a_mutation_by_its_hash_is_known_once_its_document_was_seen() {
        let rules = rules();
        let by_hash = r#""extensions":{"persistedQuery":{"version":1,"sha256Hash":"m"}},"variables":{"id":7}"#;
        let with_document = ask_under(&rules, &format!(r#"{{"query":"mutation {{ a }}",{by_hash}}}"#)).expect_err("no query");
        assert_eq!(with_document.reason, Reason::Operation);
        assert_eq!(ask_under(&rules, &format!("{{{by_hash}}}")), Err(with_document));
    }

    #[test]
    fn what_is_no_query_passes() {
        let unkeyed = ask(r#"{"query":"mutation { a }","variables":{"id":7,"input":{"ids":["a"]}}}"#).expect_err("no query");
        let [operation] = unkeyed.operations.try_into().expect("one");
        assert_eq!([operation.variable("id"), operation.variable("input.ids.0")], [Some("7".into()), Some("a".into())]);
        assert_eq!((unkeyed.reason, operation.names), (Reason::Operation, vec!["a".to_owned()]));
        for content in [
            r#"{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"a"}}}"#,
            r#"{"query":"query"}"#,
            r#"{"query":1}"#,
            r#"{"query":"query { a }","operationName":1}"#,
            r#"{"query":"query { a }","operationName":"unknown"}"#,
            r#"{"documentId":"a"}"#,
            r#"[{"query":"query { a }"},{"query":"query"}]"#,
            r#"{"query":"query { a }","query":"mutation { a }"}"#,
            "{}",
            "",
        ] {
            assert_eq!(ask(content).err(), Some(Unkeyed::unread()), "{content}: it may be a mutation");
        }
        for content in [r#"{"query":"query { a }","variables":[]}"#, r#"[{"query":"query { a }"}]"#, "[]"] {
            assert_eq!(ask(content).err(), Some(Reason::BodyNotKeyed.into()), "{content}: it only reads");
        }
    }

    #[test]
    fn every_mutation_of_a_batch_is_an_operation_with_its_own_variables() {
        let mutation = |id: u32| format!(r#"{{"query":"mutation {{ a }}","variables":{{"id":{id}}}}}"#);
        let unkeyed = ask(&format!(r#"[{{"query":"query {{ a }}"}},{},{}]"#, mutation(7), mutation(8))).expect_err("no key");
        let ids: Vec<_> = unkeyed.operations.iter().map(|operation| operation.variable("id")).collect();
        assert_eq!((unkeyed.reason, ids), (Reason::Operation, vec![Some("7".into()), Some("8".into())]));
        let known = r#"{"extensions":{"persistedQuery":{"sha256Hash":"known"}}}"#;
        let unknown = known.replace("known", "unknown");
        assert_eq!(ask(&format!("[{known}]")).err(), Some(Reason::BodyNotKeyed.into()));
        let unkeyed = ask(&format!("[{unknown},{},{unknown}]", mutation(7))).expect_err("no key");
        assert!(unkeyed.reason == Reason::Operation && unkeyed.operations.len() == 2, "{unkeyed:?}");
        assert!(unkeyed.operations[0].names == ["a"] && unkeyed.operations[1] == Operation::default(), "{unkeyed:?}");
        let many = vec![known; MAX_DOCUMENTS / "query { a }".len() + 1].join(",");
        let rules = ContentRules { max_length: usize::MAX, ..rules() };
        assert_eq!(ask_under(&rules, &format!("[{many}]")).err(), Some(Unkeyed::unread()), "their documents are too much to read");
    }

    #[test]
    fn an_answer_says_how_long_it_may_be_kept_and_for_whom() {
        for (control, ttl, is_private) in [
            (r#"{"version":1,"hints":[{"path":["a"],"maxAge":240},{"path":["a","b"],"maxAge":30,"scope":"PUBLIC"}]}"#, Some(30), false),
            (r#"{"version":1,"hints":[{"path":["a"],"scope":"PRIVATE"}]}"#, None, true),
            (r#"{"maxAge":60,"scope":"PRIVATE"}"#, Some(60), true),
            (r#"{"version":1,"hints":[{"maxAge":0}]}"#, Some(0), false),
            (r#"{"version":1,"hints":[{"maxAge":"x"}]}"#, Some(0), false),
            (r#"{"version":1,"hints":[{"maxAge":-5}]}"#, Some(0), false),
            (r#"{"version":1,"hints":[{"maxAge":null}]}"#, None, false),
            ("null", None, false),
        ] {
            let answer = format!(r#"{{"data":{{"a":1}},"extensions":{{"cacheControl":{control}}}}}"#);
            assert_eq!(judge(false, answer.as_bytes()), Some(CacheHint { ttl, is_private }), "{control}");
        }
    }

    #[test]
    fn an_answer_with_errors_is_stored_only_where_they_are_wanted() {
        for (answer, without, with) in [
            (r#"{"data":{"a":1}}"#, true, true),
            (r#"{"data":{"a":1},"errors":null}"#, true, true),
            (r#"{"data":{"a":null},"errors":[{"message":"a"}]}"#, false, true),
            (r#"{"data":null,"errors":[{"message":"a"}]}"#, false, false),
            (r#"{"errors":[{"message":"PersistedQueryNotFound"}]}"#, false, false),
            ("{}", false, false),
            (r#"[{"data":{"a":1}}]"#, false, false),
            ("{", false, false),
        ] {
            let is_fit = |keeps_errors| judge(keeps_errors, answer.as_bytes()).is_some();
            assert_eq!((is_fit(false), is_fit(true)), (without, with), "{answer}");
        }
    }

    #[test]
    fn an_answer_names_its_types_and_objects() {
        let answer = br#"{"data":{"a":{"__typename":"Issue","id":7,"b":[{"__typename":"User","id":"u:1"},{"__typename":"User","id":null}]},"id":9}}"#;
        assert_eq!(types(answer).expect("JSON"), ["Issue", "Issue:7", "User", "User:u:1"]);
        assert_eq!(types(b"{"), None);
    }
}
