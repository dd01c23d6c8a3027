//! Fields that nginx changes on their way.

use super::{cached, imported, notes, section};

/// nginx changes what it sends; Larder what it decides by.
#[test]
fn fields_of_answers_that_decide_what_is_stored_are_left_to_the_backend_where_answers_are_stored() {
    let changes = "proxy_hide_header Set-Cookie; proxy_hide_header Vary; proxy_hide_header X-Powered-By;\n\
                   add_header Cache-Control \"public, max-age=60\"; add_header Vary Accept-Encoding; add_header Expires 0;\n\
                   add_header Pragma no-cache; add_header CDN-Cache-Control max-age=60; add_header X-Frame-Options DENY;";
    let stored = cached(&format!("proxy_cache_valid 200 1m; {changes}"));
    let route = section(&stored, "[[routes]]");
    assert!(route.contains(&"response = { remove = [\"x-powered-by\"], add = { \"x-frame-options\" = \"DENY\" } }"), "{route:?}");
    assert_eq!(notes(&stored).iter().filter(|note| note.contains("Larder decides by it what is stored")).count(), 7, "{:?}", stored.notes);
    let passed = imported("server { location / { proxy_pass http://127.0.0.1:1; add_header Cache-Control no-store; } }");
    assert!(section(&passed, "[[routes]]").contains(&"response = { add = { \"cache-control\" = \"no-store\" } }"), "{}", passed.config);
    assert!(passed.notes.is_empty(), "{:?}", passed.notes);
}

#[test]
fn lines_of_one_name_are_one() {
    let imported = cached(
        "add_header Link </a>; add_header Link </b>; proxy_set_header X-A 1; proxy_set_header x-a 2; proxy_set_header Accept-Language de;",
    );
    let route = section(&imported, "[[routes]]");
    assert!(route.contains(&"response = { add = { \"link\" = \"</a>, </b>\" } }"), "{route:?}");
    assert!(route.contains(&"request = { set = { \"x-a\" = \"1, 2\", \"accept-language\" = \"de\" } }"), "{route:?}");
    let cookies =
        super::imported("server { location / { proxy_pass http://127.0.0.1:1; add_header Set-Cookie a=1; add_header Set-Cookie b=2; } }");
    assert!(section(&cookies, "[[routes]]").contains(&"response = { add = { \"set-cookie\" = \"a=1\" } }"), "{}", cookies.config);
    assert!(notes(&cookies).iter().any(|note| note.contains("Set-Cookie")), "{:?}", cookies.notes);
}

/// `imported` asserts that what comes out has no mistakes.
#[test]
fn fields_that_larder_does_not_change_are_told() {
    for (change, name) in [
        ("proxy_set_header X_FOO a", "X_FOO"),
        ("proxy_set_header TE trailers", "TE"),
        ("proxy_set_header Proxy-Connection \"\"", "Proxy-Connection"),
        ("proxy_set_header Via \"\"", "Via"),
        ("proxy_set_header \"X A\" b", "X A"),
        ("proxy_set_header X-A \" b\"", "X-A"),
        ("proxy_set_header X-A b\u{e4}c", "X-A"),
        ("proxy_set_header X-A $http_", "X-A"),
        ("add_header Date a", "Date"),
        ("add_header ETag a", "ETag"),
        ("add_header X-Cache a", "X-Cache"),
        ("add_header Content-Encoding gzip", "Content-Encoding"),
        ("add_header X-A \"b\nc\"", "X-A"),
        ("proxy_hide_header Age", "Age"),
        ("proxy_hide_header \"\"", "proxy_hide_header"),
    ] {
        let imported = cached(&format!("{change};"));
        let route = section(&imported, "[[routes]]");
        assert!(!route.iter().any(|line| line.contains("add =") || line.contains("set =")), "{change}: {route:?}");
        assert!(notes(&imported).iter().any(|note| note.contains(name)), "{change}: {:?}", imported.notes);
    }
    let fine = cached("proxy_hide_header ETag; proxy_set_header X_FOO \"\"; add_header X-B \"\"; proxy_set_header Proxy \"\";");
    assert!(fine.notes.is_empty(), "{:?}", fine.notes);
    assert!(!fine.config.contains("x-b"), "nginx adds no empty line: {}", fine.config);
}

/// The backend believes what nginx says there.
#[test]
fn a_field_whose_value_is_not_known_here_does_not_come_from_the_client() {
    let imported = cached("proxy_set_header X-Remote-User $remote_user; proxy_set_header X-Client-Cert \"${ssl_client_s_dn}\";");
    let route = section(&imported, "[[routes]]");
    assert!(route.contains(&"request = { remove = [\"x-remote-user\", \"x-client-cert\"] }"), "{route:?}");
    assert!(notes(&imported).iter().all(|note| note.contains("the client's is removed")), "{:?}", imported.notes);
}

#[test]
fn lifetimes_of_answers_that_are_never_stored_are_left_out() {
    let imported = cached("proxy_cache_valid 200 206 1h; proxy_cache_valid 304 416 100 700 1m; proxy_cache_valid 404 1m;");
    assert!(section(&imported, "[[routes]]").contains(&"ttl = { \"200\" = \"1h\", \"404\" = \"1m\" }"), "{}", imported.config);
    for status in ["206", "304", "416", "100", "700"] {
        assert!(notes(&imported).iter().any(|note| note.contains(&format!("`{status}`"))), "{status}: {:?}", imported.notes);
    }
}

#[test]
fn an_answer_is_stored_no_sooner_than_by_nginx() {
    for (uses, hits) in [("50", "min_hits = 50"), ("100", "min_hits = 100"), ("2", "min_hits = 2")] {
        let imported = cached(&format!("proxy_cache_min_uses {uses};"));
        assert!(section(&imported, "[[routes]]").contains(&hits) && imported.notes.is_empty(), "{}", imported.config);
    }
    let more = cached("proxy_cache_min_uses 500;");
    assert!(section(&more, "[[routes]]").contains(&"min_hits = 100") && notes(&more)[0].contains("min_hits"), "{:?}", more.notes);
}
