//! `[[on_write]]`: the targets that one request invalidates.

use std::sync::{Arc, OnceLock, Weak};

use http::request::Parts;
use larder_semantics::content::Operation;
use larder_semantics::matches_pattern;
use larder_semantics::{KeyRules, Target};
use larder_store::InvalidationTarget;
use larder_tower::{FetchError, Invalidates, Operations, Refetch, RouteRules, WriteRules};

use super::KeySpellings;
use super::in_force::InForce;
use super::url_base::{UrlBase, refetch};
use super::waiting::{Waiting, WaitingTemplate, waits};
use crate::config::{Config, OnWrite, PurgeTemplate, Route, TagTemplate};
use crate::path_matcher::PathMatcher;
use crate::path_reading;
use crate::routing::RouteTable;
use crate::routing::host_of;
use crate::routing::tagging::Values;
use crate::upstream::UpstreamError;

/// All `[[on_write]]` sections, ready to be matched.
#[derive(Debug)]
pub(crate) struct Writes {
    rules: Vec<Rule>,
    /// One for each way in which routes tell clients apart.
    identities: Vec<KeyRules>,
    spellings: KeySpellings,
    /// The routes, which have these rules in turn.
    routes: OnceLock<Weak<RouteTable>>,
    in_force: InForce,
}

#[derive(Debug)]
struct Rule {
    settings: OnWrite,
    path: PathMatcher,
}

impl Writes {
    /// Those of a configuration that takes the place of one with the rules `before`, where there is one.
    pub(crate) fn new(config: &Config, before: Option<&Self>) -> Result<Self, matchit::InsertError> {
        let rule = |settings: &OnWrite| Ok(Rule { settings: settings.clone(), path: PathMatcher::new(&settings.path)? });
        let mut identities: Vec<KeyRules> = Vec::new();
        for Route { settings, .. } in config.routes.iter().chain(&config.fallback) {
            if !settings.key.identity.is_empty() && !identities.iter().any(|known| known.identity == settings.key.identity) {
                identities.push(settings.key.clone());
            }
        }
        let rules = config.on_write.iter().map(rule).collect::<Result<_, _>>()?;
        let in_force = before.map(|before| before.in_force.clone()).unwrap_or_default();
        Ok(Self { rules, identities, spellings: KeySpellings::of(config), routes: OnceLock::new(), in_force })
    }

    /// Tells the routes apart that URLs belong to from now on.
    pub(crate) fn follow(self: &Arc<Self>, routes: &Arc<RouteTable>) {
        // They are made once, right after these rules.
        let _ = self.routes.set(Arc::downgrade(routes));
        self.in_force.take_place(self);
    }

    pub(super) fn routes(&self) -> Option<Arc<RouteTable>> {
        self.routes.get().and_then(Weak::upgrade)
    }

    /// The rules that have taken the place of these, where some have.
    fn successor(&self) -> Option<Arc<Self>> {
        self.in_force.get().filter(|current| !std::ptr::eq(&**current, self))
    }

    /// The captures of a rule's path, and where tags may have them in lower case, those too.
    fn captures(&self, rule: &Rule, request: &Parts, target: Target<'_>) -> Vec<Vec<String>> {
        let mut all = rule.suits(request, target);
        if self.spellings.in_lower_case() {
            let lower = |captures: &Vec<String>| captures.iter().map(|capture| capture.to_ascii_lowercase()).collect();
            let lower: Vec<Vec<String>> = all.iter().map(lower).filter(|captures| !all.contains(captures)).collect();
            all.extend(lower);
        }
        all
    }

    fn refreshes(&self, request: &Parts, target: Target<'_>) -> bool {
        self.rules.iter().any(|rule| rule.settings.refresh && !rule.suits(request, target).is_empty())
    }

    fn identities(&self, request: &Parts) -> impl Iterator<Item = InvalidationTarget> {
        self.identities
            .iter()
            .filter_map(|rules| rules.identity_of(&request.headers, request.uri.query()))
            .map(InvalidationTarget::Identity)
    }
}

impl Rule {
    /// The captures of its path in each of the path's readings, where it is for this write.
    fn suits(&self, request: &Parts, target: Target<'_>) -> Vec<Vec<String>> {
        let Self { settings, path } = self;
        let host = host_of(target.authority);
        let suits = (settings.operation.is_none() || self.operations(request).next().is_some())
            && settings.methods.contains(&request.method)
            && settings.host.as_deref().is_none_or(|own| own.eq_ignore_ascii_case(host));
        if suits { path.captures_in_any_reading(target.path) } else { Vec::new() }
    }

