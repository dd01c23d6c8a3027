//! Answers as they are given to requests for another form, and which are not.

use super::*;

fn asked(api: Api, streams: bool, with_usage: bool) -> ModelRequest {
    ModelRequest { api, streams, with_usage }
}

fn converted(request: ModelRequest, form: AnswerForm, answer: &str) -> Option<String> {
    convert(request, form, answer.as_bytes()).map(|answer| String::from_utf8(answer).expect("text"))
}

/// The same JSON text with its members in order.
fn sorted(text: &str) -> String {
    Value::parse(text.as_bytes()).expect("JSON").to_json()
}

/// One text and a stream of it say the same again after both conversions.
fn round_trip(api: Api, whole: &str) -> String {
    let stream = converted(asked(api, true, true), AnswerForm::Json, whole).unwrap_or_else(|| panic!("no stream of {whole}"));
    let back = converted(asked(api, false, false), AnswerForm::Events, &stream).unwrap_or_else(|| panic!("no whole of {stream}"));
    assert_eq!(back, sorted(whole), "{stream}");
    stream
}

const CHAT: &str = r#"{"id":"c1","object":"chat.completion","created":17,"model":"gpt","choices":[CHOICE],"usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10},"system_fingerprint":"fp"}"#;

fn chat(choice: &str) -> String {
    CHAT.replace("CHOICE", choice)
}

#[test]
fn a_completion_and_its_stream_say_the_same() {
    for choice in [
        r#"{"index":0,"message":{"role":"assistant","content":"Hi \"you\"\n","refusal":null},"logprobs":null,"finish_reason":"stop"}"#,
        r#"{"index":0,"message":{"role":"assistant","content":""},"logprobs":null,"finish_reason":"stop"}"#,
        r#"{"index":0,"message":{"role":"assistant","content":"a","reasoning_content":"b"},"logprobs":null,"finish_reason":"stop"}"#,
        r#"{"index":0,"message":{"role":"assistant","content":"a"},"logprobs":{"content":[{"token":"a","logprob":-0.50,"bytes":[97],"top_logprobs":[]}],"refusal":null},"finish_reason":"stop"}"#,
        r#"{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"t2","type":"function","function":{"name":"g","arguments":""}}]},"logprobs":null,"finish_reason":"tool_calls"}"#,
        r#"{"index":0,"message":{"role":"assistant","content":"a"},"logprobs":null,"finish_reason":"stop"},{"index":1,"message":{"role":"assistant","content":"b"},"logprobs":null,"finish_reason":"length"}"#,
    ] {
        let stream = round_trip(Api::Chat, &chat(choice));
        assert!(
            stream.ends_with("\"prompt_tokens\":8,\"total_tokens\":10}}\n\ndata: [DONE]\n\n") && stream.contains("\"usage\":null"),
            "{stream}"
        );
    }
}

