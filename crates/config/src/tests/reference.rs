//! The shipped `config.toml` is the reference of all keys: it runs, it says the defaults, and it leaves no key out.

use std::path::Path;

use crate::schema::{TABLES, known_keys};
use crate::{Admin, Alerts, Config, Log, MemoryStore, Overrides, Purge, ResponseTags, RouteSettings, Server, Upstream, load, parse};

fn text() -> String {
    std::fs::read_to_string(path()).unwrap()
}

fn path() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config.toml"))
}

/// The file up to its first class: everything in it is a default.
fn defaults() -> Config {
    let text = text();
    let (defaults, _) = text.split_once("# Named sets").unwrap();
    parse("config.toml", defaults.as_bytes(), &Overrides::default()).unwrap().0
}

#[test]
fn it_is_right_and_nothing_in_it_is_odd() {
    let (config, warnings) = load(path(), &Overrides::default()).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    assert_eq!((config.routes.len(), config.upstreams.len()), (6, 1));
}

#[test]
fn its_values_are_the_defaults() {
    let config = defaults();
    assert_eq!(config.server, Server::default());
    assert_eq!(config.admin, Admin::default());
    assert_eq!(config.purge, Purge::default());
    assert_eq!(config.alerts, Alerts::default());
    assert_eq!(config.tags, ResponseTags::default());
    assert_eq!(config.memory, MemoryStore::default());
    assert_eq!(config.log, Log::default());
    assert_eq!(config.upstreams, [Upstream::new("api", crate::sections::upstreams::parse_url("http://127.0.0.1:3000").unwrap())]);
    assert_eq!(format!("{:?}", config.fallback.unwrap().settings), format!("{:?}", RouteSettings::default()));
}

#[test]
fn its_identity_is_the_default_one() {
    let text = text().replace("scope = \"public\"", "scope = \"identity\"");
    let (said, _) = parse("config.toml", text.as_bytes(), &Overrides::default()).unwrap();
    let unsaid = super::config("[cache]\nscope = \"identity\"");
    assert_eq!(said.fallback.unwrap().settings.key.identity, unsaid.fallback.unwrap().settings.key.identity);
}

#[test]
fn it_leaves_no_key_out() {
    let text = text();
    for (table, file) in TABLES {
        for key in known_keys(file) {
            let said = text.lines().any(|line| {
                line.trim_start_matches("# ").starts_with(&format!("{key} = "))
                    || line.contains(&format!(" {key} = "))
                    || line.contains(&format!(".{key}]]"))
            });
            assert!(said, "{key} of {table}");
        }
    }
}

#[test]
fn every_section_is_in_it() {
    let text = text();
    for section in [
        "[server]",
        "[admin]",
        "[purge]",
        "[alerts]",
        "[tags]",
        "[log]",
        "[store.memory]",
        "[upstreams.",
        "[cache]",
        "[classes.",
        "[[routes]]",
        "[[on_write]]",
        "[[on_event]]",
    ] {
        assert!(text.lines().any(|line| line.starts_with(section)), "{section}");
    }
}
