//! Answers of models that may or may not be stored.

use super::super::*;

fn judged(api: Api, form: AnswerForm, answer: &str) -> Judged {
    judge(ModelRequest { api, streams: form != AnswerForm::Json, with_usage: false }, form, &["stop".to_owned()], answer.as_bytes())
}

fn is_fit(api: Api, form: AnswerForm, answer: &str) -> bool {
    judged(api, form, answer).is_fit
}

/// Looks at changes of an answer that is fit: none of them is.
fn each_is_unfit(api: Api, form: AnswerForm, answer: &str, changes: &[(&str, &str)]) {
    assert!(is_fit(api, form, answer), "{api:?}: {answer}");
    for (from, to) in changes {
        assert!(answer.contains(from), "{api:?}: {from}");
        let changed = answer.replacen(from, to, 1);
        assert!(!is_fit(api, form, &changed), "{api:?}: {changed}");
    }
}

fn usage_of(api: Api, form: AnswerForm, answer: &str) -> Option<(u64, u64)> {
    judged(api, form, answer).usage.map(|usage| (usage.input, usage.output))
}

const CHAT: &str = r#"{"id":"c","model":"gpt-4o-2024","choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}}"#;

#[test]
fn a_chat_that_stopped_by_itself_is_fit() {
    each_is_unfit(
        Api::Chat,
        AnswerForm::Json,
        CHAT,
        &[
            (r#""finish_reason":"stop""#, r#""finish_reason":"length""#),
            (r#""finish_reason":"stop""#, r#""finish_reason":"content_filter""#),
            (r#""finish_reason":"stop""#, r#""finish_reason":"tool_calls""#),
            (r#""finish_reason":"stop""#, r#""finish_reason":null"#),
            (r#","finish_reason":"stop""#, ""),
            (r#""refusal":null"#, r#""refusal":"I can't.""#),
            (r#"{"id":"c""#, r#"{"error":{"message":"a"},"id":"c""#),
            (
                r#""choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null},"finish_reason":"stop"}]"#,
                r#""choices":[]"#,
            ),
            (r#""choices""#, r#""other""#),
            ("}}", "}"),
            (r#""id":"c""#, r#""id":"c","id":"d""#),
        ],
    );
    let two = CHAT.replace(r#""finish_reason":"stop"}"#, r#""finish_reason":"stop"},{"index":1,"message":{},"finish_reason":"length"}"#);
    assert!(!is_fit(Api::Chat, AnswerForm::Json, &two), "one of two was cut");
    let whole = judged(Api::Chat, AnswerForm::Json, CHAT);
    assert_eq!((whole.usage, whole.model.as_deref()), (Some(Usage { input: 8, output: 2 }), Some("gpt-4o-2024")));
    let wanted = ["length".to_owned()];
    let cut = CHAT.replace(r#""finish_reason":"stop""#, r#""finish_reason":"length""#);
    assert!(
        judge(ModelRequest { api: Api::Chat, streams: false, with_usage: false }, AnswerForm::Json, &wanted, cut.as_bytes()).is_fit,
        "`finish` says so"
    );
}

const CHAT_STREAM: &str = concat!(
    "data: {\"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
    ": a comment\n\n",
    "data: {\"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n",
    "data: {\"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"model\":\"gpt\",\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":2}}\n\n",
    "data: [DONE]\n\n",
);

#[test]
fn a_stream_of_a_chat_is_fit_behind_its_last_event() {
    each_is_unfit(
        Api::Chat,
        AnswerForm::Events,
        CHAT_STREAM,
        &[
            ("data: [DONE]\n\n", ""),
            ("data: [DONE]\n\n", "data: [DONE]\n"),
            ("data: [DONE]\n\n", "data: [DONE]\n\ndata: {\"choices\":[]}\n\n"),
            ("\"finish_reason\":\"stop\"", "\"finish_reason\":null"),
            ("\"finish_reason\":\"stop\"", "\"finish_reason\":\"length\""),
            ("data: {\"model\":\"gpt\",\"choices\":[],", "data: {\"error\":{\"message\":\"overloaded\"},\"choices\":[],"),
            (": a comment", "event: error\ndata: {\"choices\":[]}"),
            ("\"content\":\"Hi\"", "\"refusal\":\"No\""),
            ("\"content\":\"Hi\"},", "\"content\":\"Hi\",},"),
        ],
    );
    assert_eq!(usage_of(Api::Chat, AnswerForm::Events, CHAT_STREAM), Some((8, 2)));
    assert!(!is_fit(Api::Chat, AnswerForm::Events, ""));
    assert!(!is_fit(Api::Chat, AnswerForm::Events, "data: [DONE]\n\n"), "an end of nothing");
    let completions = "data: {\"choices\":[{\"index\":0,\"text\":\"Hi\",\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    assert!(is_fit(Api::Completions, AnswerForm::Events, completions));
}

const RESPONSE: &str = r#"{"id":"r","status":"completed","error":null,"incomplete_details":null,"model":"gpt-5","output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}],"usage":{"input_tokens":8,"output_tokens":2}}"#;

#[test]
fn a_response_is_fit_once_it_is_completed() {
    each_is_unfit(
        Api::Responses,
        AnswerForm::Json,
        RESPONSE,
        &[
            ("completed", "incomplete"),
            ("completed", "in_progress"),
            (r#""error":null"#, r#""error":{"code":"a"}"#),
            (r#""incomplete_details":null"#, r#""incomplete_details":{"reason":"a"}"#),
            ("output_text", "refusal"),
            (r#""type":"message""#, r#""type":"function_call""#),
            (r#"[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}]"#, "[]"),
        ],
    );
    let stream = format!(
        "event: response.created\ndata: {{\"type\":\"response.created\",\"response\":{{\"status\":\"in_progress\",\"output\":[]}}}}\n\n\
         event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{RESPONSE}}}\n\n"
    );
    each_is_unfit(
        Api::Responses,
        AnswerForm::Events,
        &stream,
        &[
            ("data: {\"type\":\"response.completed\"", "data: {\"type\":\"response.incomplete\""),
            ("data: {\"type\":\"response.completed\"", "data: {\"type\":\"response.failed\""),
            ("data: {\"type\":\"response.completed\"", "data: {\"type\":\"response.output_text.done\""),
            ("\"status\":\"completed\"", "\"status\":\"failed\""),
            ("event: response.created\n", "event: error\n"),
        ],
    );
    assert_eq!(usage_of(Api::Responses, AnswerForm::Events, &stream), Some((8, 2)));
}

#[test]
fn a_response_that_was_cut_off_or_failed_has_cost_what_it_says() {
    for end in ["response.incomplete", "response.failed"] {
        let stream = format!("event: {end}\ndata: {{\"type\":\"{end}\",\"response\":{RESPONSE}}}\n\n");
        let Judged { is_fit, usage, model, .. } = judged(Api::Responses, AnswerForm::Events, &stream);
        assert_eq!(
            (is_fit, usage.map(|usage| (usage.input, usage.output)), model.as_deref()),
            (false, Some((8, 2)), Some("gpt-5")),
            "{end}"
        );
    }
}

const MESSAGE: &str = r#"{"id":"m","type":"message","model":"claude","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":5,"cache_read_input_tokens":3,"output_tokens":2}}"#;

const MESSAGE_STREAM: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"claude\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":8,\"output_tokens\":1}}}\n\n",
    "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

#[test]
fn a_message_is_fit_at_the_end_of_its_turn() {
    let ends = [
        (r#""stop_reason":"end_turn""#, r#""stop_reason":"max_tokens""#),
        (r#""stop_reason":"end_turn""#, r#""stop_reason":"refusal""#),
        (r#""stop_reason":"end_turn""#, r#""stop_reason":"pause_turn""#),
        (r#""stop_reason":"end_turn""#, r#""stop_reason":"tool_use""#),
        (r#""stop_reason":"end_turn""#, r#""stop_reason":null"#),
    ];
    each_is_unfit(Api::Messages, AnswerForm::Json, MESSAGE, &ends);
    let other = [
        (r#"[{"type":"text","text":"Hi"}]"#, "[]"),
        (r#""type":"message""#, r#""type":"error""#),
        (r#"{"id":"m""#, r#"{"error":{"type":"a"}"#),
    ];
    each_is_unfit(Api::Messages, AnswerForm::Json, MESSAGE, &other);
    assert_eq!(usage_of(Api::Messages, AnswerForm::Json, MESSAGE), Some((8, 2)));
    each_is_unfit(Api::Messages, AnswerForm::Events, MESSAGE_STREAM, &ends);
    let other = [
        ("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", ""),
        ("event: ping\ndata: {\"type\":\"ping\"}", "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}"),
        ("{\"type\":\"ping\"}", "{\"type\":\"error\"}"),
    ];
    each_is_unfit(Api::Messages, AnswerForm::Events, MESSAGE_STREAM, &other);
    assert_eq!(usage_of(Api::Messages, AnswerForm::Events, MESSAGE_STREAM), Some((8, 2)));
    assert!(is_fit(Api::Messages, AnswerForm::Json, &MESSAGE.replace("end_turn", "stop_sequence")));
}

#[test]
fn gemini_is_fit_where_each_candidate_has_stopped() {
    let one = r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":2,"thoughtsTokenCount":5},"modelVersion":"g"}"#;
    let changes = [
        ("STOP", "MAX_TOKENS"),
        ("STOP", "SAFETY"),
        (r#","finishReason":"STOP""#, ""),
        (r#""text":"Hi""#, r#""functionCall":{"name":"a"}"#),
        (r#""modelVersion":"g""#, r#""promptFeedback":{"blockReason":"SAFETY"}"#),
        (r#"{"candidates""#, r#"{"error":{"code":503},"candidates""#),
    ];
    each_is_unfit(Api::Gemini, AnswerForm::Json, one, &changes);
    assert_eq!(usage_of(Api::Gemini, AnswerForm::Json, one), Some((8, 7)));
    let first = r#"{"candidates":[{"content":{"parts":[{"text":"H"}]}}]}"#;
    let events = format!("data: {first}\r\n\r\ndata: {one}\r\n\r\n");
    each_is_unfit(Api::Gemini, AnswerForm::Events, &events, &changes);
    each_is_unfit(Api::Gemini, AnswerForm::Events, &events, &[("}\r\n\r\ndata: ", "}\r\n\r\nevent: error\r\ndata: ")]);
    let list = format!("[{first}\n,\r\n{one}\n]");
    each_is_unfit(Api::Gemini, AnswerForm::Json, &list, &changes);
    each_is_unfit(Api::Gemini, AnswerForm::Json, &list, &[("\n]", "")]);
}

#[test]
fn ollama_is_fit_once_it_is_done() {
    let one = r#"{"model":"llama","message":{"role":"assistant","content":"Hi"},"done":true,"done_reason":"stop","prompt_eval_count":8,"eval_count":2}"#;
    let changes = [
        (r#""done":true"#, r#""done":false"#),
        (r#""done_reason":"stop""#, r#""done_reason":"length""#),
        (r#""done_reason":"stop""#, r#""done_reason":"load""#),
        (r#","done_reason":"stop""#, ""),
        (r#""content":"Hi"}"#, r#""tool_calls":[{"function":{}}]}"#),
        (r#"{"model":"llama","message""#, r#"{"error":"no memory","message""#),
    ];
    each_is_unfit(Api::Ollama, AnswerForm::Json, one, &changes);
    let lines = format!("{}\n{one}\n", r#"{"model":"llama","message":{"content":"H"},"done":false}"#);
    each_is_unfit(Api::Ollama, AnswerForm::Lines, &lines, &changes[1..4]);
    each_is_unfit(Api::Ollama, AnswerForm::Lines, &lines, &[(r#""done":true"#, r#""done":false"#), (r#""eval_count":2}"#, r#""eval_"#)]);
    assert_eq!(usage_of(Api::Ollama, AnswerForm::Lines, &lines), Some((8, 2)));
    assert!(!is_fit(Api::Ollama, AnswerForm::Lines, &format!("{lines}{one}\n")), "something behind the end");
}

#[test]
fn embeddings_are_fit_where_there_are_some() {
    for answer in [
        r#"{"object":"list","data":[{"index":0,"embedding":[0.1]}],"usage":{"prompt_tokens":8,"total_tokens":8}}"#,
        r#"{"embeddings":[[0.1]],"prompt_eval_count":8}"#,
        r#"{"embedding":[0.1],"usage":{"prompt_tokens":8}}"#,
    ] {
        assert!(is_fit(Api::Embeddings, AnswerForm::Json, answer), "{answer}");
        assert_eq!(usage_of(Api::Embeddings, AnswerForm::Json, answer), Some((8, 0)), "{answer}");
    }
    assert!(is_fit(Api::Embeddings, AnswerForm::Json, r#"{"embedding":{"values":[0.1]}}"#));
    for answer in [r#"{"data":[]}"#, "{}", "[]", r#"{"error":{},"data":[{}]}x"#, r#"{"error":{"message":"a"},"data":[{}]}"#] {
        assert!(!is_fit(Api::Embeddings, AnswerForm::Json, answer), "{answer}");
    }
}
