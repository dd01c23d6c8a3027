//! Configurations of nginx, as people have them, and what comes of them.

mod fields;
mod shut;

use larder_config::{Overrides, parse};
use larder_import::{Imported, nginx, nginx_text};
use proptest::prelude::*;

/// Carries it over, and asserts that Larder takes what comes out.
fn imported(text: &str) -> Imported {
    let imported = nginx_text(text, "nginx.conf").unwrap_or_else(|error| panic!("{error}"));
    if let Err(report) = parse("config.toml", imported.config.as_bytes(), &Overrides::default()) {
        panic!("{}\n{}", imported.config, report.render(false));
    }
    imported
}

/// The lines of a section, by its head; of several, of the first.
fn section<'a>(imported: &'a Imported, head: &str) -> Vec<&'a str> {
    imported.config.lines().skip_while(|line| *line != head).skip(1).take_while(|line| !line.is_empty()).collect()
}

fn notes(imported: &Imported) -> Vec<String> {
    imported.notes.iter().map(ToString::to_string).collect()
}

const USUAL: &str = r#"
user www-data;
events { worker_connections 1024; }
http {
    sendfile on;
    proxy_cache_path /var/cache/nginx levels=1:2 keys_zone=api:10m max_size=10g inactive=60m use_temp_path=off;
    upstream backend {
        least_conn;
        server 10.0.0.1:3000 weight=2;
        server 10.0.0.2:3000 backup;
        keepalive 32;
    }
    server {
        listen 8080;
        server_name api.example.com;
        location / {
            proxy_pass http://backend;
            proxy_cache api;
            proxy_cache_key "$scheme$host$request_uri$cookie_locale";
            proxy_cache_valid 200 302 10m;
            proxy_cache_valid 404 1m;
            proxy_cache_use_stale error timeout updating http_500;
            proxy_cache_lock on;
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Api-Version 2;
            proxy_hide_header X-Powered-By;
            add_header X-Cache-Status $upstream_cache_status;
            proxy_read_timeout 30s;
        }
        location = /healthz { proxy_pass http://backend/status/health; }
        location /login/ { proxy_pass http://backend; proxy_cache off; }
    }
}
"#;

#[test]
fn a_usual_configuration_comes_out_as_one_would_write_it() {
    let imported = imported(USUAL);
    assert_eq!(section(&imported, "[server]"), ["listen = \"0.0.0.0:8080\""]);
    assert_eq!(section(&imported, "[store.disk]"), ["path = \"/var/lib/larder/cache\"", "capacity = \"10GiB\""]);
    assert_eq!(
        section(&imported, "[upstreams.\"backend\"]"),
        [
            "servers = [{ url = \"http://10.0.0.1:3000\", weight = 2 }, { url = \"http://10.0.0.2:3000\", backup = true }]",
            "balance = \"least-requests\"",
            "max_idle = 32",
            "host = \"preserve\"",
        ]
    );
    assert_eq!(
        section(&imported, "[[routes]]"),
        [
            "host = \"api.example.com\"",
            "path = \"/{*rest}\"",
            "upstream = \"backend\"",
            "ttl = { \"200\" = \"10m\", \"302\" = \"10m\", \"404\" = \"1m\" }",
            "stale_if_error = \"1h\"",
            "stale_while_revalidate = \"1h\"",
            "key = { cookies = [\"locale\"] }",
            "request = { set = { \"x-api-version\" = \"2\" } }",
            "response = { remove = [\"x-powered-by\"] }",
            "timeout = \"30s\"",
            "max_request_body = \"1MiB\"",
        ]
    );
    assert!(imported.config.contains("path = \"/login/{*rest}\"\nupstream = \"backend\"\ncache = false"), "{}", imported.config);
    assert!(imported.config.contains("rewrite = { strip_prefix = \"/healthz\", add_prefix = \"/status/health\" }"), "{}", imported.config);
    assert_eq!(
        notes(&imported),
        [
            "nginx.conf:13: requests that no route takes, other hosts included, are refused here (upstream = \"refused\"); a route without `host` is for \
             every host",
            "nginx.conf:31: the upstream `backend` has `host = \"preserve\"` already; `host = \"upstream\"` is left out",
            "nginx.conf:32: the upstream `backend` has `host = \"preserve\"` already; `host = \"upstream\"` is left out"
        ]
    );
}

#[test]
fn tls_listeners_and_their_redirect_are_carried_over() {
    let text = r#"
server { listen 80; listen [::]:80; return 301 https://$host$request_uri; }
server {
    listen 443 ssl http2 proxy_protocol;
    set_real_ip_from 10.0.0.0/8;
    real_ip_header proxy_protocol;
    ssl_certificate /etc/ssl/a.pem;
    ssl_certificate_key /etc/ssl/a.key;
    ssl_protocols TLSv1.3;
    location /api/ { proxy_pass http://127.0.0.1:3000/v2/; proxy_cache one; }
}
"#;
    // The files are not here, so the text alone is looked at.
    let imported = nginx_text(text, "nginx.conf").unwrap_or_else(|error| panic!("{error}"));
    let config = &imported.config;
    assert_eq!(config.matches("redirect = \"https\"").count(), 2, "{config}");
    for line in [
        "address = \"0.0.0.0:443\"\ntls = { certificates = [{ chain = \"/etc/ssl/a.pem\", key = \"/etc/ssl/a.key\" }], min_version = \"1.3\" }\n\
         proxy_protocol = { from = [\"10.0.0.0/8\"] }",
        "trusted_proxies = [\"10.0.0.0/8\"]",
        "rewrite = { strip_prefix = \"/api\", add_prefix = \"/v2\" }",
        "url = \"http://127.0.0.1:3000\"\nhost = \"upstream\"",
    ] {
        assert!(config.contains(line), "no {line} in {config}");
    }
}

#[test]
fn what_has_no_equivalent_is_told_with_its_line_and_nothing_is_stored_for_it() {
    let imported = imported(
        "server {\n  location = /index.php { fastcgi_pass unix:/run/php.sock; }\n  location / {\n    proxy_pass http://127.0.0.1:3000;\n    \
         proxy_cache one;\n    proxy_cache_bypass $cookie_session;\n    proxy_ignore_headers Cache-Control Set-Cookie;\n    sub_filter a b;\n  }\n  \
         location /static/ { root /var/www; }\n  location /old { return 410; }\n}\n",
    );
    let notes = notes(&imported);
    for (line, word) in
        [(2, "fastcgi_pass"), (6, "proxy_cache_bypass"), (7, "private"), (7, "Set-Cookie"), (8, "sub_filter"), (10, "root"), (11, "return")]
    {
        assert!(
            notes.iter().any(|note| note.starts_with(&format!("nginx.conf:{line}: ")) && note.contains(word)),
            "{line} {word}: {notes:#?}"
        );
    }
    assert_eq!(imported.config.matches("upstream = \"refused\"").count(), 6, "/index.php, /static/, /old and what goes on after it");
    assert!(imported.config.contains("ttl_mode = \"override\"") && !imported.config.contains("\nunsafe_ignore"), "{}", imported.config);
}

/// The lines of the route with this path.
fn route<'a>(imported: &'a Imported, path: &str) -> Vec<&'a str> {
    let path = format!("path = \"{path}\"");
    let sections = imported.config.split("\n\n").map(|section| section.lines().collect::<Vec<_>>());
    sections.into_iter().find(|section| section[0] == "[[routes]]" && section.contains(&path.as_str())).unwrap_or_default()
}

#[test]
fn settings_of_outer_blocks_hold_where_an_inner_one_has_none() {
    let imported = imported(
        "proxy_cache one;\nproxy_cache_valid any 5m;\nproxy_set_header X-A outer;\nserver {\n location /a/ { proxy_pass http://127.0.0.1:1; }\n \
         location /b/ { proxy_pass http://127.0.0.1:1; proxy_set_header X-B inner; proxy_cache_valid 1h; }\n}\n",
    );
    let config = &imported.config;
    assert!(
        config.contains("ttl = { default = \"5m\", \"4xx\" = \"5m\", \"5xx\" = \"5m\" }\nrequest = { set = { \"x-a\" = \"outer\" } }"),
        "{config}"
    );
    assert!(
        config.contains("ttl = { \"200\" = \"1h\", \"301\" = \"1h\", \"302\" = \"1h\" }\nrequest = { set = { \"x-b\" = \"inner\" } }"),
        "{config}"
    );
}

#[test]
fn every_host_of_a_server_has_its_routes_and_a_pattern_is_told() {
    let imported =
        imported("server { server_name a.example B.example *.c.example; location / { proxy_pass http://127.0.0.1:1; proxy_cache x; } }");
    assert!(imported.config.contains("host = \"a.example\"") && imported.config.contains("host = \"b.example\""), "{}", imported.config);
    assert_eq!(imported.config.matches("[[routes]]").count(), 3);
    assert!(notes(&imported)[0].contains("*.c.example"), "{:?}", imported.notes);
}

#[test]
fn a_key_without_host_or_scheme_is_one_for_all_of_them() {
    let imported =
        imported("server { location / { proxy_pass http://127.0.0.1:1; proxy_cache x; proxy_cache_key $request_uri$http_x_branch; } }");
    assert!(imported.config.contains("key = { headers = [\"x-branch\"], host = false, scheme = false }"), "{}", imported.config);
}

/// A cached location with these directives.
fn cached(directives: &str) -> Imported {
    imported(&format!("server {{ location / {{ proxy_pass http://127.0.0.1:1; proxy_cache x; {directives} }} }}"))
}

#[test]
fn a_key_that_cannot_be_carried_over_is_a_reason_to_store_nothing() {
    for variable in ["$remote_user", "${ssl_client_s_dn}", "$uid", "$http_cookie", "$request_body"] {
        let imported = cached(&format!("proxy_cache_key \"$scheme$host$uri{variable}\"; proxy_cache_valid 10m;"));
        let route = section(&imported, "[[routes]]");
        assert!(route.contains(&"cache = false") && !route.iter().any(|line| line.starts_with("ttl")), "{variable}: {route:?}");
        let name = variable.trim_matches(['$', '{', '}']);
        assert!(notes(&imported).iter().any(|note| note.contains(name) && note.contains("cache = false")), "{:?}", imported.notes);
    }
}

#[test]
fn a_key_with_credentials_is_one_for_each_identity() {
    let imported = cached("proxy_cache_key $scheme$host$request_uri$http_authorization;");
    let route = section(&imported, "[[routes]]");
    assert!(route.contains(&"scope = \"identity\"") && !route.contains(&"cache = false"), "{route:?}");
}

#[test]
fn a_condition_that_cannot_be_carried_over_is_a_reason_to_store_nothing() {
    for directive in
        ["proxy_no_cache $is_private", "proxy_cache_bypass 0 $arg_preview", "proxy_no_cache $cookie_a$cookie_b", "proxy_no_cache 1"]
    {
        let imported = cached(&format!("proxy_cache_valid 10m; {directive};"));
        assert!(section(&imported, "[[routes]]").contains(&"cache = false"), "{directive}: {}", imported.config);
        assert!(notes(&imported)[0].contains(directive), "{:?}", imported.notes);
    }
    assert!(
        section(&imported("server { location / { proxy_pass http://127.0.0.1:1; proxy_cache $zone; } }"), "[[routes]]")
            .contains(&"cache = false")
    );
}

#[test]
fn conditions_of_cookies_let_requests_with_cookies_pass() {
    for directive in ["proxy_no_cache $cookie_session", "proxy_cache_bypass $http_cookie"] {
        let imported = cached(&format!("{directive};"));
        let route = section(&imported, "[[routes]]");
        assert!(route.contains(&"cookies = \"pass\"") && !route.contains(&"cache = false"), "{directive}: {route:?}");
    }
    let by_itself = cached("proxy_no_cache $http_pragma $http_authorization; proxy_cache_bypass $http_cache_control 0;");
    assert!(!by_itself.config.contains("cookies = ") && !by_itself.config.contains("cache = false"), "{}", by_itself.config);
    assert!(by_itself.notes.is_empty(), "{:?}", by_itself.notes);
    // A cookie of the key is for requests that have it.
    cached("proxy_no_cache $cookie_session; proxy_cache_key $scheme$host$request_uri$cookie_locale;");
}

#[test]
fn gzip_of_answers_is_carried_over() {
    let imported = imported(
        "gzip on; gzip_min_length 1k; gzip_types application/json text/css;\nserver { location / { proxy_pass http://127.0.0.1:1; proxy_cache x; } }",
    );
    assert!(
        imported.config.contains("encodings = [\"zstd\", \"br\", \"gzip\"]\ncompress = { min = \"1KiB\", types = [\"text/html\", \"application/json\", \"text/css\"] }"),
        "{}",
        imported.config
    );
}

#[test]
fn files_that_are_included_are_read_in_their_order() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("conf.d")).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    write("nginx.conf", "http {\n  include conf.d/*.conf;\n}\n");
    write("conf.d/b.conf", "server { location /b/ { proxy_pass http://127.0.0.1:1; } }");
    write("conf.d/a.conf", "server { location /a/ { proxy_pass http://127.0.0.1:1; frobnicate on; } }");
    write("conf.d/a.conf.bak", "server { location /c/ { proxy_pass http://127.0.0.1:1; } }");
    let imported = nginx(&folder.path().join("nginx.conf")).unwrap_or_else(|error| panic!("{error}"));
    let places = ["/a/", "/b/", "/c/"].map(|path| imported.config.find(path));
    assert!(places[0] < places[1] && places[0].is_some() && places[2].is_none(), "{}", imported.config);
    assert!(notes(&imported)[0].contains("conf.d/a.conf:1: `frobnicate`"), "{:?}", imported.notes);
}

