//! Requests that are split, and answers that are cut and joined.

use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};

use super::*;
use crate::content::Asked;
use crate::content::rpc::RpcRules;

fn split_at<'a>(kind: ContentKind, fields: &'a HeaderMap, content: &'a str) -> Option<Split<'a>> {
    let lifetimes = vec![("eth_send*".to_owned(), 0)];
    let rules = ContentRules { rpc: RpcRules { lifetimes, others: true }, ..ContentRules::new(kind) };
    let request = ContentRequest { path: "/v1/embeddings", fields, content: content.as_bytes() };
    rules.split(&request)
}

fn json() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))])
}

fn texts(all: Option<Vec<Vec<u8>>>) -> Vec<String> {
    all.expect("parts").into_iter().map(|text| String::from_utf8(text).expect("text")).collect()
}

#[test]
fn each_input_is_a_request_of_its_own() {
    let fields = json();
    let inputs = |content: &'static str| split_at(ContentKind::Embeddings, &fields, content);
    let split = inputs(r#"{"input":["a","b","a"],"model":"m","dimensions":256}"#).expect("parts");
    let contents: Vec<_> = split.parts().iter().map(|part| String::from_utf8_lossy(&part.content).into_owned()).collect();
    assert_eq!(contents[1], r#"{"dimensions":256,"input":["b"],"model":"m"}"#);
    let keys: Vec<_> = split.parts().iter().map(|part| part.keyed.key).collect();
    assert!(keys[0] == keys[2] && keys[0] != keys[1]);
    let alone = ContentRules::new(ContentKind::Embeddings);
    let request = ContentRequest { path: "/v1/embeddings", fields: &fields, content: br#"{"model":"m","dimensions":256,"input":"b"}"# };
    assert_eq!(alone.key(&request).expect("a key").key, keys[1], "who asks for one text finds it");
    assert_eq!(split.rest(&[1, 2]), br#"{"dimensions":256,"input":["b","a"],"model":"m"}"#);
    assert_eq!(inputs(r#"{"model":"m","input":[[1,2],[3]]}"#).map(|split| split.parts().len()), Some(2), "tokens");
    assert_eq!(inputs(r#"{"requests":[{"content":{}},{"content":{}}]}"#).map(|split| split.parts().len()), Some(2));
    for one in [r#"{"input":"a"}"#, r#"{"input":["a"]}"#, r#"{"input":[1,2]}"#, r#"{"input":[]}"#, r#"{"model":"m"}"#, "[]", "{"] {
        assert!(inputs(one).is_none(), "{one}");
    }
    let mut fixed = json();
    fixed.insert(CACHE_CONTROL, HeaderValue::from_static("no-transform"));
    assert!(split_at(ContentKind::Embeddings, &fixed, r#"{"input":["a","b"]}"#).is_none());
    assert!(split_at(ContentKind::Json, &fields, r#"{"input":["a","b"]}"#).is_none());
}

#[test]
fn an_answer_is_cut_and_joined_again() {
    let fields = json();
    let split = split_at(ContentKind::Embeddings, &fields, r#"{"model":"m","input":["a","bbbbb","cc"]}"#).expect("parts");
    let answer = r#"{"object":"list","data":[{"object":"embedding","index":1,"embedding":[0.50,-1e-3]},{"object":"embedding","index":0,"embedding":"AAAA"},
        {"object":"embedding","index":2,"embedding":[]}],"model":"m-1","usage":{"prompt_tokens":7,"total_tokens":7,"details":{"cached":0}}}"#;
    let parts = texts(split.cut(&[0, 1, 2], answer.as_bytes()));
    assert_eq!(
        parts[1],
        r#"{"data":[{"embedding":[0.50,-1e-3],"index":0,"object":"embedding"}],"model":"m-1","object":"list","usage":{"details":{"cached":0},"prompt_tokens":4,"total_tokens":4}}"#
    );
    let joined = String::from_utf8(split.join(&parts).expect("an answer")).expect("text");
    assert_eq!(
        joined,
        r#"{"data":[{"embedding":"AAAA","index":0,"object":"embedding"},{"embedding":[0.50,-1e-3],"index":1,"object":"embedding"},{"embedding":[],"index":2,"object":"embedding"}],"model":"m-1","object":"list","usage":{"details":{"cached":0},"prompt_tokens":7,"total_tokens":7}}"#
    );
    let ollama = r#"{"model":"m","embeddings":[[1],[2],[3]],"prompt_eval_count":8,"total_duration":100}"#;
    let parts = texts(split.cut(&[0, 1, 2], ollama.as_bytes()));
    assert_eq!(
        split.join(&parts),
        Some(br#"{"embeddings":[[1],[2],[3]],"model":"m","prompt_eval_count":8,"total_duration":100}"#.to_vec())
    );
    for odd in [
        r#"{"data":[{"index":0,"embedding":[]},{"index":1,"embedding":[]}]}"#,
        r#"{"data":[{"index":0},{"index":0},{"index":1}]}"#,
        r#"{"data":[{"index":0},{"index":1},{"index":3}]}"#,
        r#"{"data":[{},{},{}]}"#,
        r#"{"error":{}}"#,
        "no JSON",
    ] {
        assert_eq!(split.cut(&[0, 1, 2], odd.as_bytes()), None, "{odd}");
    }
    for odd in [
        r#"{"embeddings":[[1]],"model":"other","prompt_eval_count":1,"total_duration":1}"#,
        r#"{"embeddings":[[1]]}"#,
        r#"{"embeddings":[[1],[2]],"model":"m","prompt_eval_count":1,"total_duration":1}"#,
    ] {
        let mixed = [parts[0].as_str(), parts[1].as_str(), odd];
        assert_eq!(split.join(&mixed), None, "{odd}");
    }
    assert_eq!(split.join(&parts[..2]), None, "one is missing");
}

#[test]
fn a_request_whose_parts_would_be_far_longer_than_it_has_none() {
    let fields = json();
    let inputs = |count: usize, beside: usize| {
        format!(r#"{{"model":"m","input":[{}],"user":"{}"}}"#, vec![r#""a""#; count].join(","), "u".repeat(beside))
    };
    let has_parts = |content: &str| split_at(ContentKind::Embeddings, &fields, content).is_some();
    assert!(has_parts(&inputs(2048, 400)) && has_parts(&inputs(4, 200 << 10)), "about a MiB");
    assert!(!has_parts(&inputs(2048, 600)) && !has_parts(&inputs(8, 200 << 10)), "more than that");
    let content = inputs(8, 200 << 10);
    let request = ContentRequest { path: "/v1/embeddings", fields: &fields, content: content.as_bytes() };
    assert!(!ContentRules::new(ContentKind::Embeddings).has_parts(&request), "it goes on as a whole");
    let long = |count: usize| format!(r#"{{"input":[{}],"user":"u"}}"#, vec![format!(r#""{}""#, "x".repeat(100)); count].join(","));
    assert!(has_parts(&long(2048)), "the items themselves are in one part each");
}

#[test]
fn an_answer_whose_parts_would_be_far_longer_than_it_is_not_cut() {
    let fields = json();
    let split = split_at(ContentKind::Embeddings, &fields, r#"{"model":"m","input":["a","b","c","d","e"]}"#).expect("parts");
    let answer = |beside: usize| format!(r#"{{"embeddings":[[1],[2],[3],[4],[5]],"note":"{}"}}"#, "n".repeat(beside));
    assert!(split.cut(&[0, 1, 2, 3, 4], answer(200 << 10).as_bytes()).is_some());
    assert_eq!(split.cut(&[0, 1, 2, 3, 4], answer(300 << 10).as_bytes()), None);
}

#[test]
fn a_batch_is_split_only_where_all_of_it_is_keyed() {
    let fields = json();
    let batch = |content: &'static str| split_at(ContentKind::JsonRpc, &fields, content);
    let split = batch(r#"[{"id":1,"method":"a"},{"id":"x","method":"b","params":[1]},{"id":2,"method":"a"}]"#).expect("parts");
    let parts = split.parts();
    assert!(parts[0].keyed.key == parts[2].keyed.key && parts[0].keyed.key != parts[1].keyed.key, "the id is not in the key");
    assert!(matches!(&parts[1].keyed.asked, Asked::Rpc(call) if call.id.as_deref() == Some("\"x\"")));
    assert_eq!(split.rest(&[1]), br#"[{"id":"x","method":"b","params":[1]}]"#, "of one it is a batch too");
    for whole in [
        r#"[{"id":1,"method":"a"},{"id":2,"method":"eth_sendTransaction"}]"#,
        r#"[{"id":1,"method":"a"},{"id":1,"method":"b"}]"#,
        r#"[{"id":1,"method":"a"},{"method":"b"}]"#,
        r#"[{"id":1,"method":"a"}]"#,
        r#"{"id":1,"method":"a"}"#,
        "[]",
    ] {
        assert!(batch(whole).is_none(), "{whole}");
    }
    let answers = r#"[{"id":2,"result":3},{"id":"x","error":{"code":1}},{"jsonrpc":"2.0","id":1,"result":[1.0]}]"#;
    let cut = texts(split.cut(&[0, 1, 2], answers.as_bytes()));
    assert_eq!(cut, [r#"{"id":1,"jsonrpc":"2.0","result":[1.0]}"#, r#"{"error":{"code":1},"id":"x"}"#, r#"{"id":2,"result":3}"#]);
    let stored = [r#"{"id":9,"result":1}"#, r#"{"id":"y","result":2}"#, r#"{"id":1,"result":3}"#];
    assert_eq!(split.join(&stored), Some(br#"[{"id":1,"result":1},{"id":"x","result":2},{"id":2,"result":3}]"#.to_vec()));
    for odd in
        [r#"[{"id":1,"result":1}]"#, r#"[{"id":1},{"id":2},{"id":3}]"#, r#"[{"id":1},{"id":2},{"id":2}]"#, r#"{"id":null,"error":{}}"#]
    {
        assert_eq!(split.cut(&[0, 1, 2], odd.as_bytes()), None, "{odd}");
    }
}
