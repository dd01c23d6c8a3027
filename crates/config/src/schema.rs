//! The JSON Schema of the configuration, so that editors complete keys and show what they are for.
//!
//! It is found out from the reader itself: each table is read with a key that nobody knows, whose hint lists those that it does know; and each key with
//! a value of each shape, of which the reader refuses those that it cannot take. So what it accepts is here, by construction. Descriptions are the
//! comments of the shipped `config.toml`.

use serde_json::{Map, Value, json};

use crate::parse;

/// The shipped file, with a comment for each key.
pub(crate) const REFERENCE: &str = include_str!("../config.toml");

/// A key that no table has, nor anything like it.
const UNKNOWN: &str = "qqqqqqqqqqqqqqqqqqqq";

/// Every table: its place in the schema, and a file in which `KEY` stands in it. `[]` is each item of a list, `*` a name that the user chooses.
pub(crate) const TABLES: [(&str, &str); 63] = [
    ("server", "[server]\nKEY"),
    ("listeners[]", "[[listeners]]\nKEY"),
    ("listeners[].tls", "[[listeners]]\ntls = { KEY }"),
    ("listeners[].tls.certificates[]", "[[listeners]]\ntls = { certificates = [{ KEY }] }"),
    ("listeners[].proxy_protocol", "[[listeners]]\nproxy_protocol = { KEY }"),
    ("acme", "[acme]\nKEY"),
    ("auth.jwt", "[auth.jwt]\nKEY"),
    ("warm[]", "[[warm]]\nKEY"),
    ("admin", "[admin]\nKEY"),
    ("admin.tokens[]", "[[admin.tokens]]\nKEY"),
    ("purge", "[purge]\nKEY"),
    ("alerts", "[alerts]\nKEY"),
    ("tags", "[tags]\nKEY"),
    ("prices.*", "[prices.x]\nKEY"),
    ("spending", "[spending]\nKEY"),
    ("limits[]", "[[limits]]\nKEY"),
    ("quotas[]", "[[quotas]]\nKEY"),
    ("quotas[].limits[]", "[[quotas]]\nlimits = [{ KEY }]"),
    ("quotas[].price", "[[quotas]]\nprice = { KEY }"),
    ("on_write[]", "[[on_write]]\nKEY"),
    ("on_event[]", "[[on_event]]\nKEY"),
    ("log", "[log]\nKEY"),
    ("telemetry.traces", "[telemetry.traces]\nKEY"),
    ("log.sample", "[log.sample]\nKEY"),
    ("store.memory", "[store.memory]\nKEY"),
    ("store.memory.compress", "[store.memory.compress]\nKEY"),
    ("store.disk", "[store.disk]\nKEY"),
    ("store.disk.breaker", "[store.disk.breaker]\nKEY"),
    ("store.disk.compress", "[store.disk.compress]\nKEY"),
    ("store.disk.encrypt", "[store.disk.encrypt]\nKEY"),
    ("store.redis", "[store.redis]\nKEY"),
    ("store.redis.breaker", "[store.redis.breaker]\nKEY"),
    ("store.redis.sentinel", "[store.redis.sentinel]\nKEY"),
    ("store.redis.compress", "[store.redis.compress]\nKEY"),
    ("store.redis.encrypt", "[store.redis.encrypt]\nKEY"),
    ("upstreams.*", "[upstreams.x]\nKEY"),
    ("upstreams.*.queue", "[upstreams.x.queue]\nKEY"),
    ("upstreams.*.breaker", "[upstreams.x.breaker]\nKEY"),
    ("upstreams.*.eject", "[upstreams.x.eject]\nKEY"),
    ("upstreams.*.retry", "[upstreams.x.retry]\nKEY"),
    ("upstreams.*.health", "[upstreams.x.health]\nKEY"),
    ("upstreams.*.resolve", "[upstreams.x.resolve]\nKEY"),
    ("upstreams.*.tls", "[upstreams.x.tls]\nKEY"),
    ("upstreams.*.servers[]", "[upstreams.x]\nservers = [{ KEY }]"),
    ("cache", "[cache]\nKEY"),
    ("cache.bypass", "[cache.bypass]\nKEY"),
    ("cache.query", "[cache.query]\nKEY"),
    ("cache.collapse", "[cache.collapse]\nKEY"),
    ("cache.key", "[cache.key]\nKEY"),
    ("cache.request", "[cache.request]\nKEY"),
    ("cache.response", "[cache.response]\nKEY"),
    ("cache.rewrite", "[cache.rewrite]\nKEY"),
    ("cache.compress", "[cache.compress]\nKEY"),
    ("cache.cache_status", "[cache.cache_status]\nKEY"),
    ("cache.cdn_ttl", "[cache.cdn_ttl]\nKEY"),
    ("cache.verify", "[cache.verify]\nKEY"),
    ("classes.*", "[classes.x]\nKEY"),
    ("routes[]", "[[routes]]\nKEY"),
    ("routes[].match", "[[routes]]\nmatch = { KEY }"),
    ("tests[]", "[[tests]]\nKEY"),
    ("tests[].steps[]", "[[tests]]\nsteps = [{ KEY }]"),
    ("tests[].steps[].answer", "[[tests]]\nsteps = [{ answer = { KEY } }]"),
    ("tests[].steps[].expect", "[[tests]]\nsteps = [{ expect = { KEY } }]"),
];