#[test]
fn the_cost_is_told_to_who_asks_for_it() {
    let whole = chat(r#"{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop","logprobs":null}"#);
    let with = converted(asked(Api::Chat, true, true), AnswerForm::Json, &whole).expect("a stream");
    let without = converted(asked(Api::Chat, true, false), AnswerForm::Json, &whole).expect("a stream");
    assert!(!without.contains("usage"), "{without}");
    assert_eq!(converted(asked(Api::Chat, true, false), AnswerForm::Events, &with).as_deref(), Some(&*without));
    assert_eq!(converted(asked(Api::Chat, true, true), AnswerForm::Events, &without), None, "what it has cost is not known");
    assert_eq!(converted(asked(Api::Chat, false, false), AnswerForm::Events, &without), None);
    let odd = with.replacen("\"usage\":null", "\"usage\":{\"prompt_tokens\":1}", 1);
    assert_eq!(converted(asked(Api::Chat, true, false), AnswerForm::Events, &odd), None);
    let free = whole.replace(r#""usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}"#, r#""usage":null"#);
    assert_eq!(converted(asked(Api::Chat, true, true), AnswerForm::Json, &free), None);
}

#[test]
fn the_pieces_of_a_real_stream_make_one_completion() {
    let piece = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":17,\"model\":\"gpt\",\"service_tier\":\"default\",\"system_fingerprint\":null,\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}],\"usage\":null,\"obfuscation\":\"x1\"}}\n\n"
        )
    };
    let stream = [
        piece(r#"{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"t1","type":"function","function":{"name":"f","arguments":""}}],"refusal":null}"#, "null"),
        piece(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}"#, "null"),
        piece(r#"{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}"#, "null"),
        piece("{}", "\"tool_calls\""),
        "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":17,\"model\":\"gpt\",\"choices\":[],\"usage\":{\"total_tokens\":10}}\n\n".to_owned(),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    let whole = converted(asked(Api::Chat, false, false), AnswerForm::Events, &stream).expect("a completion");
    let expected = r#"{"id":"c1","object":"chat.completion","created":17,"model":"gpt","service_tier":"default","system_fingerprint":null,"usage":{"total_tokens":10},
        "choices":[{"index":0,"logprobs":null,"finish_reason":"tool_calls","message":{"role":"assistant","content":null,"refusal":null,
        "tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]}}]}"#;
    assert_eq!(whole, sorted(expected));
}

#[test]
fn a_completion_with_something_unknown_stays_as_it_is() {
    let choice = r#"{"index":0,"message":{"role":"assistant","content":"a"},"logprobs":null,"finish_reason":"stop"}"#;
    for (from, to) in [
        (r#""object":"chat.completion","#, ""),
        (r#""index":0"#, r#""index":0,"content_filter_results":{}"#),
        (r#""content":"a""#, r#""content":"a","annotations":[{"type":"url_citation"}]"#),
        (r#""content":"a""#, r#""content":"a","audio":{"id":"1"}"#),
        (r#""content":"a""#, r#""content":[{"type":"text"}]"#),
        (r#""content":"a""#, r#""content":"a","tool_calls":[{"id":"1","type":"custom"}]"#),
        (r#""usage":{"#, r#""citations":[],"usage":{"#),
        (r#"{"id""#, r#"[{"id""#),
    ] {
        let whole = chat(choice);
        assert!(whole.contains(from), "{from}");
        assert_eq!(converted(asked(Api::Chat, true, false), AnswerForm::Json, &whole.replacen(from, to, 1)), None, "{to}");
    }
    let stream = converted(asked(Api::Chat, true, true), AnswerForm::Json, &chat(choice)).expect("a stream");
    for (from, to) in [
        (r#""delta":{"#, r#""delta":{"audio":{},"#),
        (r#""object":"chat.completion.chunk""#, r#""object":"text""#),
        (r#""id":"c1""#, r#""id":"c2""#),
        ("data: [DONE]\n\n", "data: [DONE]\n"),
        ("data: {", "data: {{"),
        (r#""finish_reason":"stop""#, r#""finish_reason":null"#),
    ] {
        assert!(stream.contains(from), "{from} in {stream}");
        assert_eq!(converted(asked(Api::Chat, false, false), AnswerForm::Events, &stream.replacen(from, to, 1)), None, "{to}");
    }
}

const MESSAGE: &str = r#"{"id":"m1","type":"message","role":"assistant","model":"claude","content":[CONTENT],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":8,"cache_read_input_tokens":0,"output_tokens":2}}"#;

#[test]
fn a_message_and_its_stream_say_the_same() {
    for content in [
        r#"{"type":"text","text":"Hi"}"#,
        r#"{"type":"text","text":""}"#,
        "",
        r#"{"type":"thinking","thinking":"Hm","signature":"s1"},{"type":"text","text":"Hi","citations":null}"#,
        r#"{"type":"redacted_thinking","data":"xx"},{"type":"tool_use","id":"t1","name":"f","input":{"a":[1.50,"ä\n"]}}"#,
        r#"{"type":"tool_use","id":"t1","name":"f","input":{}}"#,
    ] {
        let stream = round_trip(Api::Messages, &MESSAGE.replace("CONTENT", content));
        assert!(
            stream.starts_with("event: message_start\ndata: ")
                && stream.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"),
            "{stream}"
        );
    }
}

#[test]
fn the_pieces_of_a_real_stream_make_one_message() {
    let stream = r#"event: message_start
data: {"type":"message_start","message":{"id":"m1","type":"message","role":"assistant","content":[],"model":"claude","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":472,"output_tokens":2}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type":"ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Okay"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":", so"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t1","name":"get_weather","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"location\":"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":" \"San\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":89}}

event: message_stop
data: {"type":"message_stop"}

"#;
    let whole = converted(asked(Api::Messages, false, false), AnswerForm::Events, stream).expect("a message");
    let expected = r#"{"id":"m1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"Okay, so"},
        {"type":"tool_use","id":"t1","name":"get_weather","input":{"location":"San"}}],"stop_reason":"tool_use","stop_sequence":null,
        "usage":{"input_tokens":472,"output_tokens":89}}"#;
    assert_eq!(whole, sorted(expected));
    for (from, to) in [
        (r#""type":"text_delta","text":"Okay""#, r#""type":"citations_delta","citation":{}"#),
        (r#""index":1,"content_block""#, r#""index":2,"content_block""#),
        (r#"\"San\"}"#, r#"\"San\""#),
        (r#""type":"tool_use","id""#, r#""type":"server_tool_use","id""#),
        (r#""stop_sequence":null},"usage""#, r#""stop_sequence":null,"container":{}},"usage""#),
        (r#"{"type":"ping"}"#, r#"{"type":"pong"}"#),
        ("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", ""),
    ] {
        assert!(stream.contains(from), "{from}");
        assert_eq!(converted(asked(Api::Messages, false, false), AnswerForm::Events, &stream.replacen(from, to, 1)), None, "{to}");
    }
    for content in [
        r#"{"type":"text","text":"a","citations":[{"type":"char_location"}]}"#,
        r#"{"type":"server_tool_use","id":"1","name":"web_search","input":{}}"#,
        r#"{"type":"tool_use","id":"1","name":"f","input":[]}"#,
    ] {
        assert_eq!(converted(asked(Api::Messages, true, false), AnswerForm::Json, &MESSAGE.replace("CONTENT", content)), None, "{content}");
    }
}

const RESPONSE: &str = r#"{"id":"r1","object":"response","created_at":17,"status":"completed","completed_at":18,"error":null,"model":"gpt","output":[OUTPUT],"usage":{"input_tokens":8,"output_tokens":2}}"#;

#[test]
fn a_response_and_its_stream_say_the_same() {
    for output in [
        r#"{"id":"i1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi","annotations":[],"logprobs":[]}]}"#,
        r#"{"id":"i0","type":"reasoning","summary":[]},{"id":"i1","type":"function_call","status":"completed","call_id":"c1","name":"f","arguments":"{}"}"#,
    ] {
        let stream = round_trip(Api::Responses, &RESPONSE.replace("OUTPUT", output));
        let count = stream.matches("\"sequence_number\":").count();
        assert!(
            stream.starts_with("event: response.created\n") && stream.contains(&format!("\"sequence_number\":{},", count - 1)),
            "{stream}"
        );
        let begun = stream.split("\n\n").next().expect("an event");
        assert!(
            begun.contains(r#""output":[]"#) && begun.contains(r#""status":"in_progress""#) && begun.contains(r#""usage":null"#),
            "{begun}"
        );
    }
    for output in [
        r#"{"id":"i1","type":"web_search_call","status":"completed"}"#,
        r#"{"id":"i0","type":"reasoning","summary":[{"type":"summary_text","text":"a"}]}"#,
        r#"{"id":"i1","type":"message","role":"assistant","content":[{"type":"output_text","text":"Hi","annotations":[{"type":"url_citation"}]}]}"#,
        r#"{"id":"i1","type":"message","role":"assistant","content":[{"type":"refusal","refusal":"No"}]}"#,
    ] {
        assert_eq!(converted(asked(Api::Responses, true, false), AnswerForm::Json, &RESPONSE.replace("OUTPUT", output)), None, "{output}");
    }
    assert_eq!(
        converted(asked(Api::Responses, false, false), AnswerForm::Events, "event: a\ndata: {\"type\":\"response.created\"}\n\n"),
        None
    );
}

#[test]
fn other_apis_have_no_other_form() {
    for api in [Api::Completions, Api::Gemini, Api::Ollama, Api::Embeddings] {
        assert_eq!(converted(asked(api, true, false), AnswerForm::Json, "{}"), None);
        assert_eq!(converted(asked(api, false, false), AnswerForm::Events, "data: {}\n\n"), None);
        assert!(Wanted::of_api(api).is_empty());
    }
}
