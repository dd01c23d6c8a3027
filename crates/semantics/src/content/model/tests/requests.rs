//! Which requests have a key, and what of them is in it besides their content.

use super::*;

#[test]
fn an_api_is_told_by_the_end_of_its_path() {
    let cases = [
        ("/v1/chat/completions", Some(Api::Chat)),
        ("/openai/deployments/a/chat/completions/", Some(Api::Chat)),
        ("/v1/completions", Some(Api::Completions)),
        ("/v1/responses", Some(Api::Responses)),
        ("/anthropic/v1/messages", Some(Api::Messages)),
        ("/v1/projects/p/models/claude:streamRawPredict", Some(Api::Messages)),
        ("/v1beta/models/gemini-pro:generateContent", Some(Api::Gemini)),
        ("/v1beta/models/gemini-pro:streamGenerateContent", Some(Api::Gemini)),
        ("/v1beta/models/a:embedContent", Some(Api::Embeddings)),
        ("/v1beta/models/a:batchEmbedContents", Some(Api::Embeddings)),
        ("/v1/embeddings", Some(Api::Embeddings)),
        ("/api/embed", Some(Api::Embeddings)),
        ("/api/chat", Some(Api::Ollama)),
        ("/api/generate", Some(Api::Ollama)),
        ("/v1/models", None),
        ("/v1/messages/batches", None),
        ("/v1/messages/count_tokens", None),
        ("/v1/responses/resp_1/cancel", None),
        ("/chat", None),
        ("/v1beta/models/a:countTokens", None),
        ("/", None),
        ("", None),
    ];
    for (path, api) in cases {
        assert_eq!(Api::of_path(path), api, "{path}");
    }
    assert_eq!(reason_at("/v1/embeddings", r#"{"input":"a"}"#), Some(Reason::BodyNotKeyed), "a route for chats has no key for others");
}

#[test]
fn an_omitted_temperature_is_not_0() {
    let chat = |more: &str| reason_at(CHAT, &format!(r#"{{"model":"a","messages":[]{more}}}"#));
    for more in ["", r#","temperature":null"#, r#","temperature":0.1"#, r#","temperature":"0""#, r#","seed":null"#, r#","top_p":0"#] {
        assert_eq!(chat(more), Some(Reason::NotDeterministic), "{more}");
    }
    for more in [r#","temperature":0"#, r#","temperature":0.0"#, r#","temperature":-0"#, r#","temperature":0e3"#, r#","seed":7"#] {
        assert_eq!(chat(more), None, "{more}");
    }
    let gemini = |more: &str| reason_at("/v1beta/models/a:generateContent", &format!(r#"{{"contents":[]{more}}}"#));
    assert_eq!(gemini(r#","temperature":0"#), Some(Reason::NotDeterministic), "it is of no effect there");
    assert_eq!(gemini(r#","generationConfig":{"temperature":0}"#), None);
    assert_eq!(gemini(r#","generationConfig":{"seed":1}"#), None);
    let ollama = |more: &str| reason_at("/api/generate", &format!(r#"{{"model":"a","prompt":"b"{more}}}"#));
    assert_eq!(ollama(r#","temperature":0"#), Some(Reason::NotDeterministic));
    assert_eq!(ollama(r#","options":{"seed":1}"#), None);
}

#[test]
fn an_answer_that_depends_on_more_than_its_request_is_the_providers_own() {
    let with = |path: &str, more: &str| reason_at(path, &format!(r#"{{"model":"a","temperature":0{more}}}"#));
    for more in [
        r#","background":true"#,
        r#","previous_response_id":"resp_1""#,
        r#","conversation":"conv_1""#,
        r#","conversation":{"id":"conv_1"}"#,
        r#","tools":[{"type":"web_search"}]"#,
        r#","tools":[{"type":"function","name":"a"},{"type":"file_search"}]"#,
        r#","tools":[{"type":"mcp"}]"#,
        r#","tools":[{}]"#,
        r#","tools":{}x"#,
    ] {
        let expected = if more.ends_with('x') { Reason::BodyNotKeyed } else { Reason::Stateful };
        assert_eq!(with("/v1/responses", more), Some(expected), "{more}");
    }
    for more in [r#","background":false"#, r#","previous_response_id":null"#, r#","tools":[]"#, r#","tools":null"#] {
        assert_eq!(with("/v1/responses", more), None, "{more}");
    }
    assert_eq!(with(CHAT, r#","web_search_options":{"a":1}"#), Some(Reason::Stateful));
    assert_eq!(with("/v1/messages", r#","tools":[{"type":"web_search_20250305","name":"w"}]"#), Some(Reason::Stateful));
    assert_eq!(with("/v1/messages", r#","tools":[{"type":"computer_20250124","name":"c"}]"#), None);
    let gemini = "/v1beta/models/a:generateContent";
    let deterministic = r#","generationConfig":{"temperature":0}"#;
    assert_eq!(with(gemini, &format!(r#"{deterministic},"tools":[{{"googleSearch":{{}}}}]"#)), Some(Reason::Stateful));
    assert_eq!(with(gemini, &format!(r#"{deterministic},"tools":[{{"functionDeclarations":[]}}]"#)), None);
}

#[test]
fn what_is_no_plain_request_has_no_key() {
    let deep = format!(r#"{{"temperature":0,"a":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    for content in ["", "[]", "1", "{", r#"{"temperature":0,"temperature":0}"#, r#"{"temperature":0,"stream":"yes"}"#, &deep] {
        assert_eq!(reason_at(CHAT, content), Some(Reason::BodyNotKeyed), "{content}");
    }
}

#[test]
fn versions_and_accounts_of_an_api_are_in_the_key() {
    let rules = ContentRules { when: When::Always, ..ContentRules::new(ContentKind::Chat) };
    let key = |lines: &[(&str, &str)]| ask(&rules, CHAT, lines, CHAT_REQUEST).expect("a key").key;
    let mut seen = vec![key(&[])];
    for name in FIELDS {
        for value in ["a", "b"] {
            let next = key(&[(name, value)]);
            assert!(!seen.contains(&next), "{name}: {value}");
            seen.push(next);
        }
    }
    assert_eq!(key(&[("x-stainless-lang", "python"), ("user-agent", "OpenAI/Python 2"), ("accept", "*/*")]), seen[0]);
}

#[test]
fn the_list_of_members_without_effect_is_a_setting() {
    let with_user = changed(CHAT_REQUEST, CHAT_SAME[8]);
    let rules = ContentRules { drop: vec![Pointer::member("messages")], ..ContentRules::new(ContentKind::Chat) };
    let key = |content: &str| ask(&rules, CHAT, &[], content).expect("a key").key;
    assert_ne!(key(CHAT_REQUEST), key(&with_user));
    assert_eq!(key(CHAT_REQUEST), key(&changed(CHAT_REQUEST, ("Be brief.", ""))));
}

#[test]
fn requests_that_differ_in_their_form_know_each_other_where_answers_are_converted() {
    let rules = ContentRules { when: When::Always, converts: true, ..ContentRules::new(ContentKind::Chat) };
    let keyed = |path: &str, more: &str| ask(&rules, path, &[], &format!(r#"{{"model":"a"{more}}}"#)).expect("a key");
    let whole = keyed(CHAT, "");
    let stream = keyed(CHAT, r#","stream":true"#);
    let with_usage = keyed(CHAT, r#","stream":true,"stream_options":{"include_usage":true}"#);
    assert_eq!((&whole.other_forms, &stream.other_forms), (&vec![with_usage.key, stream.key], &vec![with_usage.key, whole.key]));
    assert_eq!(with_usage.other_forms, [whole.key, stream.key]);
    let (plain, padded) =
        (keyed(CHAT, r#","stream":true,"stream_options":{"include_usage":false}"#), r#","stream_options":{"include_obfuscation":true}"#);
    assert_eq!(plain.key, stream.key, "that is the default");
    assert!(!stream.other_forms.contains(&keyed(CHAT, padded).key), "what else is asked for counts");
    for path in ["/v1/responses", "/v1/messages"] {
        assert_eq!(keyed(path, "").other_forms, [keyed(path, r#","stream":true"#).key]);
    }
    assert_eq!(keyed("/api/chat", "").other_forms, []);
    let fixed = ask(&rules, CHAT, &[("cache-control", "no-transform")], r#"{"model":"a"}"#).expect("a key");
    assert_eq!(fixed.other_forms, [], "whoever wants it as it came");
    let plain = ContentRules { converts: false, ..rules };
    assert_eq!(ask(&plain, CHAT, &[], r#"{"model":"a"}"#).expect("a key").other_forms, []);
}

#[test]
fn one_text_is_embedded_as_a_list_of_it() {
    let key = |input: &str| key_at("/v1/embeddings", &format!(r#"{{"model":"a","input":{input}}}"#)).key;
    assert_eq!(key(r#""a""#), key(r#"["a"]"#));
    assert_ne!(key(r#""a""#), key(r#"["a","a"]"#));
    assert_ne!(key("[1]"), key("[[1]]"), "tokens are one text already, and lists of them several");
}