/// Further files for a place, in which a key takes values of other shapes.
const VARIANTS: [(&str, &str); 1] = [("limits[]", "[[limits]]\ncount = \"bytes\"\nKEY")];

/// Values of each shape, and how JSON Schema calls it. Some keys are turned off with `false`, and cannot be `true`.
const SHAPES: [(&str, &[&str]); 6] = [
    ("string", &["\"1\""]),
    ("boolean", &["true", "false"]),
    ("integer", &["1"]),
    ("number", &["0.5"]),
    ("array", &["[\"1\"]", "[{}]"]),
    ("object", &["{}"]),
];

/// The schema, as JSON.
pub fn schema() -> Value {
    let mut root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Larder's configuration",
        "type": "object",
        "properties": {},
        "additionalProperties": false,
    });
    for (place, file) in TABLES {
        let table = table_at(&mut root, place);
        for key in known_keys(file) {
            let mut property = property(place, file, &key);
            if let Some(text) = description(place, &key) {
                property["description"] = text.into();
            }
            table["properties"][&key] = property;
        }
        table["additionalProperties"] = false.into();
    }
    inherit(&mut root);
    root
}

/// The tables that `[cache]` has inside, a class and a route have too.
fn inherit(root: &mut Value) {
    let inner: Map<String, Value> = match &root["properties"]["cache"]["properties"] {
        Value::Object(keys) => {
            keys.iter().filter(|(_, property)| has_properties(property)).map(|(key, value)| (key.clone(), value.clone())).collect()
        }
        _ => Map::new(),
    };
    for place in ["classes.*", "routes[]"] {
        let table = table_at(root, place);
        for (key, property) in &inner {
            if table["properties"][key].is_object() {
                table["properties"][key] = property.clone();
            }
        }
    }
}

fn has_properties(property: &Value) -> bool {
    property["properties"].is_object()
        || property["anyOf"].as_array().is_some_and(|all| all.iter().any(|one| one["properties"].is_object()))
}

/// The schema of the table at this place, which is made where it is not there yet.
fn table_at<'s>(root: &'s mut Value, place: &str) -> &'s mut Value {
    let mut at = root;
    for step in place.split('.') {
        at = match step {
            "*" => named(at),
            step => match step.strip_suffix("[]") {
                Some(list) => &mut object_in(property_of(at, list), "array")["items"],
                None => object_in(property_of(at, step), "object"),
            },
        };
        if at.is_null() {
            *at = json!({ "type": "object", "properties": {} });
        }
    }
    at
}

fn property_of<'s>(table: &'s mut Value, key: &str) -> &'s mut Value {
    &mut table["properties"][key]
}

/// Tables under names that the user chooses.
fn named(table: &mut Value) -> &mut Value {
    &mut table["additionalProperties"]
}

/// The part of a property that is an object or a list: itself, or one of several that it may be.
fn object_in<'s>(property: &'s mut Value, kind: &str) -> &'s mut Value {
    if property.is_null() {
        *property = json!({ "type": kind });
    }
    if property["anyOf"].is_array() {
        let place = property["anyOf"].as_array().and_then(|all| all.iter().position(|one| one["type"] == kind)).unwrap_or(0);
        return &mut property["anyOf"][place];
    }
    property
}

