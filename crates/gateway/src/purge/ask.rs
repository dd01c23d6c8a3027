//! `POST /purge`: the JSON that says what is old.

use http::StatusCode;
use larder_store::{Invalidation, InvalidationTarget};
use serde::Deserialize;

use super::targets::Known;

/// Why nothing was purged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Refused {
    /// A 4xx.
    pub(crate) status: StatusCode,
    /// One sentence.
    pub(crate) detail: String,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }
}

/// The JSON of a purge. All of it is applied in one step, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ask {
    pub(crate) urls: Vec<String>,
    pub(crate) prefixes: Vec<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) names: Vec<String>,
    pub(crate) routes: Vec<String>,
    pub(crate) classes: Vec<String>,
    pub(crate) namespaces: Vec<String>,
    pub(crate) patterns: Vec<String>,
    pub(crate) regexes: Vec<String>,
    pub(crate) all: bool,
    pub(crate) soft: bool,
    /// Of messages that are a path alone; a call names URLs.
    #[serde(skip)]
    pub(crate) paths: Vec<String>,
}

/// Regular expressions in one call: each is compiled, and compared with every entry that is asked for.
const MAX_REGEXES: usize = 16;

type Check = fn(&Known<'_>, &str) -> Result<Vec<InvalidationTarget>, String>;

impl Ask {
    /// Reads a body. Not by way of a [`serde_json::Value`], which forgets the first of two lists of one name.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Refused> {
        if !body.trim_ascii_start().starts_with(b"{") {
            return Self::from_value(serde_json::from_slice(body).map_err(not_json)?);
        }
        serde_json::from_slice(body).map_err(|error| if error.is_data() { not_a_purge(error.to_string()) } else { not_json(error) })
    }

    /// From JSON that was read already.
    pub(crate) fn from_value(value: serde_json::Value) -> Result<Self, Refused> {
        // A list would be taken for the fields in their order.
        if !value.is_object() {
            return Err(not_a_purge("it is not an object".to_owned()));
        }
        serde_json::from_value(value).map_err(|error| not_a_purge(error.to_string()))
    }

    /// The invalidation that it asks for, once every part is known to be valid.
    pub(crate) fn invalidation(&self, known: &Known<'_>, max_targets: usize) -> Result<Invalidation, Refused> {
        let lists: [(&str, &[String], Check); 10] = [
            ("urls", &self.urls, |known, text| known.url(text)),
            ("prefixes", &self.prefixes, |_, text| Known::prefix(text)),
            ("tags", &self.tags, |_, text| Known::tag(text)),
            ("names", &self.names, |known, text| known.name(text)),
            ("routes", &self.routes, |known, text| known.route(text)),
            ("classes", &self.classes, |known, text| known.class(text)),
            ("namespaces", &self.namespaces, |known, text| known.namespace(text)),
            ("patterns", &self.patterns, |_, text| Known::pattern(text)),
            ("regexes", &self.regexes, |known, text| known.regex(text)),
            ("paths", &self.paths, |_, text| Known::path(text)),
        ];
        let count = lists.iter().map(|(_, list, _)| list.len()).sum::<usize>();
        if count > max_targets {
            return Err(Refused::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("{count} targets are too many: at most {max_targets} in one call."),
            ));
        }
        if self.regexes.len() > MAX_REGEXES {
            let detail = format!("{} regular expressions are too many: at most {MAX_REGEXES} in one call.", self.regexes.len());
            return Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        let mut targets = Vec::with_capacity(count);
        for (name, list, check) in lists {
            for (index, text) in list.iter().enumerate() {
                let found = check(known, text)
                    .map_err(|why| Refused::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{name}[{index}]: {}", why)))?;
                targets.extend(found);
            }
        }
        if self.all {
            targets.push(InvalidationTarget::All);
        }
        if targets.is_empty() {
            let detail =
                "Nothing is named: give urls, prefixes, tags, names, routes, classes, namespaces, patterns, regexes or \"all\": true.";
            return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
        }
        Ok(Invalidation { targets, soft: self.soft })
    }
}

fn not_json(error: serde_json::Error) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, format!("The body is not JSON: {error}."))
}

