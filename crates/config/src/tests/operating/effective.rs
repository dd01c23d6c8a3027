//! What is in force, and where it comes from.

use super::super::{UPSTREAM, config};
use crate::{Config, Effective, Overrides, Setting, from_flags, parse};

fn find(effective: &Effective, section: &str, key: &str) -> Setting {
    let mut named = effective.sections.iter().filter(|own| own.name == section);
    let found = named.find_map(|section| section.values.iter().find(|value| value.key == key));
    found.unwrap_or_else(|| panic!("{section} {key} in {effective:#?}")).clone()
}

fn shown(config: &Config, section: &str, key: &str) -> (String, String, Option<usize>) {
    let found = find(&config.effective(), section, key);
    (found.value, found.from, found.line)
}

fn from_file(value: &str, line: usize) -> (String, String, Option<usize>) {
    (value.to_owned(), "file".to_owned(), Some(line))
}

fn default(value: &str) -> (String, String, Option<usize>) {
    (value.to_owned(), "default".to_owned(), None)
}

#[test]
fn a_value_of_the_file_has_its_line_and_any_other_is_the_default() {
    let said = config("[server]\nrequest_id = true\n\n[cache]\nttl = \"1m\"\nquery = { drop = [\"page\"] }");
    assert_eq!(shown(&said, "[server]", "request_id"), from_file("true", 2));
    assert_eq!(shown(&said, "[server]", "listen"), default("\"127.0.0.1:8080\""));
    assert_eq!(shown(&said, "[cache]", "ttl"), from_file("\"1m\"", 5));
    assert_eq!(shown(&said, "[cache]", "query.drop"), from_file("[\"page\"]", 6));
    assert_eq!(shown(&said, "[cache]", "query.sort"), default("true"), "each key of the table is inherited by itself");
    assert_eq!(shown(&said, "[upstreams.api]", "url"), from_file("\"http://127.0.0.1:3000\"", 8));
    assert_eq!(shown(&said, "[upstreams.api]", "connect_timeout"), default("\"1s\""));
}

#[test]
fn a_value_that_turns_a_table_off_leaves_nothing_of_it() {
    let said = config("[cache]\nbypass = false\nttl = { default = \"5m\" }").effective();
    let cache = said.sections.iter().find(|section| section.name == "[cache]").expect("the section");
    let keys: Vec<&str> =
        cache.values.iter().map(|value| value.key.as_str()).filter(|key| key.starts_with("bypass") || key.starts_with("ttl")).collect();
    assert_eq!(keys, ["bypass", "ttl.default", "ttl_jitter", "ttl_mode"]);
}

#[test]
fn a_route_says_what_it_has_from_its_class_and_from_cache() {
    let said = config(
        "[cache]\nttl = { \"404\" = \"1s\" }\nstale_if_error = \"1h\"\nscope = \"identity\"\n[classes.hot]\nttl = \"1m\"\nscope = \"public\"\n[[routes]]\npath = \"/a\"\nclass = \"hot\"\nscope = \"identity\"",
    )
    .effective();
    let inherited = |key: &str| find(&said, "[[routes]]", key).inherited;
    assert_eq!(inherited("scope"), None);
    assert_eq!((find(&said, "[[routes]]", "ttl").value, inherited("ttl").as_deref()), ("\"1m\"".to_owned(), Some("[classes.hot]")));
    assert_eq!(inherited("stale_if_error").as_deref(), Some("[cache]"));
    let route = said.sections.iter().find(|section| section.name == "[[routes]]").expect("the route");
    assert_eq!(route.values.iter().filter(|value| value.key.starts_with("ttl") || value.key == "scope").count(), 2, "{route:#?}");
}

#[test]
fn what_a_route_replaces_as_a_whole_is_not_told_as_inherited() {
    let said = config(
        "[cache]\nrpc = { a = \"10s\" }\ncdn_ttl = { ttl = \"1h\", field = \"Surrogate-Control\" }\nrequest = { set = { x-a = \"1\" }, remove = [\"x-c\"] }\nresponse.add = { x-r = \"1\" }\n[[routes]]\npath = \"/a\"\nrpc = { b = \"1m\" }\ncdn_ttl = { ttl = \"2h\" }\nrequest.set = { x-b = \"1\" }\nresponse.add = { x-q = \"1\" }",
    )
    .effective();
    let route = said.sections.iter().find(|section| section.name == "[[routes]]").expect("the route");
    let inherited = |value: &&Setting| value.inherited.is_some();
    let keys: Vec<&str> = route.values.iter().filter(inherited).map(|value| value.key.as_str()).collect();
    assert_eq!(keys, ["request.remove"]);
}

