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