#[test]
fn files_that_include_each_other_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.conf");
    std::fs::write(&file, "include a.conf;").expect("a file");
    assert!(nginx(&file).unwrap_err().to_string().ends_with("a.conf:1: too many files within files"));
    assert!(nginx(&folder.path().join("gone.conf")).unwrap_err().line.is_none());
}

#[test]
fn a_text_that_is_none_is_told_with_its_line() {
    for (text, told) in [
        ("server {\n listen 80;\n", "nginx.conf:1: the block that begins here does not end"),
        ("a;\n}\n", "nginx.conf:2: a block ends here that has not begun"),
        ("listen 80", "nginx.conf:1: `listen` has no `;` at its end"),
        ("server { listen 80 }", "nginx.conf:1: `listen` has no `;` at its end"),
        ("a \"b\n", "nginx.conf:1: a quotation begins here and does not end"),
        ("{ }", "nginx.conf:1: a block begins here without a name"),
    ] {
        assert_eq!(nginx_text(text, "nginx.conf").unwrap_err().to_string(), told);
    }
}

/// A directive out of words that nginx knows and values that people get wrong.
fn directive() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "proxy_cache",
        "proxy_cache_valid",
        "proxy_cache_key",
        "proxy_pass",
        "proxy_set_header",
        "proxy_hide_header",
        "add_header",
        "listen",
        "server_name",
        "proxy_read_timeout",
        "proxy_connect_timeout",
        "client_max_body_size",
        "gzip",
        "gzip_types",
        "gzip_min_length",
        "proxy_cache_min_uses",
        "proxy_cache_use_stale",
        "proxy_ignore_headers",
        "proxy_no_cache",
        "proxy_cache_path",
        "return",
    ]);
    let value = prop::sample::select(vec![
        "on",
        "off",
        "200",
        "any",
        "10m",
        "1h30m",
        "x",
        "$host",
        "${host}",
        "$arg_a$cookie_b",
        "\"a b\"",
        "Host",
        "X-A",
        "http://127.0.0.1:1/a/",
        "http://b",
        "https://b/",
        "80",
        "[::]:81",
        "a.example",
        "*.b",
        "~x",
        "keys_zone=one:1m",
        "max_size=1g",
        "error",
        "updating",
        "64k",
        "'\\\"'",
    ]);
    (name, prop::collection::vec(value, 0..4)).prop_map(|(name, values)| format!("{name} {};", values.join(" ")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes in, what comes out is a configuration but for what a person has to decide, or a sentence about its line.
    #[test]
    fn no_text_brings_it_down(text in "\\PC{0,200}") {
        let _either = nginx_text(&text, "nginx.conf");
    }

    #[test]
    fn what_comes_out_of_any_directives_is_toml(outer in prop::collection::vec(directive(), 0..6), inner in prop::collection::vec(directive(), 0..8), path in "[/a-z~={}*@ ]{1,8}") {
        let text = format!("{}\nserver {{\nlocation {path} {{\n{}\n}}\n}}\n", outer.join("\n"), inner.join("\n"));
        if let Ok(imported) = nginx_text(&text, "nginx.conf") {
            let read = toml::de::DeTable::parse(&imported.config);
            prop_assert!(read.is_ok(), "{}\n{}\n{:?}", text, imported.config, read.err());
        }
    }
}
