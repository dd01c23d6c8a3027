//! Contents of requests as parts of keys, and the answers that are judged by their bodies: the second set of targets of `larder-semantics`.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use larder_semantics::content::graphql::{Document, DocumentReader};
use larder_semantics::content::model::When;
use larder_semantics::content::{ContentKind, ContentRequest, ContentRules, Keyed, graphql};

/// The targets.
pub const TARGETS: &[super::FuzzTarget] = &[("contents", contents), ("queries", queries)];

const KINDS: [ContentKind; 7] = [
    ContentKind::Bytes,
    ContentKind::Json,
    ContentKind::Form,
    ContentKind::Chat,
    ContentKind::Embeddings,
    ContentKind::GraphQl,
    ContentKind::JsonRpc,
];

const PATHS: [&str; 6] =
    ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1beta/models/g:streamGenerateContent", "/api/chat", "/v1/embeddings"];

/// Takes every document for a query of its own text.
#[derive(Debug)]
struct AsItIs;

impl DocumentReader for AsItIs {
    fn read(&self, document: &str, _: Option<&str>) -> Option<Document> {
        (!document.is_empty()).then(|| Document { is_query: !document.starts_with('m'), text: document.to_owned(), names: Vec::new() })
    }
}

fn rules(seed: u8) -> ContentRules {
    let mut rules = ContentRules::new(KINDS[usize::from(seed) % KINDS.len()]);
    (rules.post, rules.when, rules.trims, rules.keeps_errors) = (true, When::Always, seed > 127, seed > 63);
    rules.rpc.others = true;
    rules.documents = Some(Arc::new(AsItIs));
    rules
}

/// A request's content, and behind a blank line what may be the answer to it. The first two bytes choose kind and path. Equal contents have equal keys, and
/// a key says nothing of the content but its hash.
pub fn contents(data: &[u8]) {
    let [kind, place, data @ ..] = data else { return };
    let middle = data.windows(2).position(|pair| pair == b"\n\n").unwrap_or(data.len());
    let (content, answer) = (&data[..middle], data.get(middle + 2..).unwrap_or_default());
    let rules = rules(*kind);
    let media_type = if rules.kind == ContentKind::Form { "application/x-www-form-urlencoded" } else { "application/json" };
    let fields = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))]);
    let path = PATHS[usize::from(*place) % PATHS.len()];
    let request = ContentRequest { path, fields: &fields, content };
    let keyed = rules.key(&request);
    assert_eq!(keyed, rules.key(&request));
    let Ok(Keyed { asked, .. }) = keyed else { return };
    for kind in ["application/json", "text/event-stream", "application/x-ndjson"] {
        let told = rules.judge(&asked, Some(&HeaderValue::from_static(kind)), answer);
        assert_eq!(told, rules.judge(&asked, Some(&HeaderValue::from_static(kind)), answer));
    }
    let _ = graphql::types(answer);
}

/// What a GET to GraphQL asks for in its query: the rest of it has none of that any more.
pub fn queries(data: &[u8]) {
    let rules = rules(5);
    let text = String::from_utf8_lossy(data);
    let _ = rules.key_of_query(&text);
    if let Some(rest) = ContentRules::rest_of_query(&text) {
        assert!(!rules.is_in_query(Some(&rest)), "{rest}");
        assert!(rest.len() <= text.len());
    }
}