/// What a key may be.
fn property(place: &str, file: &str, key: &str) -> Value {
    let variants = VARIANTS.iter().filter(|(own, file)| *own == place && !file.contains(&format!("{key} = "))).map(|(_, file)| *file);
    let files: Vec<&str> = std::iter::once(file).chain(variants).collect();
    let accepts = |values: &&[&str]| values.iter().any(|value| files.iter().any(|file| takes(file, key, value)));
    let accepted: Vec<&str> = SHAPES.iter().filter(|(_, values)| accepts(values)).map(|(name, _)| *name).collect();
    let of = |name: &str| match name {
        "string" => match words(file, key) {
            words if words.is_empty() => json!({ "type": "string" }),
            words => json!({ "type": "string", "enum": words }),
        },
        name => json!({ "type": name }),
    };
    match accepted[..] {
        [] => json!({}),
        [only] => of(only),
        _ => json!({ "anyOf": accepted.iter().map(|name| of(name)).collect::<Vec<_>>() }),
    }
}

/// Whether the reader takes a value of this shape, right or wrong otherwise.
fn takes(file: &str, key: &str, value: &str) -> bool {
    let refused = [format!("`{key}` cannot be "), format!("each item of `{key}` cannot be ")];
    !complaints(file, &format!("{key} = {value}")).iter().any(|line| refused.iter().any(|refused| line.contains(refused)))
}