fn not_a_purge(why: String) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, format!("This is not a purge: {why}."))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::active::ActiveConfig;
    use crate::config;

    fn active() -> ActiveConfig {
        let text = r#"
            [upstreams.api]
            url = "http://127.0.0.1:3000"
            [purge]
            regex = true
            [classes.project]
            [[routes]]
            name = "issue.list"
            path = "/issues"
            class = "project"
            namespace = "tracker"
            key = { name = "{namespace}:{query}" }
            query = { drop = ["page"] }
        "#;
        let (config, _) =
            config::parse("test.toml", text.as_bytes(), &Default::default()).unwrap_or_else(|report| panic!("{}", report.render(false)));
        ActiveConfig::alone(config)
    }

    fn targets(active: &Arc<ActiveConfig>, body: &str) -> Result<Vec<String>, (u16, String)> {
        let refused = |refused: Refused| (refused.status.as_u16(), refused.detail);
        let ask = Ask::parse(body.as_bytes()).map_err(refused)?;
        let invalidation = ask.invalidation(&Known(active), 4).map_err(refused)?;
        Ok(invalidation.targets.iter().map(|target| serde_json::to_string(target).expect("plain data")).collect())
    }

    #[tokio::test]
    async fn every_kind_becomes_what_the_ledger_takes() {
        let active = Arc::new(active());
        for (body, expected) in [
            // As the route's keys have it: sorted, without what it drops.
            (r#"{"urls":["http://A.example:80/issues?page=2&b=1&a=2"]}"#, r#"{"url":"http://a.example/issues?a=2&b=1"}"#),
            (r#"{"urls":["https://a.example"]}"#, r#"{"url":"https://a.example/"}"#),
            (r#"{"prefixes":["https://a.example/api/v1/"]}"#, r#"{"prefix":"https://a.example/api/v1/"}"#),
            (r#"{"prefixes":["/api"]}"#, r#"{"prefix":"/api"}"#),
            (r#"{"prefixes":["HTTP://a.example/api"]}"#, r#"{"prefix":"HTTP://a.example/api"}"#),
            (r#"{"tags":["issue:7"]}"#, r#"{"tag":"issue:7"}"#),
            // As `Cache-Tag` and members of JSON name them.
            (r#"{"tags":["team:Red Team"]}"#, r#"{"tag":"team:Red Team"}"#),
            (r#"{"tags":["issue:*"]}"#, r#"{"tag":"issue:*"}"#),
            (r#"{"tags":["issue:\\*"]}"#, r#"{"tag":"issue:\\*"}"#),
            (r#"{"names":["tracker:a=1"]}"#, r#"{"tag":"name:tracker:a=1"}"#),
            (r#"{"names":["tracker:*"]}"#, r#"{"tag":"name:tracker:*"}"#),
            (r#"{"routes":["issue.list"]}"#, r#"{"route":"issue.list"}"#),
            (r#"{"classes":["project"]}"#, r#"{"class":"project"}"#),
            (r#"{"namespaces":["tracker"]}"#, r#"{"namespace":"tracker"}"#),
            (r#"{"patterns":["*.example/**/board"]}"#, r#"{"pattern":"*.example/**/board"}"#),
            (r#"{"patterns":["https://A.example:443/B/*"]}"#, r#"{"pattern":"a.example/B/*"}"#),
            (r#"{"patterns":["A.example:443/B/*"]}"#, r#"{"pattern":"a.example:443/B/*"}"#),
            (r#"{"patterns":["**/Board"]}"#, r#"{"pattern":"**/Board"}"#),
            (r#"{"regexes":["/issues/[0-9]+$"]}"#, r#"{"regex":"/issues/[0-9]+$"}"#),
            (r#"{"all":true,"soft":true}"#, "\"all\""),
        ] {
            assert_eq!(targets(&active, body), Ok(vec![expected.to_owned()]), "{body}");
        }
    }

    #[tokio::test]
    async fn a_url_beyond_ascii_is_meant_as_clients_send_it() {
        let active = Arc::new(active());
        let expected = [r#"{"url":"http://a.example/ä?b=ö"}"#, r#"{"url":"http://a.example/%C3%A4?b=%C3%B6"}"#].map(str::to_owned);
        assert_eq!(targets(&active, r#"{"urls":["http://a.example/ä?b=ö"]}"#), Ok(expected.to_vec()));
    }

    #[tokio::test]
    async fn a_mistake_is_reported_and_nothing_is_purged() {
        let active = Arc::new(active());
        for (body, status, said) in [
            ("", 400, "The body is not JSON"),
            ("{", 400, "The body is not JSON"),
            ("[]", 400, "This is not a purge"),
            (r#"{"url":["http://a/"]}"#, 400, "unknown field `url`"),
            (r#"{"tags":["a"],"tags":["b"]}"#, 400, "duplicate field `tags`"),
            (r#"{"tags":"issue:7"}"#, 400, "This is not a purge"),
            ("{}", 422, "Nothing is named"),
            (r#"{"all":false}"#, 422, "Nothing is named"),
            (r#"{"tags":["1","2","3","4","5"]}"#, 413, "5 targets are too many: at most 4"),
            (r#"{"tags":["a",""]}"#, 422, "tags[1]: "),
            (r#"{"tags":[" a"]}"#, 422, "tags[0]: "),
            (r#"{"tags":["a\tb"]}"#, 422, "tags[0]: "),
            (r#"{"tags":["iss*"]}"#, 422, "tags[0]: `iss*` is not a tag: a star"),
            (r#"{"tags":["*"]}"#, 422, "tags[0]: "),
            (r#"{"tags":["*:7"]}"#, 422, "tags[0]: "),
            (r#"{"names":["track*"]}"#, 422, "names[0]: `track*` is not a name: a star"),
            (r#"{"names":[""]}"#, 422, "names[0]: "),
            (r#"{"urls":["/issues"]}"#, 422, "urls[0]: "),
            (r#"{"urls":["ftp://a/issues"]}"#, 422, "urls[0]: "),
            (r#"{"urls":["http://a/x y"]}"#, 422, "urls[0]: "),
            (r#"{"prefixes":["a.example/x?y"]}"#, 422, "prefixes[0]: "),
            (r#"{"prefixes":[""]}"#, 422, "prefixes[0]: "),
            (r#"{"prefixes":["http://"]}"#, 422, "prefixes[0]: "),
            (r#"{"prefixes":["http:///api"]}"#, 422, "prefixes[0]: "),
            (r#"{"patterns":["ftp://a.example/x"]}"#, 422, "patterns[0]: "),
            (r#"{"routes":["issue.lst"]}"#, 422, "routes[0]: there is no route `issue.lst`: did you mean `issue.list`?"),
            (r#"{"classes":["x"]}"#, 422, "classes[0]: there is no class `x`"),
            (r#"{"namespaces":["x"]}"#, 422, "namespaces[0]: there is no namespace `x`"),
            (r#"{"patterns":["issue"]}"#, 422, "patterns[0]: "),
            (r#"{"regexes":["a", "(b"]}"#, 422, "regexes[1]: `(b` is not a regular expression: unclosed group."),
            (r#"{"regexes":[""]}"#, 422, "regexes[0]: "),
        ] {
            let (found, detail) = targets(&active, body).expect_err(body);
            assert!(found == status && detail.contains(said), "{body}: {found} {detail}");
        }
    }
}