    /// What it purges: templates with variables once for each of the operations, the others once.
    fn templates<'a>(&'a self, request: &'a Parts) -> impl Iterator<Item = (&'a PurgeTemplate, Option<&'a Operation>)> {
        self.settings.purge.iter().flat_map(move |template| {
            let has_variables = template.template().is_some_and(TagTemplate::has_variables);
            let each = self.operations(request).filter(move |_| has_variables).map(Some);
            each.chain((!has_variables).then_some(None)).map(move |operation| (template, operation))
        })
    }

    /// The operations of this write that it is for. One that is not known may be any.
    fn operations<'a>(&'a self, request: &'a Parts) -> impl Iterator<Item = &'a Operation> {
        let wanted = self.settings.operation.as_deref().unwrap_or("*");
        let all = request.extensions.get::<Operations>().map_or(&[][..], |Operations(all)| all);
        all.iter().filter(move |operation| operation.may_be(|name| matches_pattern(wanted, name.as_bytes())))
    }
}

impl WriteRules for Writes {
    /// A template that cannot be filled in is left out: `prefix:/projects/` would purge responses that have nothing in common.
    fn invalidates(&self, request: &Parts, target: Target<'_>) -> Invalidates {
        let mut made = Invalidates::default();
        let mut waiting = Vec::new();
        let routes = self.routes();
        made.keeps = routes.clone().map(|routes| routes as _);
        let base = UrlBase { scheme: target.scheme.into(), authority: target.authority.into(), routes, in_force: self.in_force.clone() };
        // Which of them the origin has changed is not known.
        let others = path_reading::readings(target.path).into_iter().filter(|reading| *reading != target.path);
        made.known.extend(others.flat_map(|reading| base.urls(Target { path: &reading, ..target })));
        let suiting =
            self.rules.iter().flat_map(|rule| self.captures(rule, request, target).into_iter().map(move |captures| (rule, captures)));
        for (rule, captures) in suiting {
            let captures: Arc<[String]> = captures.into();
            for (template, operation) in rule.templates(request) {
                if waits(template) {
                    waiting.push(WaitingTemplate {
                        template: template.clone(),
                        captures: Arc::clone(&captures),
                        operation: operation.cloned(),
                    });
                    continue;
                }
                if matches!(template, PurgeTemplate::Identity) {
                    made.known.extend(self.identities(request));
                }
                let captures: Vec<&str> = captures.iter().map(String::as_str).collect();
                let values = Values { request: Some(request), operation, captures: &captures, ..Values::default() };
                made.known.extend(base.targets(template, values));
            }
        }
        if !waiting.is_empty() {
            let refresh = self.refreshes(request, target);
            made.by_bodies = Some(Box::new(Waiting::new(waiting, request.clone(), base, refresh)));
        }
        made
    }

    fn never_arrived(&self, error: &FetchError) -> bool {
        error.downcast_ref::<UpstreamError>().is_some_and(UpstreamError::never_connected)
    }

    fn invalidates_since(&self, request: &Parts, target: Target<'_>) -> Vec<InvalidationTarget> {
        self.successor().map(|rules| rules.invalidates(request, target).known).unwrap_or_default()
    }

    /// Under those of before and, after a reload, those in force: both have stored what the write makes old.
    fn readings(&self, target: Target<'_>) -> Vec<Arc<RouteRules>> {
        let all = [self.routes(), self.successor().and_then(|rules| rules.routes())].into_iter().flatten();
        let services = |routes: Arc<RouteTable>| -> Vec<Arc<RouteRules>> {
            routes.all(&http::Method::GET, target).into_iter().map(|service| Arc::clone(service.route())).collect()
        };
        all.flat_map(services).collect()
    }

    fn refetch(&self, request: &Parts, target: Target<'_>, old: &[InvalidationTarget]) -> Vec<Refetch> {
        if let Some(rules) = self.successor() {
            return rules.refetch(request, target, old);
        }
        let routes = self.routes().filter(|_| self.refreshes(request, target));
        routes.map(|routes| refetch(&routes, request, old)).unwrap_or_default()
    }
}

