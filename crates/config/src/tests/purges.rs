//! Rules for tags, cascades and the targets of writes: the text, and the complaint with its place and hint.

use super::{assert_complaint, complaints, in_route};

#[test]
fn a_cascade_names_what_it_takes_from_the_tag() {
    let cascade = |line: &str, expected: &str| assert_complaint(&format!("[tags]\ncascade = {{ {line} }}"), expected);
    cascade(
        r#""project:{id}" = ["issue-of:{ids}"]"#,
        "2:31: error: `{ids}` is not a part of the tag that brings it about (hint: did you mean `id`?)",
    );
    cascade(
        r#""all" = ["issue-of:{query.id}"]"#,
        "2:22: error: `{query.id}` is not a part of the tag that brings it about (hint: it has no named parts)",
    );
    cascade(
        r#""{a}{b}" = ["x"]"#,
        r#"2:13: error: nothing tells `{b}` in `{a}{b}` from the part before it (hint: put something between them: "{org}:{id}")"#,
    );
    cascade(
        r#""a{x}" = ["aa{x}"]"#,
        "2:13: error: a purge of `ax` would never end: what follows from it grows and grows (hint: a tag may bring about itself, but not longer and longer ones)",
    );
    cascade(r#""a" = "b""#, "2:19: error: `a` cannot be a string (hint: expected a list of strings like \"issue-of:{id}\")");
}

#[test]
fn targets_of_a_write_name_existing_things() {
    let write = |purge: &str, expected: &str| {
        assert_complaint(&format!("[[on_write]]\npath = \"/issues/{{id}}\"\npurge = [\"{purge}\"]"), expected);
    };
    write("tag:issue:{ids}", "3:10: error: `{ids}` is not a part of this write's path (hint: did you mean `id`?)");
    write("tag:of:{reponse.project}", "3:10: error: unknown placeholder `{reponse.project}` in a tag (hint: did you mean `response`?)");
    write(
        "url:issues",
        r#"3:10: error: `issues` is not the path of a URL (hint: like "url:/api/v1/issues/{id}", of the host that is written to)"#,
    );
    assert_complaint(
        "[[on_event]]\ntype = \"moved\"\npurge = [\"url:/issues/{id}\"]",
        r#"3:10: error: `/issues/{id}` is not an absolute URL (hint: like "url:https://api.example.com/issues/{id}")"#,
    );
    assert_complaint(
        "[[on_event]]\ntype = \"moved\"\npurge = [\"tag:{request.id}\"]",
        "3:10: error: `{request.id}` is not a part of an event (hint: it has no named parts)",
    );
    in_route(
        "tags = [\"of:{request.id}\"]",
        "3:9: error: unknown placeholder `{request.id}` in a tag (hint: placeholders are taken from: `query`, `header`, `response`)",
    );
}

#[test]
fn tags_are_not_in_fields_that_say_what_may_be_stored() {
    for name in ["Set-Cookie", "cache-control", "Surrogate-Control"] {
        assert_complaint(
            &format!("[tags]\nfrom = [\"{name}\"]"),
            &format!("2:9: error: `{name}` is not a field of tags (hint: \"surrogate-key\", \"cache-tag\" and \"xkey\" are)"),
        );
    }
}

#[test]
fn what_only_redis_makes_effective_is_told_where_there_is_none() {
    let hint = "there is no [store.redis] (hint: add [store.redis] with its url, or leave it out)";
    let lines = [
        ("purge", "write_wait = \"1s\""),
        ("purge", "channel = \"a\""),
        ("alerts", "channel = \"a\""),
        ("alerts", "quota_channel = \"a\""),
    ];
    for (section, line) in lines {
        let (text, key) = (format!("[{section}]\n{line}"), line.split(' ').next().unwrap_or_default());
        assert_complaint(&text, &format!("2:{}: warning: `{key}` has no effect: {hint}", key.len() + 4));
        assert_eq!(complaints(&format!("{text}\n[store.redis]\nurl = \"redis://127.0.0.1\"")), [""; 0], "{line}");
    }
    for none in
        ["[purge]\nwrite_wait = \"0s\"\nchannel = \"\"", "[purge]\nchannel = \"system:cache_invalidation\"", "[alerts]\nchannel = \"\""]
    {
        assert_eq!(complaints(none), [""; 0], "{none}");
    }
}
