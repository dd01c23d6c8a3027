//! JSON-RPC 2.0: a request is keyed by its method and its parameters. The `id` only tells answers apart, so it is not in the key, and each client gets its
//! own.

use super::json::{Value, quoted};
use super::{Operation, Unkeyed, Variables};
use crate::pattern::matches_pattern;
use crate::reason::Reason;

/// Which methods are answered from the store, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RpcRules {
    /// Lifetimes of methods in seconds; one `*` in a name stands for any text, and the first that suits counts. 0: it has to reach the origin.
    pub lifetimes: Vec<(String, u32)>,
    /// Whether other methods are answered from the store.
    pub others: bool,
}

impl RpcRules {
    fn lifetime(&self, method: &str) -> Option<u32> {
        self.lifetimes.iter().find(|(pattern, _)| matches_pattern(pattern, method.as_bytes())).map(|(_, ttl)| *ttl)
    }
}

/// What of a request bears on its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RpcRequest {
    /// The `id` as it goes into the answer; `None` for a batch, whose ids are in the key.
    pub id: Option<String>,
    /// The lifetime of its answer in seconds, where its method has one of its own.
    pub ttl: Option<u32>,
}

/// Looks at a request, and takes out of it what the key does not have.
///
/// # Errors
/// The reason for which it is not answered from the store.
pub(super) fn read(rules: &RpcRules, request: &mut Value<'_>) -> Result<RpcRequest, Unkeyed> {
    // Before anything else, for all of them are carried out, and without an `id`, too.
    let operations: Vec<_> =
        request.items().unwrap_or(std::slice::from_ref(request)).iter().filter_map(|call| operation(rules, call)).collect();
    if !operations.is_empty() {
        return Err(Unkeyed::of_operations(operations, false));
    }
    if let Some(batch) = request.items() {
        let calls = batch.iter().map(|call| Ok((id(call)?, lifetime(rules, call)?))).collect::<Result<Vec<_>, Reason>>()?;
        if calls.is_empty() {
            return Err(Reason::BodyNotKeyed.into());
        }
        return Ok(RpcRequest { id: None, ttl: calls.iter().filter_map(|(_, ttl)| *ttl).min() });
    }
    let asked = RpcRequest { id: Some(id(request)?), ttl: lifetime(rules, request)? };
    request.take("id");
    Ok(asked)
}

/// The text of an `id`. A call without one wants no answer (JSON-RPC 2.0 §4.1).
pub(super) fn id(call: &Value<'_>) -> Result<String, Reason> {
    match call.member("id") {
        Some(Value::String(text)) => Ok(quoted(text)),
        Some(Value::Plain(text)) if call.member("id").and_then(Value::number).is_some() => Ok((*text).to_owned()),
        _ => Err(Reason::BodyNotKeyed),
    }
}

fn lifetime(rules: &RpcRules, call: &Value<'_>) -> Result<Option<u32>, Reason> {
    call.text_at("method").map(|method| rules.lifetime(method)).ok_or(Reason::BodyNotKeyed)
}

/// What a call carries out; `None` where it only reads, or calls nothing.
fn operation(rules: &RpcRules, call: &Value<'_>) -> Option<Operation> {
    let method = call.text_at("method")?;
    let own = rules.lifetime(method);
    let is_one = own == Some(0) || (own.is_none() && !rules.others);
    let variables = || call.member("params").map(Variables::of).unwrap_or_default();
    is_one.then(|| Operation { names: vec![method.to_owned()], variables: variables() })
}

