//! Rules for `tiers`.

use crate::FarTier;
use crate::tests::{assert_complaint, complaints, config};

const STORES: &str = "[store.redis]\nurl = \"redis://127.0.0.1\"\n";

#[test]
fn a_route_uses_the_stores_that_it_names_its_class_or_the_cache() {
    let text = "[cache]\ntiers = [\"memory\", \"redis\"]\n[classes.small]\ntiers = [\"memory\"]\n\
                [[routes]]\npath = \"/a\"\n[[routes]]\npath = \"/b\"\nclass = \"small\"\n\
                [[routes]]\npath = \"/c\"\nclass = \"small\"\ntiers = [\"memory\", \"redis\"]\n";
    let config = config(&format!("{STORES}{text}"));
    let tiers: Vec<_> = config.routes.iter().map(|route| route.settings.tiers.clone()).collect();
    assert_eq!(tiers, [Some(vec![FarTier::Redis]), Some(vec![]), Some(vec![FarTier::Redis])]);
    assert_eq!(crate::tests::config(STORES).fallback.unwrap().settings.tiers, None, "all that there are");
}

#[test]
fn stores_are_named_in_their_order_and_begin_with_the_memory() {
    const HINT: &str = r#"(hint: the nearest first: ["memory"], ["memory", "disk"], ["memory", "redis"] or ["memory", "disk", "redis"])"#;
    for list in [r#"[]"#, r#"["redis"]"#, r#"["memory", "redis", "disk"]"#, r#"["memory", "redis", "redis"]"#, r#"["memory", "memory"]"#] {
        let complaint = format!("2:9: error: `tiers` begins with \"memory\", and names each store once in its order {HINT}");
        assert_complaint(&format!("[cache]\ntiers = {list}\n"), &complaint);
    }
    let complaints = complaints("[cache]\ntiers = [\"memory\", \"tape\"]\n");
    assert!(complaints[0].starts_with("config.toml:2:20: error: there is no store `tape`"), "{complaints:?}");
}

#[test]
fn a_store_that_there_is_not_is_a_warning() {
    let complaint =
        "2:20: warning: there is no [store.disk] (hint: the routes go on without it; leave the name out, or configure the store)";
    assert_complaint(&format!("[cache]\ntiers = [\"memory\", \"disk\", \"redis\"]\n{STORES}"), complaint);
}
