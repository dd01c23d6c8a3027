//! `[[on_write]]` and `[[on_event]]` at work: what one request or event makes old.

use http::request::Parts;
use larder_semantics::{KeyRules, Target};
use larder_store::InvalidationTarget;
use larder_tower::WriteRules;

use crate::config::{Config, OnEvent, OnWrite, PurgeTemplate, Route, TagTemplate};
use crate::tagging::fill;

/// All `[[on_write]]` sections, ready to be matched.
#[derive(Debug)]
pub(crate) struct Writes {
    rules: Vec<Rule>,
    /// One for each way in which routes tell callers apart.
    identities: Vec<KeyRules>,
}

#[derive(Debug)]
struct Rule {
    settings: OnWrite,
    path: matchit::Router<()>,
}

impl Writes {
    pub(crate) fn new(config: &Config) -> Result<Self, matchit::InsertError> {
        let rule = |settings: &OnWrite| {
            let mut path = matchit::Router::new();
            path.insert(settings.path.shape(), ())?;
            Ok(Rule { settings: settings.clone(), path })
        };
        let mut identities: Vec<KeyRules> = Vec::new();
        for Route { settings, .. } in config.routes.iter().chain(&config.fallback) {
            if !settings.key.identity.is_empty() && !identities.iter().any(|known| known.identity == settings.key.identity) {
                identities.push(settings.key.clone());
            }
        }
        Ok(Self { rules: config.on_write.iter().map(rule).collect::<Result<_, _>>()?, identities })
    }
}

impl WriteRules for Writes {
    /// What a template cannot be filled for is left out: `prefix:/projects/` would lump together what has nothing in common.
    fn made_old(&self, request: &Parts, target: Target<'_>) -> Vec<InvalidationTarget> {
        let mut old = Vec::new();
        let host = target.authority.rsplit_once(':').map_or(target.authority, |(host, _)| host);
        for Rule { settings, path } in &self.rules {
            let suits = settings.methods.contains(&request.method)
                && settings.host.as_deref().is_none_or(|own| own.eq_ignore_ascii_case(host) || own.eq_ignore_ascii_case(target.authority));
            let Some(found) = suits.then(|| path.at(target.path).ok()).flatten() else { continue };
            let captures: Vec<&str> = found.params.iter().map(|(_, value)| value).collect();
            for template in &settings.purge {
                let fill = |template: &TagTemplate| fill(template, request, &captures);
                match template {
                    PurgeTemplate::Identity => {
                        let own = self.identities.iter().filter_map(|rules| rules.identity_of(&request.headers));
                        old.extend(own.map(InvalidationTarget::Identity));
                    }
                    // Of this origin alone: nobody's write purges what belongs to another.
                    PurgeTemplate::Prefix(path) => {
                        let prefix = fill(path).map(|path| format!("{}://{}{path}", target.scheme, target.authority));
                        old.extend(prefix.map(InvalidationTarget::Prefix));
                    }
                    template => old.extend(named(template, fill)),
                }
            }
        }
        old
    }
}

/// What an event makes old, given the values of its fields; the name of a field that it lacks otherwise.
pub(crate) fn event(rule: &OnEvent, value: impl Fn(&str) -> Option<String>) -> Result<Vec<InvalidationTarget>, String> {
    let values: Vec<String> = rule.fields.iter().map(|field| value(field).ok_or_else(|| field.clone())).collect::<Result<_, _>>()?;
    let captures: Vec<&str> = values.iter().map(String::as_str).collect();
    let (nobody, ()) = http::Request::new(()).into_parts();
    let fill = |template: &TagTemplate| fill(template, &nobody, &captures);
    let target = |template: &PurgeTemplate| match template {
        PurgeTemplate::Prefix(path) => fill(path).map(InvalidationTarget::Prefix),
        template => named(template, fill),
    };
    Ok(rule.purge.iter().filter_map(target).collect())
}

