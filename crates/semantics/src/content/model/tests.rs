//! Pairs of requests that must or must not share a key, and answers that may or may not be stored.

mod answers;
mod members;
mod requests;

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use super::*;
use crate::content::{ContentKind, ContentRequest, ContentRules, Keyed, Pointer};
use crate::reason::Reason;

const CHAT: &str = "/v1/chat/completions";

fn ask(rules: &ContentRules, path: &str, lines: &[(&str, &str)], content: &str) -> Result<Keyed, Reason> {
    let mut fields = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    for (name, value) in lines {
        fields.append(HeaderName::try_from(*name).expect("a name"), HeaderValue::try_from(*value).expect("a value"));
    }
    rules.key(&ContentRequest { path, fields: &fields, content: content.as_bytes() }).map_err(|unkeyed| unkeyed.reason)
}

/// The key of a request, whether or not it is deterministic.
fn key_at(path: &str, content: &str) -> Keyed {
    let kind = if Api::of_path(path) == Some(Api::Embeddings) { ContentKind::Embeddings } else { ContentKind::Chat };
    let rules = ContentRules { when: When::Always, ..ContentRules::new(kind) };
    ask(&rules, path, &[], content).unwrap_or_else(|reason| panic!("{path} {content}: {reason}"))
}

fn reason_at(path: &str, content: &str) -> Option<Reason> {
    ask(&ContentRules::new(ContentKind::Chat), path, &[], content).err()
}

/// A request with some of its text changed.
fn changed(base: &str, (from, to): (&str, &str)) -> String {
    assert!(base.contains(from), "{from} in {base}");
    base.replacen(from, to, 1)
}

/// Looks at each change of a request: all of them, and the request itself, have keys of their own.
fn all_differ(path: &str, base: &str, changes: &[(&str, &str)]) -> usize {
    let mut seen = vec![(base.to_owned(), key_at(path, base).key)];
    for change in changes {
        let content = changed(base, *change);
        let key = key_at(path, &content).key;
        for (other, known) in &seen {
            assert_ne!(key, *known, "{path}: {content} and {other}");
        }
        seen.push((content, key));
    }
    changes.len()
}

/// Looks at each change of a request: none of them changes its key.
fn none_differs(path: &str, base: &str, changes: &[(&str, &str)]) -> usize {
    for change in changes {
        let content = changed(base, *change);
        assert_eq!(key_at(path, &content).key, key_at(path, base).key, "{path}: {content}");
    }
    changes.len()
}

const CHAT_REQUEST: &str =
    r#"{"model":"gpt-4o","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Grüße 1"}],"temperature":0}"#;