#[test]
fn a_section_of_tables_alone_is_one_section() {
    let said =
        config("[cache]\nttl = { default = \"5m\", \"404\" = \"10s\" }\n[cache.key]\nhost = false\n[[routes]]\npath = \"/a\"").effective();
    let cache = |key: &str| find(&said, "[cache]", key);
    assert_eq!((cache("ttl.default").value, cache("key.host").value), ("\"5m\"".to_owned(), "false".to_owned()));
    assert!(said.sections.iter().all(|section| !section.name.starts_with("[cache.")), "{said:#?}");
    assert_eq!(find(&said, "[[routes]]", "key.host").inherited.as_deref(), Some("[cache]"));
}

#[test]
fn environment_and_flags_win_and_are_named() {
    let overrides = Overrides::from_variables(|name| match name {
        "LARDER_LISTEN" => Some("127.0.0.1:1, 127.0.0.1:2".to_owned()),
        "REDIS_URL" => Some("redis://me:hush@127.0.0.1:7".to_owned()),
        _ => None,
    });
    let overrides = overrides.with_flags(None, Some("127.0.0.1:3"));
    let text = format!("[server]\nlisten = \"127.0.0.1:9\"\n{UPSTREAM}");
    let (said, _) = parse("config.toml", text.as_bytes(), &overrides).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(shown(&said, "[server]", "listen").0, "[\"127.0.0.1:1\", \"127.0.0.1:2\"]");
    assert_eq!(shown(&said, "[server]", "listen").1, "LARDER_LISTEN");
    assert_eq!(shown(&said, "[admin]", "listen").1, "--admin-listen");
    let (servers, from, _) = shown(&said, "[store.redis]", "url");
    assert!(from == "REDIS_URL" && servers.contains("127.0.0.1:7") && !servers.contains("hush"), "{servers}");
    let (said, _) = from_flags("http://127.0.0.1:3000", Some("5m"), &Overrides::default()).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(shown(&said, "[cache]", "ttl").1, "--ttl");
    assert_eq!(shown(&said, "[upstreams.default]", "url").1, "--upstream");
    assert_eq!(said.effective().file, None);
    let in_kubernetes = Overrides::from_variables(|name| (name == "KUBERNETES_SERVICE_HOST").then(|| "10.0.0.1".to_owned()));
    let (said, _) = parse("config.toml", UPSTREAM.as_bytes(), &in_kubernetes).unwrap_or_else(|report| panic!("{report}"));
    let delay = ("\"5s\"".to_owned(), "KUBERNETES_SERVICE_HOST".to_owned(), None);
    assert_eq!(shown(&said, "[server]", "drain_delay"), delay);
}

#[test]
fn no_secret_of_the_file_is_shown() {
    let text = "[store.redis]\nurl = \"redis://me:hush@127.0.0.1:7\"\n[upstreams.b]\nurl = \"http://127.0.0.1:3001\"\n[[routes]]\npath = \"/a\"\nupstream = \"b\"\nrequest = { set = { authorization = \"Bearer hush\" }, remove = [\"x\"] }";
    let said = config(text).effective();
    assert!(!format!("{said:?}").contains("hush"), "{said:#?}");
    assert_eq!(find(&said, "[[routes]]", "request.remove").value, "[\"x\"]");
    assert_eq!(find(&said, "[store.redis]", "url").line, Some(2));
    let warm = "[[warm]]\nname = \"a\"\nurls = [\"http://a.example/\"]\nvariants = [{ authorization = \"Bearer hush\" }, { accept-encoding = \"gzip\" }]";
    assert_eq!(
        find(&config(warm).effective(), "[[warm]]", "variants").value,
        "[{ authorization = \"***\" }, { accept-encoding = \"***\" }]"
    );
    let several = config("[store.redis]\nurl = [\"redis://127.0.0.1:7\", \"redis://127.0.0.1:8\"]").effective();
    assert_eq!(find(&several, "[store.redis]", "url").value, "[\"redis://127.0.0.1:7\", \"redis://127.0.0.1:8\"]");
    let with_user = config("[store.redis]\nurl = [\"redis://a:hush@127.0.0.1:7\", \"redis://a:hush@127.0.0.1:8\"]").effective();
    assert_eq!(find(&with_user, "[store.redis]", "url").value, "[\"redis://***@127.0.0.1:7\", \"redis://***@127.0.0.1:8\"]");
}

#[test]
fn the_shipped_file_is_shown_whole() {
    let text = crate::schema::REFERENCE;
    let (said, _) = parse("config.toml", text.as_bytes(), &Overrides::default()).unwrap_or_else(|report| panic!("{report}"));
    let effective = said.effective();
    let mut all = effective.sections.iter().flat_map(|section| &section.values);
    assert!(all.all(|value| value.from == "file" && value.line.is_some()));
    let names: Vec<&str> = effective.sections.iter().map(|section| section.name.as_str()).collect();
    for name in ["[server]", "[store.memory]", "[upstreams.api]", "[classes.session]", "[[routes]]", "[[on_write]]", "[[on_event]]"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
}