fn named(template: &PurgeTemplate, fill: impl Fn(&TagTemplate) -> Option<String>) -> Option<InvalidationTarget> {
    match template {
        PurgeTemplate::Tag(tag) => fill(tag).map(InvalidationTarget::Tag),
        PurgeTemplate::Route(name) => fill(name).map(InvalidationTarget::Route),
        PurgeTemplate::Class(name) => fill(name).map(InvalidationTarget::Class),
        PurgeTemplate::Namespace(name) => fill(name).map(InvalidationTarget::Namespace),
        PurgeTemplate::All => Some(InvalidationTarget::All),
        PurgeTemplate::Prefix(_) | PurgeTemplate::Identity => None,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::config;

    const CONFIG: &str = r#"
        [upstreams.api]
        url = "http://127.0.0.1:3000"
        [[routes]]
        name = "me"
        path = "/me"
        scope = "identity"
        [[on_write]]
        methods = ["PUT", "DELETE"]
        path = "/issues/{id}"
        purge = ["tag:issue:{id}", "route:me", "prefix:/projects/{query.project}/board", "tag:team:{header.x-team}"]
        [[on_write]]
        host = "a.example"
        path = "/logout"
        purge = ["identity"]
        [[on_event]]
        type = "project.moved"
        purge = ["tag:project:{id}", "prefix:/orgs/{org}/projects"]
    "#;

    fn parsed() -> Config {
        config::parse("test.toml", CONFIG.as_bytes(), &Default::default()).unwrap_or_else(|report| panic!("{}", report.render(false))).0
    }

    fn old(request: Request<()>) -> Vec<String> {
        let (parts, ()) = request.into_parts();
        let authority = parts.uri.authority().expect("absolute").as_str();
        let target = Target { scheme: "http", authority, path: parts.uri.path(), query: parts.uri.query() };
        let found = Writes::new(&parsed()).expect("valid paths").made_old(&parts, target);
        found.iter().map(|target| serde_json::to_string(target).expect("plain data")).collect()
    }

    fn request(method: &str, url: &str) -> Request<()> {
        Request::builder().method(method).uri(url).body(()).expect("a request")
    }

    #[test]
    fn a_write_names_what_it_makes_old_from_its_path_query_and_fields() {
        let mut write = request("PUT", "http://a.example:81/issues/7?project=p");
        write.headers_mut().insert("x-team", "blue".parse().expect("a value"));
        let expected =
            [r#"{"tag":"issue:7"}"#, r#"{"route":"me"}"#, r#"{"prefix":"http://a.example:81/projects/p/board"}"#, r#"{"tag":"team:blue"}"#];
        assert_eq!(old(write), expected);
    }

    #[test]
    fn what_cannot_be_filled_is_left_out() {
        assert_eq!(old(request("DELETE", "http://a.example/issues/7?project=")), [r#"{"tag":"issue:7"}"#, r#"{"route":"me"}"#]);
    }

    #[test]
    fn other_methods_paths_and_hosts_are_no_such_write() {
        for (method, url) in
            [("POST", "http://a.example/issues/7"), ("PUT", "http://a.example/issues"), ("POST", "http://b.example/logout")]
        {
            assert!(old(request(method, url)).is_empty(), "{method} {url}");
        }
    }

    #[test]
    fn an_identity_is_the_callers_own() {
        let with = |value: &'static str| {
            let mut write = request("POST", "http://a.example/logout");
            write.headers_mut().insert("authorization", value.parse().expect("a value"));
            old(write)
        };
        assert_eq!(with("Bearer a").len(), 1);
        assert_ne!(with("Bearer a"), with("Bearer b"));
        assert!(old(request("POST", "http://a.example/logout")).is_empty());
    }

    #[test]
    fn an_event_needs_every_field_that_is_named() {
        let rule = &parsed().on_event[0];
        let value = |field: &str| (field == "id" || field == "org").then(|| format!("<{field}>"));
        let found = event(rule, value).expect("complete");
        assert_eq!(found, [InvalidationTarget::Tag("project:<id>".into()), InvalidationTarget::Prefix("/orgs/<org>/projects".into())]);
        assert_eq!(event(rule, |field| (field == "id").then(String::new)), Err("org".to_owned()));
    }
}