/// What changes the answer to a chat.
const CHAT_CHANGES: [(&str, &str); 66] = [
    ("gpt-4o", "gpt-4o-mini"),
    ("gpt-4o", "GPT-4o"),
    ("gpt-4o", "gpt-4o "),
    ("Be brief.", "Be brief"),
    ("Be brief.", "be brief."),
    ("Be brief.", "Be brief. "),
    ("Be brief.", " Be brief."),
    ("Be brief.", "Be  brief."),
    ("Be brief.", r"Be brief.\n"),
    ("Be brief.", ""),
    ("system", "developer"),
    ("Grüße 1", "Gruße 1"),
    ("Grüße 1", "Gru\u{308}ße 1"),
    ("Grüße 1", "Grüsse 1"),
    ("Grüße 1", "Grüße １"),
    ("Grüße 1", "Grüße\u{a0}1"),
    ("Grüße 1", r"Grüße\t1"),
    ("Grüße 1", "Grüße 1\u{200b}"),
    (r#""Grüße 1""#, r#"[{"type":"text","text":"Grüße 1"}]"#),
    (r#""Grüße 1""#, r#"[{"type":"text","text":"Grüße 1"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]"#),
    (r#""Grüße 1""#, r#"[{"type":"text","text":"Grüße 1"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAB"}}]"#),
    (r#""Grüße 1""#, r#"[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"type":"text","text":"Grüße 1"}]"#),
    (r#""Grüße 1""#, r#"[{"type":"image_url","image_url":{"url":"https://a/1.png","detail":"low"}}]"#),
    (r#""Grüße 1""#, r#"[{"type":"image_url","image_url":{"url":"https://a/1.png","detail":"high"}}]"#),
    (r#""Grüße 1""#, r#"[{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}]"#),
    (r#""Grüße 1""#, r#"[{"type":"input_audio","input_audio":{"data":"AAAA","format":"mp3"}}]"#),
    (r#"{"role":"user","content":"Grüße 1"}"#, r#"{"role":"user","content":"Grüße 1","name":"a"}"#),
    (r#"{"role":"user","content":"Grüße 1"}"#, r#"{"role":"user","content":"Grüße 1","name":"b"}"#),
    (r#"{"role":"user","content":"Grüße 1"}"#, r#"{"role":"user","content":"Grüße"},{"role":"user","content":" 1"}"#),
    (
        r#"{"role":"system","content":"Be brief."},{"role":"user","content":"Grüße 1"}"#,
        r#"{"role":"user","content":"Grüße 1"},{"role":"system","content":"Be brief."}"#,
    ),
    (r#"{"role":"system","content":"Be brief."},"#, ""),
    (r#""temperature":0"#, r#""temperature":0.0"#),
    (r#""temperature":0"#, r#""temperature":1"#),
    (r#""temperature":0"#, r#""temperature":null"#),
    (r#","temperature":0"#, ""),
    (r#""temperature":0"#, r#""temperature":0,"seed":1"#),
    (r#""temperature":0"#, r#""temperature":0,"seed":2"#),
    (r#""temperature":0"#, r#""temperature":0,"seed":null"#),
    (r#""temperature":0"#, r#""temperature":0,"top_p":1"#),
    (r#""temperature":0"#, r#""temperature":0,"top_p":0.5"#),
    (r#""temperature":0"#, r#""temperature":0,"n":1"#),
    (r#""temperature":0"#, r#""temperature":0,"n":2"#),
    (r#""temperature":0"#, r#""temperature":0,"stop":"x""#),
    (r#""temperature":0"#, r#""temperature":0,"stop":["x"]"#),
    (r#""temperature":0"#, r#""temperature":0,"max_tokens":10"#),
    (r#""temperature":0"#, r#""temperature":0,"max_completion_tokens":10"#),
    (r#""temperature":0"#, r#""temperature":0,"presence_penalty":0"#),
    (r#""temperature":0"#, r#""temperature":0,"frequency_penalty":0"#),
    (r#""temperature":0"#, r#""temperature":0,"logit_bias":{"1":1}"#),
    (r#""temperature":0"#, r#""temperature":0,"logprobs":true"#),
    (r#""temperature":0"#, r#""temperature":0,"logprobs":true,"top_logprobs":2"#),
    (r#""temperature":0"#, r#""temperature":0,"response_format":{"type":"json_object"}"#),
    (r#""temperature":0"#, r#""temperature":0,"response_format":{"type":"json_schema","json_schema":{"name":"a"}}"#),
    (r#""temperature":0"#, r#""temperature":0,"reasoning_effort":"low""#),
    (r#""temperature":0"#, r#""temperature":0,"verbosity":"low""#),
    (r#""temperature":0"#, r#""temperature":0,"modalities":["text"]"#),
    (r#""temperature":0"#, r#""temperature":0,"prediction":{"type":"content","content":"a"}"#),
    (r#""temperature":0"#, r#""temperature":0,"tools":[{"type":"function","function":{"name":"a"}}]"#),
    (r#""temperature":0"#, r#""temperature":0,"tools":[{"type":"function","function":{"name":"b"}}]"#),
    (r#""temperature":0"#, r#""temperature":0,"tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":"none""#),
    (r#""temperature":0"#, r#""temperature":0,"tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":"required""#),
    (r#""temperature":0"#, r#""temperature":0,"parallel_tool_calls":false"#),
    (r#""temperature":0"#, r#""temperature":0,"stream":true"#),
    (r#""temperature":0"#, r#""temperature":0,"stream":true,"stream_options":{"include_usage":true}"#),
    (r#""temperature":0"#, r#""temperature":0,"an_unknown_member":1"#),
    (r#""temperature":0"#, r#""temperature":0,"an_unknown_member":2"#),
];

/// What does not: spelling, and members without effect.
const CHAT_SAME: [(&str, &str); 22] = [
    (r#"{"model":"gpt-4o","#, "{ \"model\" : \"gpt-4o\" ,\r\n"),
    (r#""temperature":0}"#, "\"temperature\":0}\n"),
    (r#"{"model":"gpt-4o","messages""#, r#"{"temperature":0,"model":"gpt-4o","messages""#),
    (r#"{"role":"system","content":"Be brief."}"#, r#"{"content":"Be brief.","role":"system"}"#),
    ("Grüße", r"Gr\u00fc\u00dfe"),
    ("Grüße", r"Gr\u00FCße"),
    ("model", r"\u006dodel"),
    ("Be brief.", r"\u0042e brief\u002e"),
    (r#""temperature":0"#, r#""temperature":0,"user":"a""#),
    (r#""temperature":0"#, r#""temperature":0,"safety_identifier":"a""#),
    (r#""temperature":0"#, r#""temperature":0,"metadata":{"a":"b"}"#),
    (r#""temperature":0"#, r#""temperature":0,"prompt_cache_key":"a""#),
    (r#""temperature":0"#, r#""temperature":0,"prompt_cache_retention":"24h""#),
    (r#""temperature":0"#, r#""temperature":0,"prompt_cache_options":{}"#),
    (r#""temperature":0"#, r#""temperature":0,"service_tier":"auto""#),
    (r#""temperature":0"#, r#""temperature":0,"store":true"#),
    (r#""temperature":0"#, r#""temperature":0,"store":false"#),
    (r#""temperature":0"#, r#""temperature":0,"stream":false"#),
    (r#""temperature":0"#, r#""temperature":0,"stream":null"#),
    (r#""temperature":0"#, r#""temperature":0,"keep_alive":"5m""#),
    (r#""temperature":0"#, r#""temperature":0,"user":null,"metadata":null"#),
    ("[{", "[ {"),
];

#[test]
fn two_hundred_pairs_share_a_key_exactly_where_the_answer_is_the_same() {
    // The first of the spellings repeats a member, which has no key at all.
    let same: Vec<_> = CHAT_SAME.iter().copied().filter(|(_, to)| !to.starts_with(r#"{"temperature""#)).collect();
    let repeated = changed(CHAT_REQUEST, CHAT_SAME[2]);
    assert_eq!(reason_at(CHAT, &repeated), Some(Reason::BodyNotKeyed));
    let mut pairs = 1 + all_differ(CHAT, CHAT_REQUEST, &CHAT_CHANGES) + none_differs(CHAT, CHAT_REQUEST, &same);
    pairs += responses() + messages() + gemini() + ollama() + others();
    assert!(pairs >= 200, "{pairs}");
}

fn responses() -> usize {
    let base = r#"{"model":"gpt-5","input":"Hello","temperature":0}"#;
    let at_end = |more: &'static str| (r#""temperature":0"#, more);
    let differ = [
        ("Hello", "Hello."),
        ("gpt-5", "gpt-5-mini"),
        (r#""Hello""#, r#"[{"role":"user","content":"Hello"}]"#),
        (r#""Hello""#, r#"[{"role":"user","content":[{"type":"input_text","text":"Hello"}]}]"#),
        (r#""Hello""#, r#"[{"role":"user","content":[{"type":"input_image","image_url":"data:,A"}]}]"#),
        (r#""Hello""#, r#"[{"role":"user","content":[{"type":"input_file","file_id":"file-1"}]}]"#),
        at_end(r#""temperature":0,"instructions":"Be brief.""#),
        at_end(r#""temperature":0,"instructions":"""#),
        at_end(r#""temperature":0,"max_output_tokens":10"#),
        at_end(r#""temperature":0,"reasoning":{"effort":"low"}"#),
        at_end(r#""temperature":0,"text":{"format":{"type":"text"}}"#),
        at_end(r#""temperature":0,"include":["reasoning.encrypted_content"]"#),
        at_end(r#""temperature":0,"truncation":"auto""#),
        at_end(r#""temperature":0,"top_logprobs":1"#),
        at_end(r#""temperature":0,"tools":[{"type":"function","name":"a"}]"#),
        at_end(r#""temperature":0,"tools":[{"type":"custom","name":"a"}]"#),
        at_end(r#""temperature":0,"max_tool_calls":1"#),
        at_end(r#""temperature":0,"prompt":{"id":"a"}"#),
        at_end(r#""temperature":0,"stream":true"#),
        at_end(r#""temperature":0.1"#),
    ];
    let same = [at_end(r#""temperature":0,"store":false"#), at_end(r#""temperature":0,"user":"a""#), ("Hello", r"\u0048ello")];
    all_differ("/v1/responses", base, &differ) + none_differs("/v1/responses", base, &same)
}

fn messages() -> usize {
    let path = "/v1/messages";
    let base = r#"{"model":"claude","max_tokens":100,"system":"Be brief.","messages":[{"role":"user","content":"Hello"}],"temperature":0}"#;
    let at_end = |more: &'static str| (r#""temperature":0"#, more);
    let differ = [
        ("claude", "claude-2"),
        ("100", "101"),
        ("100", "100.0"),
        ("100", "1e2"),
        (r#""Be brief.""#, r#"[{"type":"text","text":"Be brief."}]"#),
        (r#""Be brief.""#, r#"[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}]"#),
        (r#""system":"Be brief.","#, ""),
        ("Hello", "hello"),
        ("Hello", "Hello "),
        (r#""Hello""#, r#"[{"type":"text","text":"Hello"}]"#),
        (r#""Hello""#, r#"[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]"#),
        (r#""Hello""#, r#"[{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"AAAA"}}]"#),
        (r#""Hello""#, r#"[{"type":"document","source":{"type":"url","url":"https://a/b.pdf"}}]"#),
        (r#""Hello"}"#, r#""Hello"},{"role":"assistant","content":"H"}"#),
        at_end(r#""temperature":0,"top_k":1"#),
        at_end(r#""temperature":0,"top_p":1"#),
        at_end(r#""temperature":0,"stop_sequences":["x"]"#),
        at_end(r#""temperature":0,"thinking":{"type":"enabled","budget_tokens":1024}"#),
        at_end(r#""temperature":0,"thinking":{"type":"disabled"}"#),
        at_end(r#""temperature":0,"tools":[{"name":"a","input_schema":{"type":"object"}}]"#),
        at_end(r#""temperature":0,"tools":[{"name":"a","input_schema":{"type":"string"}}]"#),
        at_end(r#""temperature":0,"tools":[{"type":"bash_20250124","name":"bash"}]"#),
        at_end(r#""temperature":0,"tool_choice":{"type":"auto"}"#),
        at_end(r#""temperature":0,"stream":true"#),
        at_end(r#""temperature":0,"output_config":{"effort":"low"}"#),
    ];
    let same = [
        at_end(r#""temperature":0,"metadata":{"user_id":"a"}"#),
        at_end(r#""temperature":0,"service_tier":"auto""#),
        at_end(r#""temperature":0,"stream":false"#),
        ("Hello", r"Hell\u006f"),
    ];
    all_differ(path, base, &differ) + none_differs(path, base, &same)
}

fn gemini() -> usize {
    let path = "/v1beta/models/gemini-pro:generateContent";
    let base = r#"{"contents":[{"role":"user","parts":[{"text":"Hello"}]}],"generationConfig":{"temperature":0}}"#;
    let in_config = |more: &'static str| (r#"{"temperature":0}"#, more);
    let differ = [
        ("Hello", "Hello!"),
        (r#""role":"user","#, ""),
        (r#"{"text":"Hello"}"#, r#"{"inlineData":{"mimeType":"image/png","data":"AAAA"}}"#),
        (r#"{"text":"Hello"}"#, r#"{"inlineData":{"mimeType":"image/png","data":"AAAB"}}"#),
        (r#"{"text":"Hello"}"#, r#"{"fileData":{"fileUri":"a"}}"#),
        (r#"{"text":"Hello"}"#, r#"{"text":"Hel"},{"text":"lo"}"#),
        in_config(r#"{"temperature":0,"seed":1}"#),
        in_config(r#"{"temperature":0,"topK":1}"#),
        in_config(r#"{"temperature":0,"candidateCount":2}"#),
        in_config(r#"{"temperature":0,"responseMimeType":"application/json"}"#),
        in_config(r#"{"temperature":0,"thinkingConfig":{"thinkingBudget":0}}"#),
        in_config(r#"{"temperature":0},"safetySettings":[{"category":"a","threshold":"b"}]"#),
        in_config(r#"{"temperature":0},"systemInstruction":{"parts":[{"text":"a"}]}"#),
        in_config(r#"{"temperature":0},"tools":[{"functionDeclarations":[{"name":"a"}]}]"#),
        in_config(r#"{"temperature":0},"cachedContent":"a""#),
        in_config(r#"{"temperature":0},"labels":{"a":"b"}"#),
    ];
    let same = [("Hello", r"H\u0065llo"), (r#""contents""#, r#" "contents""#)];
    let streamed = "/v1beta/models/gemini-pro:streamGenerateContent";
    assert_ne!(key_at(path, base).key, key_at(streamed, base).key);
    1 + all_differ(path, base, &differ) + none_differs(path, base, &same)
}

fn ollama() -> usize {
    let base = r#"{"model":"llama","messages":[{"role":"user","content":"Hello"}],"options":{"temperature":0}}"#;
    let in_options = |more: &'static str| (r#"{"temperature":0}"#, more);
    let differ = [
        ("llama", "llama:7b"),
        ("Hello", "Hi"),
        (r#""Hello""#, r#""Hello","images":["AAAA"]"#),
        (r#""Hello""#, r#""Hello","images":["AAAB"]"#),
        in_options(r#"{"temperature":0,"seed":1}"#),
        in_options(r#"{"temperature":0,"num_ctx":4096}"#),
        in_options(r#"{"temperature":0,"num_predict":10}"#),
        in_options(r#"{"temperature":0,"num_predict":-1}"#),
        in_options(r#"{"temperature":0,"top_k":1}"#),
        in_options(r#"{"temperature":0},"template":"a""#),
        in_options(r#"{"temperature":0},"system":"a""#),
        in_options(r#"{"temperature":0},"format":"json""#),
        in_options(r#"{"temperature":0},"think":true"#),
        in_options(r#"{"temperature":0},"raw":true"#),
        in_options(r#"{"temperature":0},"stream":false"#),
        in_options(r#"{"temperature":0},"tools":[{"type":"function","function":{"name":"a"}}]"#),
    ];
    let same = [in_options(r#"{"temperature":0},"keep_alive":"5m""#), in_options(r#"{"temperature":0},"stream":true"#)];
    all_differ("/api/chat", base, &differ) + none_differs("/api/chat", base, &same)
}

fn others() -> usize {
    let base = r#"{"model":"davinci","prompt":"Hello","temperature":0}"#;
    let completions = [
        ("Hello", "Hello "),
        (r#""Hello""#, r#"["Hello"]"#),
        (r#""Hello""#, "[1,2]"),
        (r#""Hello""#, r#""Hello","suffix":"x""#),
        (r#""Hello""#, r#""Hello","echo":true"#),
        (r#""Hello""#, r#""Hello","best_of":2"#),
        (r#""Hello""#, r#""Hello","logprobs":1"#),
        (r#""Hello""#, r#""Hello","stream":true"#),
        (r#""Hello""#, r#""Hello","n":2"#),
        ("davinci", "babbage"),
    ];
    let embeddings = r#"{"model":"small","input":"Hello"}"#;
    let differ = [
        ("small", "large"),
        ("Hello", "hello"),
        (r#""Hello""#, r#"["Hello","Hello"]"#),
        (r#""Hello""#, "[1,2]"),
        (r#""Hello""#, "[[1,2]]"),
        (r#""Hello""#, r#""Hello","dimensions":256"#),
        (r#""Hello""#, r#""Hello","encoding_format":"base64""#),
        (r#""Hello""#, r#""Hello","encoding_format":"float""#),
        (r#""Hello""#, r#""Hello","task_type":"query""#),
        (r#""Hello""#, r#""Hello","truncate":false"#),
        (r#""Hello""#, r#"["Hello",""]"#),
        (r#""Hello""#, r#""Hello ""#),
    ];
    let path = "/v1/embeddings";
    all_differ("/v1/completions", base, &completions)
        + all_differ(path, embeddings, &differ)
        + none_differs(path, embeddings, &[(r#""Hello""#, r#""Hello","user":"a""#), (r#""Hello""#, r#"["Hello"]"#)])
}

#[test]
fn white_space_at_the_end_of_the_last_message_is_left_out_where_a_route_says_so() {
    let trimming = |trims| ContentRules { when: When::Always, trims, ..ContentRules::new(ContentKind::Chat) };
    let keys = |trims: bool, path: &str, texts: [&str; 2]| texts.map(|text| ask(&trimming(trims), path, &[], text).expect("a key").key);
    for (path, plain, spaced) in [
        (
            CHAT,
            r#"{"messages":[{"role":"user","content":"a "},{"role":"user","content":"b"}]}"#,
            r#"{"messages":[{"role":"user","content":"a "},{"role":"user","content":"b \n\t"}]}"#,
        ),
        (
            CHAT,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"b"}]}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"b\u00a0"}]}]}"#,
        ),
        ("/v1/responses", r#"{"input":"b"}"#, r#"{"input":"b\r\n"}"#),
        ("/v1/completions", r#"{"prompt":"b"}"#, r#"{"prompt":"b "}"#),
        ("/v1beta/models/g:generateContent", r#"{"contents":[{"parts":[{"text":"b"}]}]}"#, r#"{"contents":[{"parts":[{"text":"b "}]}]}"#),
    ] {
        let [one, other] = keys(true, path, [plain, spaced]);
        assert_eq!(one, other, "{path}: {spaced}");
        let [one, other] = keys(false, path, [plain, spaced]);
        assert_ne!(one, other, "{path}: {spaced}");
    }
    let [one, other] =
        keys(true, CHAT, [r#"{"messages":[{"content":"a"},{"content":"b"}]}"#, r#"{"messages":[{"content":"a "},{"content":"b"}]}"#]);
    assert_ne!(one, other, "an earlier message is kept as it is");
    let [one, other] = keys(true, CHAT, [r#"{"messages":[{"content":"b"}]}"#, r#"{"messages":[{"content":" b"}]}"#]);
    assert_ne!(one, other, "its beginning too");
}