/// Whether an answer may be given again: it has a result, and each of a batch has. Without one, what was asked for is not there yet.
pub(super) fn is_fit(request: &RpcRequest, answer: &[u8]) -> bool {
    let has_result = |answer: &Value<'_>| {
        let is_there = |name| answer.member(name).is_some_and(|value| *value != Value::Plain("null"));
        is_there("result") && !is_there("error")
    };
    match Value::parse(answer) {
        Some(Value::Array(answers)) if request.id.is_none() => !answers.is_empty() && answers.iter().all(has_result),
        Some(answer) if request.id.is_some() => has_result(&answer),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Asked, ContentKind, ContentRequest, ContentRules, Keyed};
    use super::*;
    use std::borrow::Cow;

    fn ask(content: &str) -> Result<Keyed, Unkeyed> {
        let lifetimes = [("eth_chainId", 86400), ("eth_send*", 0), ("eth_get*", 2)].map(|(name, ttl)| (name.to_owned(), ttl));
        let rpc = RpcRules { lifetimes: lifetimes.into(), others: true };
        let rules = ContentRules { rpc, ..ContentRules::new(ContentKind::JsonRpc) };
        let fields = http::HeaderMap::from_iter([(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"))]);
        rules.key(&ContentRequest { path: "/", fields: &fields, content: content.as_bytes() })
    }

    fn asked(content: &str) -> RpcRequest {
        match ask(content).expect("a key").asked {
            Asked::Rpc(request) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn calls_share_a_key_whatever_their_id() {
        let key = |content: &str| ask(content).expect("a key").key;
        let base = key(r#"{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"to":"0x1"},"latest"]}"#);
        for same in [
            r#"{"jsonrpc":"2.0","id":2,"method":"eth_call","params":[{"to":"0x1"},"latest"]}"#,
            r#"{"jsonrpc":"2.0","id":"a","method":"eth_call","params":[{"to":"0x1"},"latest"]}"#,
            r#"{"method":"eth_call", "params":[{"to":"0x1"},"latest"], "id":1.5,"jsonrpc":"2.0"}"#,
        ] {
            assert_eq!(key(same), base, "{same}");
        }
        for other in [
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"to":"0x2"},"latest"]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_call","params":["latest",{"to":"0x1"}]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_Call","params":[{"to":"0x1"},"latest"]}"#,
            r#"{"id":1,"method":"eth_call","params":[{"to":"0x1"},"latest"]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"to":"0x1"},"latest"],"network":"a"}"#,
            r#"[{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"to":"0x1"},"latest"]}]"#,
        ] {
            assert_ne!(key(other), base, "{other}");
        }
        let batch = |ids: [u8; 2]| key(&format!(r#"[{{"id":{},"method":"a"}},{{"id":{},"method":"b"}}]"#, ids[0], ids[1]));
        assert_ne!(batch([1, 2]), batch([2, 1]), "the ids tell a batch's answers apart");
    }

    #[test]
    fn a_method_has_its_own_lifetime() {
        let ttl = |content: &str| asked(content).ttl;
        assert_eq!(ttl(r#"{"id":1,"method":"eth_chainId"}"#), Some(86400));
        assert_eq!(ttl(r#"{"id":1,"method":"eth_getBalance"}"#), Some(2));
        assert_eq!(ttl(r#"{"id":1,"method":"eth_call"}"#), None);
        assert_eq!(ttl(r#"[{"id":1,"method":"eth_chainId"},{"id":2,"method":"eth_getBalance"}]"#), Some(2), "the shortest of a batch");
        assert_eq!(asked(r#"{"id":"a\"\u00e4\n","method":"a"}"#).id.as_deref(), Some(r#""a\"ä\u000a""#));
        assert_eq!(asked(r#"{"id":1.50,"method":"a"}"#).id.as_deref(), Some("1.50"));
    }

    #[test]
    fn what_wants_no_stored_answer_passes() {
        for content in
            [r#"{"id":1,"method":"eth_sendRawTransaction"}"#, r#"[{"id":1,"method":"a"},{"id":2,"method":"eth_sendTransaction"}]"#]
        {
            let unkeyed = ask(content).expect_err("no key");
            assert!(
                unkeyed.reason == Reason::Operation && unkeyed.operations[0].names[0].starts_with("eth_send"),
                "{content}: {unkeyed:?}"
            );
        }
        for content in [
            r#"{"method":"a"}"#,
            r#"{"id":null,"method":"a"}"#,
            r#"{"id":[],"method":"a"}"#,
            r#"{"id":1}"#,
            r#"{"id":1,"method":1}"#,
            "[]",
            r#"[{"id":1,"method":"a"},{"method":"b"}]"#,
            r#"[[{"id":1,"method":"a"}]]"#,
            "1",
        ] {
            assert_eq!(ask(content).err(), Some(Reason::BodyNotKeyed.into()), "{content}");
        }
        for content in [r#"{"id":1,"id":2,"method":"a"}"#, "{", ""] {
            assert_eq!(ask(content).err(), Some(Unkeyed::unread()), "{content}: it may call anything");
        }
    }

    #[test]
    fn every_call_that_does_not_only_read_is_an_operation_with_its_own_parameters() {
        let operations = |content: &str| {
            let unkeyed = ask(content).expect_err("no key");
            assert_eq!(unkeyed.reason, Reason::Operation, "{content}");
            unkeyed.operations.iter().map(|one| (one.names[0].clone(), one.variable("id").map(Cow::into_owned))).collect::<Vec<_>>()
        };
        let send = |name: &str, id: &str| (name.to_owned(), Some(id.to_owned()));
        let (a, b) = (r#"{"id":1,"method":"eth_sendA","params":{"id":7}}"#, r#"{"id":2,"method":"eth_sendB","params":{"id":8}}"#);
        let read = r#"{"method":"eth_call"}"#;
        assert_eq!(operations(&format!("[{read},{a},{b},{a}]")), [send("eth_sendA", "7"), send("eth_sendB", "8"), send("eth_sendA", "7")]);
        // "A Notification is a Request object without an "id" member" (JSON-RPC 2.0 §4.1). It is carried out, too.
        assert_eq!(operations(r#"{"method":"eth_sendA","params":{"id":7}}"#), [send("eth_sendA", "7")]);
        assert_eq!(operations(r#"[{"id":1},{"id":null,"method":"eth_sendA","params":{"id":7}}]"#), [send("eth_sendA", "7")]);
    }

    #[test]
    fn an_answer_without_a_result_is_not_stored() {
        let (single, batch) = (RpcRequest { id: Some("1".into()), ttl: None }, RpcRequest { id: None, ttl: None });
        for answer in [r#"{"id":1,"result":"0x1"}"#, r#"{"id":1,"result":false,"error":null}"#, r#"{"id":1,"result":[]}"#] {
            assert!(is_fit(&single, answer.as_bytes()) && is_fit(&batch, format!("[{answer}]").as_bytes()), "{answer}");
        }
        for answer in
            [r#"{"id":1,"error":{"code":-32000}}"#, r#"{"id":1,"result":null}"#, r#"{"id":1}"#, "[]", "1", "{", r#"[{"id":1,"result":1}]"#]
        {
            assert!(!is_fit(&single, answer.as_bytes()), "{answer}");
        }
        assert!(!is_fit(&batch, br#"[{"id":1,"result":1},{"id":2,"error":{}}]"#) && !is_fit(&batch, br#"{"id":1,"result":1}"#));
    }
}