pub(super) fn named(template: &PurgeTemplate, values: Values<'_>) -> Option<InvalidationTarget> {
    let fill = |template| values.fill(template).ok().flatten();
    match template {
        PurgeTemplate::Tag(tag) => values.fill_tag(tag).map(InvalidationTarget::Tag),
        PurgeTemplate::Route(name) => fill(name).map(InvalidationTarget::Route),
        PurgeTemplate::Class(name) => fill(name).map(InvalidationTarget::Class),
        PurgeTemplate::Namespace(name) => fill(name).map(InvalidationTarget::Namespace),
        PurgeTemplate::All => Some(InvalidationTarget::All),
        PurgeTemplate::Url(_) | PurgeTemplate::Prefix(_) | PurgeTemplate::Identity => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::purge::Known;
    use http::Request;
    use larder_semantics::content::{ContentKind, ContentRequest, ContentRules};
    use larder_tower::JsonFields;

    use super::super::event;
    use super::*;
    use crate::active::ActiveConfig;
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
        [[on_write]]
        methods = ["POST"]
        path = "/orgs/{org}/issues"
        purge = ["tag:of:{request.project}", "url:/orgs/{org}/issues/{response.id}?b=1&a=2", "prefix:/teams/{request.team}", "tag:{response.at}"]
        [[routes]]
        path = "/rpc"
        read = true
        key = { body = "json-rpc" }
        ttl = "1m"
        [[on_write]]
        path = "/rpc"
        operation = "*.delete"
        purge = ["tag:of:{variables.id}", "tag:issues"]
        [[on_event]]
        type = "project.moved"
        purge = ["tag:project:{id}", "prefix:/orgs/{org}/projects", "url:http://A.example/{id}?b=1&a=2"]
    "#;

    fn parsed() -> Config {
        config::parse("test.toml", CONFIG.as_bytes(), &Default::default()).unwrap_or_else(|report| panic!("{}", report.render(false))).0
    }

    fn active() -> ActiveConfig {
        ActiveConfig::alone(parsed())
    }

    fn made(request: Request<()>) -> Invalidates {
        let active = active();
        let authority = request.uri().authority().expect("absolute").clone();
        let rules = Arc::clone(active.route(&request, authority.as_str()).expect("the fallback").route());
        let (parts, ()) = request.into_parts();
        let target = Target { scheme: "http", authority: authority.as_str(), path: parts.uri.path(), query: parts.uri.query() };
        rules.writes().invalidates(&parts, target)
    }

    fn texts(targets: &[InvalidationTarget]) -> Vec<String> {
        targets.iter().map(|target| serde_json::to_string(target).expect("plain data")).collect()
    }

    fn old(request: Request<()>) -> Vec<String> {
        let made = made(request);
        assert!(made.by_bodies.is_none());
        texts(&made.known)
    }

    fn request(method: &str, url: &str) -> Request<()> {
        Request::builder().method(method).uri(url).body(()).expect("a request")
    }

    #[tokio::test]
    async fn a_write_names_its_targets_from_its_path_query_and_fields() {
        let mut write = request("PUT", "http://a.example:81/issues/7?project=p");
        write.headers_mut().insert("x-team", "blue".parse().expect("a value"));
        let expected =
            [r#"{"tag":"issue:7"}"#, r#"{"route":"me"}"#, r#"{"prefix":"http://a.example:81/projects/p/board"}"#, r#"{"tag":"team:blue"}"#];
        assert_eq!(old(write), expected);
    }

    #[tokio::test]
    async fn each_operation_invalidates_what_is_named_for_it_with_its_own_variables() {
        let rpc = ContentRules::new(ContentKind::JsonRpc);
        let fields = http::HeaderMap::from_iter([(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"))]);
        let old = |content: &str| {
            let unkeyed = rpc.key(&ContentRequest { path: "/rpc", fields: &fields, content: content.as_bytes() }).expect_err("no read");
            let mut write = request("POST", "http://a.example/rpc");
            write.extensions_mut().insert(Operations(unkeyed.operations.into()));
            old(write)
        };
        let call = |method: &str, id: u32| format!(r#"{{"id":{id},"method":"issue.{method}","params":{{"id":{id}}}}}"#);
        let tag = |name: &str| format!(r#"{{"tag":"{name}"}}"#);
        assert_eq!(
            old(&format!("[{},{},{}]", call("update", 6), call("delete", 7), call("delete", 8))),
            [tag("of:7"), tag("of:8"), tag("issues")]
        );
        assert_eq!(old(&call("update", 7)), [] as [String; 0]);
        assert_eq!(old("{"), [tag("issues")], "it may delete one, and nobody knows which");
    }

    #[tokio::test]
    async fn another_spelling_of_its_url_is_the_same_write() {
        let expected = [r#"{"url":"http://a.example/issues/7"}"#, r#"{"tag":"issue:7"}"#, r#"{"route":"me"}"#];
        assert_eq!(old(request("DELETE", "http://a.example/%69ssues/%37")), expected);
        let mut logout = request("POST", "http://A.example.:80/logout");
        logout.headers_mut().insert("authorization", "a".parse().expect("a value"));
        assert_eq!(old(logout).len(), 1);
    }

    #[tokio::test]
    async fn every_reading_of_its_path_is_invalidated() {
        let me = r#"{"route":"me"}"#;
        for (path, reading) in [
            ("/x/../issues/7", Some("/issues/7")),
            ("//issues//7", Some("/issues/7")),
            ("/x/..%2fissues/7", Some("/issues/7")),
            ("/issues/%37", Some("/issues/7")),
            ("/ISSUES/7/", None),
            ("/issues/7;v=1/", None),
        ] {
            let old = old(request("DELETE", &format!("http://a.example{path}")));
            assert!(old.contains(&r#"{"tag":"issue:7"}"#.to_owned()) && old.contains(&me.to_owned()), "{path}: {old:?}");
            let url = reading.map(|reading| format!(r#"{{"url":"http://a.example{reading}"}}"#));
            assert!(url.is_none_or(|url| old.contains(&url)), "{path}: {old:?}");
        }
    }

    #[tokio::test]
    async fn a_template_that_cannot_be_filled_in_is_left_out() {
        assert_eq!(old(request("DELETE", "http://a.example/issues/7?project=")), [r#"{"tag":"issue:7"}"#, r#"{"route":"me"}"#]);
    }

    #[tokio::test]
    async fn other_methods_paths_and_hosts_are_no_such_write() {
        for (method, url) in
            [("POST", "http://a.example/issues/7"), ("PUT", "http://a.example/issues"), ("POST", "http://b.example/logout")]
        {
            assert!(old(request(method, url)).is_empty(), "{method} {url}");
        }
    }

    #[tokio::test]
    async fn an_identity_is_the_clients_own() {
        let with = |value: &'static str| {
            let mut write = request("POST", "http://a.example/logout");
            write.headers_mut().insert("authorization", value.parse().expect("a value"));
            old(write)
        };
        assert_eq!(with("Bearer a").len(), 1);
        assert_ne!(with("Bearer a"), with("Bearer b"));
        assert!(old(request("POST", "http://a.example/logout")).is_empty());
    }

    #[tokio::test]
    async fn targets_in_bodies_are_invalidated_once_the_bodies_are_read() {
        let made = made(request("POST", "http://a.example/orgs/o/issues"));
        assert_eq!(made.known, []);
        let from_bodies = made.by_bodies.expect("targets in bodies");
        assert_eq!(
            (from_bodies.in_request(), from_bodies.in_response()),
            (&["project", "team"].map(str::to_owned)[..], &["id", "at"].map(str::to_owned)[..])
        );
        let members =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect::<JsonFields>();
        let request = members(&[("project", "p q"), ("team", "red/ä")]);
        let early = [r#"{"tag":"of:p q"}"#, r#"{"prefix":"http://a.example/teams/red%2F%C3%A4"}"#];
        assert_eq!(texts(&from_bodies.targets(&request, &JsonFields::default())), early);
        let all = from_bodies.targets(&JsonFields::default(), &members(&[("id", "7")]));
        assert_eq!(texts(&all), [r#"{"url":"http://a.example/orgs/o/issues/7?a=2&b=1"}"#], "as the keys of its route have it");
    }

    #[tokio::test]
    async fn values_of_a_write_are_text_and_no_pattern() {
        let mut write = request("PUT", "http://a.example/issues/*?project=a/..%2F*%3f");
        write.headers_mut().insert("x-team", "x:*".parse().expect("a value"));
        let expected = [
            r#"{"tag":"issue:\\*"}"#,
            r#"{"route":"me"}"#,
            r#"{"prefix":"http://a.example/projects/a%2F..%2F*%3f/board"}"#,
            r#"{"tag":"team:x:\\*"}"#,
        ];
        assert_eq!(old(write), expected);
        let from_bodies = made(request("POST", "http://a.example/orgs/o/issues")).by_bodies.expect("targets in bodies");
        let members = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into_iter().collect::<JsonFields>();
        let old = from_bodies.targets(&members("project", "*"), &members("at", "issue:*"));
        assert_eq!(texts(&old), [r#"{"tag":"of:\\*"}"#, r#"{"tag":"issue:\\*"}"#]);
    }

    #[tokio::test]
    async fn tags_that_nothing_is_stored_under_are_left_out() {
        for id in ["7".repeat(257), ":".repeat(9)] {
            assert_eq!(old(request("PUT", &format!("http://a.example/issues/{id}"))), [r#"{"route":"me"}"#]);
        }
    }

    #[tokio::test]
    async fn a_value_in_a_query_stays_the_value_of_one_parameter() {
        let text = r#"
            [upstreams.api]
            url = "http://127.0.0.1:3000"
            [[on_write]]
            path = "/a/{id}"
            purge = ["url:/list?id={id}&at={query.at}&by={header.by}&to={request.to}"]
        "#;
        let (config, _) =
            config::parse("test.toml", text.as_bytes(), &Default::default()).unwrap_or_else(|report| panic!("{}", report.render(false)));
        let active = ActiveConfig::alone(config);
        let request = Request::put("http://a.example/a/1&x=%26?at=2+%26").header("by", "3&y=%#").body(()).expect("a request");
        let rules = Arc::clone(active.route(&request, "a.example").expect("a route").route());
        let (parts, ()) = request.into_parts();
        let target = Target { scheme: "http", authority: "a.example", path: parts.uri.path(), query: parts.uri.query() };
        let made = rules.writes().invalidates(&parts, target);
        let members: JsonFields = [("to".to_owned(), "4=&?".to_owned())].into_iter().collect();
        let old = made.by_bodies.expect("targets in bodies").targets(&members, &JsonFields::default());
        let url = r#"{"url":"http://a.example/list?at=2+%26&by=3%26y%3D%25%23&id=1%26x%3D%26&to=4%3D%26%3F"}"#;
        assert_eq!(texts(&old), [url]);
    }

    #[tokio::test]
    async fn an_event_s_star_is_a_star() {
        let active = active();
        let found = event(&active.config.on_event[0], |url| Known(&active).url(url), |_| Some("*".to_owned())).expect("complete");
        assert_eq!(found[0], InvalidationTarget::Tag(r"project:\*".into()));
        let long = event(&active.config.on_event[0], |url| Known(&active).url(url), |_| Some("x".repeat(257)));
        assert_eq!(long, Err("has a field that is longer than what stands in a tag: 256 bytes, 8 colons.".to_owned()));
    }

    #[tokio::test]
    async fn an_event_needs_every_field_that_is_named() {
        let active = active();
        let rule = &active.config.on_event[0];
        let value = |field: &str| (field == "id" || field == "org").then(|| format!("the-{field}"));
        let found = event(rule, |url| Known(&active).url(url), value).expect("complete");
        let url = InvalidationTarget::Url("http://a.example/the-id?a=2&b=1".into());
        assert_eq!(
            found,
            [InvalidationTarget::Tag("project:the-id".into()), InvalidationTarget::Prefix("/orgs/the-org/projects".into()), url]
        );
        let missing = event(rule, |url| Known(&active).url(url), |field| (field == "id").then(String::new));
        assert_eq!(missing, Err("needs the field `org`, a string or a number.".to_owned()));
    }

    #[tokio::test]
    async fn an_event_s_field_is_one_segment_of_a_url_and_text_in_a_tag() {
        let active = active();
        let found = event(&active.config.on_event[0], |url| Known(&active).url(url), |_| Some("a b/c?d".to_owned())).expect("complete");
        let url = InvalidationTarget::Url("http://a.example/a%20b%2Fc%3Fd?a=2&b=1".into());
        let prefix = InvalidationTarget::Prefix("/orgs/a%20b%2Fc%3Fd/projects".into());
        assert_eq!(found, [InvalidationTarget::Tag("project:a b/c?d".into()), prefix, url]);
    }
}
