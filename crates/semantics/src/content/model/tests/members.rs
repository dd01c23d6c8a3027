//! Each member that the references of the APIs name is in the key, or is known to be without effect.

use super::*;

/// Each of these members, written in place of the `@` of `base`, gives a request another key than all the others have.
fn each_counts(path: &str, base: &str, members: &[&str]) {
    let mut seen = vec![("nothing".to_owned(), key_at(path, &base.replace('@', "")).key)];
    for member in members {
        let content = base.replacen('@', &format!(",{member}"), 1);
        let key = key_at(path, &content).key;
        for (other, known) in &seen {
            assert_ne!(key, *known, "{path}: {member} and {other}");
        }
        seen.push(((*member).to_owned(), key));
    }
}

#[test]
fn gemini() {
    let path = "/v1beta/models/gemini-pro:generateContent";
    let in_config = r#"{"contents":[],"generationConfig":{"temperature":0@}}"#;
    let config = [
        r#""topP":0.5"#,
        r#""topK":3"#,
        r#""seed":7"#,
        r#""candidateCount":2"#,
        r#""maxOutputTokens":10"#,
        r#""stopSequences":["x"]"#,
        r#""presencePenalty":0.1"#,
        r#""frequencyPenalty":0.1"#,
        r#""responseLogprobs":true"#,
        r#""logprobs":3"#,
        r#""responseMimeType":"application/json""#,
        r#""responseSchema":{"type":"OBJECT"}"#,
        r#""responseJsonSchema":{"type":"object"}"#,
        r#""responseModalities":["TEXT"]"#,
        r#""speechConfig":{"languageCode":"de-DE"}"#,
        r#""thinkingConfig":{"includeThoughts":true}"#,
        r#""imageConfig":{"aspectRatio":"1:1"}"#,
        r#""mediaResolution":"MEDIA_RESOLUTION_LOW""#,
        r#""enableEnhancedCivicAnswers":true"#,
        r#""audioTimestamp":true"#,
        r#""routingConfig":{}"#,
    ];
    each_counts(path, in_config, &config);
    let top = r#"{"contents":[],"generationConfig":{"temperature":0}@}"#;
    let members = [
        r#""systemInstruction":{"parts":[{"text":"a"}]}"#,
        r#""tools":[{"functionDeclarations":[{"name":"a"}]}]"#,
        r#""toolConfig":{"functionCallingConfig":{"mode":"ANY"}}"#,
        r#""safetySettings":[]"#,
        r#""cachedContent":"cachedContents/1""#,
        r#""labels":{"a":"b"}"#,
    ];
    each_counts(path, top, &members);
}

#[test]
fn ollama() {
    let in_options = r#"{"model":"l","messages":[],"options":{"temperature":0@}}"#;
    let options = [
        "num_keep",
        "seed",
        "num_predict",
        "top_k",
        "top_p",
        "min_p",
        "typical_p",
        "repeat_last_n",
        "repeat_penalty",
        "presence_penalty",
        "frequency_penalty",
        "penalize_newline",
        "numa",
        "num_ctx",
        "num_batch",
        "num_gpu",
        "main_gpu",
        "use_mmap",
        "num_thread",
        "mirostat",
        "mirostat_tau",
        "mirostat_eta",
        "tfs_z",
    ]
    .map(|name| format!(r#""{name}":1"#));
    let options: Vec<&str> = options.iter().map(String::as_str).chain([r#""stop":["x"]"#]).collect();
    each_counts("/api/chat", in_options, &options);
    let top = r#"{"model":"l","options":{"temperature":0}@}"#;
    each_counts(
        "/api/chat",
        top,
        &[
            r#""tools":[{"type":"function","function":{"name":"a"}}]"#,
            r#""think":"low""#,
            r#""format":{"type":"object"}"#,
            r#""logprobs":true"#,
            r#""top_logprobs":2"#,
        ],
    );
    let generate = [
        r#""prompt":"a""#,
        r#""suffix":"a""#,
        r#""images":["AAAA"]"#,
        r#""format":"json""#,
        r#""system":"a""#,
        r#""template":"a""#,
        r#""raw":true"#,
        r#""think":true"#,
        r#""context":[1,2]"#,
        r#""stream":false"#,
    ];
    each_counts("/api/generate", top, &generate);
}

#[test]
fn responses() {
    let members = [
        r#""instructions":"a""#,
        r#""include":["message.output_text.logprobs"]"#,
        r#""max_output_tokens":10"#,
        r#""max_tool_calls":1"#,
        r#""parallel_tool_calls":false"#,
        r#""prompt":{"id":"p","version":"2"}"#,
        r#""reasoning":{"summary":"auto"}"#,
        r#""stream_options":{"include_obfuscation":false}"#,
        r#""text":{"verbosity":"low"}"#,
        r#""tool_choice":"required""#,
        r#""tools":[{"type":"function","name":"a","strict":true}]"#,
        r#""top_logprobs":2"#,
        r#""top_p":0.5"#,
        r#""truncation":"auto""#,
        r#""stream":true"#,
    ];
    each_counts("/v1/responses", r#"{"model":"g","input":"a"@}"#, &members);
}

#[test]
fn embeddings() {
    let of_openai = [r#""dimensions":256"#, r#""encoding_format":"base64""#];
    each_counts("/v1/embeddings", r#"{"model":"g","input":"a"@}"#, &of_openai);
    let of_ollama = [r#""truncate":false"#, r#""dimensions":256"#, r#""options":{"num_ctx":1}"#];
    each_counts("/api/embed", r#"{"model":"g","input":"a"@}"#, &of_ollama);
    let of_gemini = [r#""taskType":"RETRIEVAL_QUERY""#, r#""title":"a""#, r#""outputDimensionality":256"#];
    each_counts("/v1beta/models/g:embedContent", r#"{"content":{"parts":[{"text":"a"}]}@}"#, &of_gemini);
    let batch = r#"{"requests":[{"model":"models/g","content":{"parts":[{"text":"a"}]}@}]}"#;
    each_counts("/v1beta/models/g:batchEmbedContents", batch, &of_gemini);
    let path = "/v1beta/models/g:embedContent";
    let [one, other] = ["a", "b"].map(|text| key_at(path, &format!(r#"{{"content":{{"parts":[{{"text":"{text}"}}]}}}}"#)).key);
    assert_ne!(one, other);
}