/// The words that a key may be, where it may be only some.
fn words(file: &str, key: &str) -> Vec<String> {
    let complaints = complaints(file, &format!("{key} = true"));
    let Some(line) = complaints.iter().find(|line| line.contains(&format!("`{key}` cannot be "))) else { return Vec::new() };
    let Some((_, listed)) = line.split_once("expected one of ") else { return Vec::new() };
    listed.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The keys that a table knows: those that the hint about an unknown one lists.
pub(crate) fn known_keys(file: &str) -> Vec<String> {
    let complaints = complaints(file, &format!("{UNKNOWN} = 1"));
    let Some((_, keys)) = complaints.iter().find_map(|line| line.split_once("keys here: ")) else { return Vec::new() };
    keys.trim_end_matches(')').split(", ").map(|key| key.trim_matches('`').to_owned()).collect()
}

fn complaints(file: &str, entry: &str) -> Vec<String> {
    match parse("schema", file.replace("KEY", entry).as_bytes(), &crate::Overrides::default()) {
        Ok((_, report)) | Err(report) => report.graded().map(|(_, line)| line).collect(),
    }
}

/// The comment above a key in the shipped file, or above the keys right before it, which it is about as well. A table that stands inline has its
/// comment above itself; the settings of a class and of a route are those of `[cache]`.
fn description(place: &str, key: &str) -> Option<String> {
    let inherits = matches!(place, "classes.*" | "routes[]");
    commented(key, place).or_else(|| commented(key, "cache").filter(|_| inherits))
}

fn commented(key: &str, place: &str) -> Option<String> {
    let (mut is_here, mut comment, mut is_used): (bool, Vec<&str>, bool) = (false, Vec::new(), false);
    for line in REFERENCE.lines() {
        let text = line.trim_start_matches("# ");
        if text.starts_with('[') && text.ends_with(']') {
            is_here = is_head(text, place);
            comment.clear();
        } else if is_entry(text) {
            if is_here && text.starts_with(&format!("{key} = ")) && !comment.is_empty() {
                return Some(comment.join(" "));
            }
            is_used = true;
        } else if line.starts_with("# ") {
            if std::mem::take(&mut is_used) {
                comment.clear();
            }
            comment.push(text.trim());
        } else {
            comment.clear();
        }
    }
    None
}

/// Whether this is the head of that table: `[[admin.tokens]]` of `admin.tokens[]`, `[upstreams.api]` of `upstreams.*`.
fn is_head(head: &str, place: &str) -> bool {
    let (head, place) = (head.trim_matches(['[', ']']), place.trim_end_matches("[]"));
    place.strip_suffix(".*").map_or(head == place, |section| head.split_once('.').is_some_and(|(first, _)| first == section))
}

/// Whether a line of a comment is an entry that is commented out.
fn is_entry(text: &str) -> bool {
    text.split_once(" = ")
        .is_some_and(|(key, _)| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a value fits, as far as this schema says anything: types, words, known keys.
    fn fits(schema: &Value, value: &toml::Value) -> Result<(), String> {
        if let Some(all) = schema["anyOf"].as_array() {
            let tried: Vec<_> = all.iter().map(|one| fits(one, value)).collect();
            return if tried.iter().any(Result::is_ok) { Ok(()) } else { tried.into_iter().next().unwrap_or(Ok(())) };
        }
        let found = match value {
            toml::Value::String(_) => "string",
            toml::Value::Boolean(_) => "boolean",
            toml::Value::Integer(_) => "integer",
            toml::Value::Float(_) => "number",
            toml::Value::Array(_) => "array",
            toml::Value::Table(_) | toml::Value::Datetime(_) => "object",
        };
        let wanted = schema["type"].as_str().unwrap_or(found);
        if wanted != found && (wanted, found) != ("number", "integer") {
            return Err(format!("{value:?} is no {wanted}"));
        }
        if let Some(words) = schema["enum"].as_array()
            && !words.iter().any(|word| value.as_str() == word.as_str())
        {
            return Err(format!("{value:?} is none of {words:?}"));
        }
        match value {
            toml::Value::Array(items) if schema["items"].is_object() => items.iter().try_for_each(|item| fits(&schema["items"], item)),
            toml::Value::Table(entries) => entries.iter().try_for_each(|(key, value)| {
                match (&schema["properties"][key], &schema["additionalProperties"]) {
                    (known @ Value::Object(_), _) => fits(known, value),
                    (_, other @ Value::Object(_)) => fits(other, value),
                    (_, Value::Bool(false)) => Err(format!("`{key}` is not known")),
                    _ => Ok(()),
                }
                .map_err(|error| format!("{key}: {error}"))
            }),
            _ => Ok(()),
        }
    }

    fn check(schema: &Value, text: &str) -> Result<(), String> {
        fits(schema, &toml::Value::Table(toml::from_str(text).map_err(|error| error.to_string())?))
    }

    #[test]
    fn the_shipped_file_fits_with_all_that_it_comments_out() {
        let mut schema = schema();
        check(&schema, REFERENCE).expect("the shipped file");
        for line in REFERENCE.lines().filter_map(|line| line.strip_prefix("# ")).filter(|line| is_entry(line)) {
            let key = line.split(" = ").next().unwrap_or_default();
            let known = TABLES.iter().any(|(place, _)| table_at(&mut schema, place)["properties"].get(key).is_some());
            assert!(known || key.contains('.') || key.contains('-'), "{line}");
        }
    }

    #[test]
    fn what_the_reader_refuses_does_not_fit() {
        let schema = schema();
        check(&schema, "[server]\nlisten = [\"127.0.0.1:1\"]\n[cache]\nscope = \"identity\"\n[cache.query]\nsort = true\n[[routes]]\npath = \"/a\"\nquery = { sort = false }\n")
            .expect("all of it is right");
        check(&schema, "[[limits]]\nmax = \"1GiB\"\n[[quotas]]\nlimits = [{ count = \"cost\", max = 25.0, per = \"month\" }]")
            .expect("units differ");
        check(&schema, "[cache]\nbypass = false\n[upstreams.api]\nurl = \"http://a\"\nbreaker = false\n[log]\naccess = \"json\"")
            .expect("some are turned off");
        for wrong in [
            "[cache]\ntll = \"1m\"",
            "[cache]\nscope = \"nobody\"",
            "[log]\naccess = \"xml\"",
            "[server]\nmax_connections = \"many\"",
            "[[routes]]\npath = 1",
            "[[routes]]\nquery = { srot = true }",
            "[upstreams.api]\nurll = \"http://a\"",
            "[nowhere]\na = 1",
        ] {
            assert!(check(&schema, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn keys_have_descriptions() {
        let schema = schema();
        let described = |place: &str| schema.pointer(place).and_then(Value::as_str).unwrap_or_default();
        assert!(described("/properties/server/properties/request_id/description").contains("X-Request-Id"));
        assert!(described("/properties/server/properties/drain_timeout/description").contains("Kubernetes"));
        let stores =
            |store: &str, key: &str| described(&format!("/properties/store/properties/{store}/properties/{key}/description")).to_owned();
        assert!(described("/properties/upstreams/additionalProperties/properties/h2c/description").starts_with("true: HTTP/2 without TLS"));
        assert!(stores("disk", "max_object").contains("at most a quarter"), "each store has its own");
        assert!(stores("memory", "compress").starts_with("Texts") && stores("disk", "compress").starts_with("Bodies"));
        assert!(stores("redis", "max_object").contains("no other replica waits"));
        assert!(stores("redis", "write_queue").contains("Bodies that may wait"));
        assert!(
            described("/properties/limits/items/properties/batch/description").contains("`batch` units at a time"),
            "one comment for two keys"
        );
        assert_eq!(
            described("/properties/upstreams/additionalProperties/properties/queue/properties/max/description"),
            "",
            "not that of another table"
        );
    }
}
