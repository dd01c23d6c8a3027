//! What nginx keeps shut, or does not store, is neither opened nor stored by a broader route.

use larder_import::nginx_text;

use super::{cached, imported, notes, route, section};

/// A broader location is cached, or open: its route would take their requests.
#[test]
fn locations_that_are_not_carried_over_are_refused_where_a_broader_route_would_take_them() {
    let imported = imported(
        "server {\n location / { proxy_cache z; proxy_cache_valid 200 1h; proxy_pass http://127.0.0.1:3000; }\n location /internal/ { return 403; }\n \
         location /pay/ { proxy_pass http://$pay; }\n location = /app { fastcgi_pass unix:/run/php.sock; }\n \
         location /moved/ { return 301 https://b.example/; }\n}\nserver { server_name a.example; location /only/ { return 403; } }\n",
    );
    for (path, line) in [("/internal/{*rest}", 3), ("/pay/{*rest}", 4), ("/app", 5), ("/moved/{*rest}", 6)] {
        let route = route(&imported, path);
        assert!(route.contains(&"upstream = \"refused\"") && route.contains(&"cache = false"), "{path}: {}", imported.config);
        let told = format!("nginx.conf:{line}: requests for {path} of every host are refused here");
        assert!(notes(&imported).iter().any(|note| note.starts_with(&told)), "{told}: {:#?}", imported.notes);
    }
    assert!(route(&imported, "/only/{*rest}").contains(&"upstream = \"refused\""), "the routes of every host are its too");
    assert!(route(&imported, "/{*rest}").contains(&"ttl = { \"200\" = \"1h\" }"), "{}", imported.config);
    let alone = nginx_text("server { location /api/ { proxy_pass http://127.0.0.1:1; } location /files/ { root /srv; } }", "nginx.conf");
    assert_eq!(alone.expect("a configuration").config.matches("[[routes]]").count(), 1, "no route takes /files/");
}

/// A prefix of nginx ends anywhere in a segment.
#[test]
fn paths_that_go_on_without_a_slash_are_refused_with_their_prefix() {
    let locations: String =
        ["/a", "/admin", "/admin2", "/admin/x", "/b/admin"].map(|path| format!("location {path} {{ return 403; }}\n")).concat();
    let imported = imported(&format!(
        "server {{ {locations} location / {{ proxy_pass http://127.0.0.1:1; }} location /administration/ {{ proxy_pass http://127.0.0.1:1; }} }}"
    ));
    for path in ["/admin", "/admin/{*rest}", "/admin{more}", "/admin{more}/{*rest}", "/admin/x{more}", "/b/admin{more}"] {
        assert!(route(&imported, path).contains(&"upstream = \"refused\""), "{path}: {}", imported.config);
    }
    assert!(route(&imported, "/administration/{*rest}").contains(&"upstream = \"127.0.0.1-1\""), "{}", imported.config);
    let exact = nginx_text("server { location = /a { return 403; } location / { proxy_pass http://127.0.0.1:1; } }", "nginx.conf");
    assert!(!exact.expect("a configuration").config.contains("{more}"));
}

#[test]
fn nothing_is_opened_that_nginx_asks_for_credentials_or_addresses() {
    for check in ["auth_basic staff", "auth_request /auth", "allow 10.0.0.0/8; deny all", "internal", "limit_except GET { deny all; }"] {
        let check = if check.ends_with('}') { check.to_owned() } else { format!("{check};") };
        let of_location = imported(&format!(
            "server {{ location /admin/ {{ {check} proxy_pass http://127.0.0.1:1; proxy_cache x; }} location / {{ proxy_pass http://127.0.0.1:1; }} }}"
        ));
        assert!(route(&of_location, "/admin/{*rest}").contains(&"upstream = \"refused\""), "{}", of_location.config);
        assert!(route(&of_location, "/{*rest}").contains(&"upstream = \"127.0.0.1-1\""), "{}", of_location.config);
        let name = check.split([' ', ';']).next().unwrap_or_default().replace("allow", "deny");
        assert!(notes(&of_location).iter().any(|note| note.contains(&format!("`{name}`: nginx asks this"))), "{:?}", of_location.notes);
        let of_server = imported(&format!("{check}\nserver {{ location / {{ proxy_pass http://127.0.0.1:1; proxy_cache x; }} }}"));
        assert!(route(&of_server, "/{*rest}").contains(&"upstream = \"refused\""), "{}", of_server.config);
    }
    let on_two_ports = imported(
        "server { listen 80; location / { proxy_pass http://127.0.0.1:1; } }\nserver { listen 81; deny all; location / { proxy_pass http://127.0.0.1:1; } }",
    );
    assert!(route(&on_two_ports, "/{*rest}").contains(&"upstream = \"refused\""), "{}", on_two_ports.config);
    let open = imported("auth_basic a; deny all; server { location / { auth_basic off; allow all; proxy_pass http://127.0.0.1:1; } }");
    assert!(!open.config.contains("refused"), "{}", open.config);
    assert!(section(&cached("if ($arg_token != secret) { return 403; }"), "[[routes]]").contains(&"cache = false"));
    assert!(!section(&cached("if ($host != a.example) { return 301 https://a.example/; }"), "[[routes]]").contains(&"cache = false"));
}

/// Requests that nginx gave to it take the routes of the prefixes now.
#[test]
fn nothing_is_stored_where_a_regular_expression_took_requests_that_it_did_not_store_alike() {
    let with = |pattern: &str| {
        let text = format!(
            "server {{\n location / {{ proxy_cache z; proxy_cache_valid 200 1h; proxy_pass http://127.0.0.1:1; }}\n location ^~ /static/ {{ \
             proxy_cache z; proxy_pass http://127.0.0.1:1; }}\n location = /one {{ proxy_cache z; proxy_pass http://127.0.0.1:1; }}\n {pattern}\n}}"
        );
        imported(&text)
    };
    for pattern in [
        "location ~ ^/(account|private) { proxy_pass http://127.0.0.1:1; }",
        "location ~* \\.php$ { fastcgi_pass unix:/run/php.sock; }",
        "location ~ /\\.ht { deny all; }",
        "location ~ ^/a { proxy_pass http://127.0.0.1:2; proxy_cache z; proxy_cache_valid 200 1h; }",
        "location ~ ^/a { proxy_pass http://127.0.0.1:1; proxy_cache z; proxy_cache_valid 200 2h; }",
    ] {
        let imported = with(pattern);
        assert!(route(&imported, "/{*rest}").contains(&"cache = false"), "{pattern}: {}", imported.config);
        assert!(!route(&imported, "/static/{*rest}").contains(&"cache = false"), "nginx does not try it after `^~`: {}", imported.config);
        assert!(!route(&imported, "/one").contains(&"cache = false"), "nor after `=`: {}", imported.config);
        let told = notes(&imported).into_iter().find(|note| note.contains("nothing is stored there (cache = false)")).unwrap_or_default();
        assert!(told.starts_with("nginx.conf:5: `location ~") && told.contains("the route for /{*rest}"), "{:?}", imported.notes);
    }
    let alike = with("location ~ \\.css$ { proxy_pass http://127.0.0.1:1; proxy_cache z; proxy_cache_valid 200 1h; expires 1d; }");
    assert!(!alike.config.contains("cache = false"), "{}", alike.config);
    let named = with("location @app { proxy_pass http://127.0.0.1:1; }");
    assert!(!named.config.contains("cache = false"), "{}", named.config);
}

/// nginx asks them before stored answers too: a page that one client got must not be given to those that it sends elsewhere.
#[test]
fn nothing_is_stored_where_nginx_sends_some_requests_elsewhere() {
    for asked in [
        "if ($cookie_session = \"\") { return 302 /login; }",
        "if ($cookie_session = \"\") { return 303 https://login.example/; }",
        "if ( $arg_preview ) { return 200 hello; }",
        "if ($maintenance) { return 503; }",
        "if ($request_method = GET) { return 307 /login; }",
        "if ($host = a.example) { return 302 /login; }",
        "if ($http_x_user = \"\") { rewrite ^ /login redirect; }",
        "if ($http_x_user = \"\") { rewrite ^ https://login.example/; }",
        "rewrite ^/mine /login permanent",
        "rewrite_by_lua_block { ngx.exit(403); }",
    ] {
        let asked = if asked.ends_with('}') { asked.to_owned() } else { format!("{asked};") };
        let imported = cached(&format!("proxy_cache_valid 200 1m; {asked}"));
        let route = section(&imported, "[[routes]]");
        assert!(route.contains(&"cache = false") && !route.iter().any(|line| line.starts_with("ttl")), "{asked}: {route:?}");
        let name = asked.split(' ').next().unwrap_or_default();
        let told = format!("nginx asks this `{name}` before each answer");
        assert!(notes(&imported).iter().any(|note| note.contains(&told)), "{asked}: {:?}", imported.notes);
    }
    for asked in [
        "if ($scheme = http) { return 301 https://$host$request_uri; }",
        "if ($http_x_forwarded_proto = http) { rewrite ^ https://$host$request_uri? permanent; }",
        "if ($host ~* ^www) { return 301 https://a.example$request_uri; }",
        "if ($request_method = OPTIONS) { return 204; }",
        "if ($slow_start) { set $a b; }",
        "rewrite ^/api/(.*)$ /$1 break;",
    ] {
        let imported = cached(&format!("proxy_cache_valid 200 1m; {asked}"));
        assert!(!section(&imported, "[[routes]]").contains(&"cache = false"), "{asked}: {}", imported.config);
    }
}

/// nginx never comes to the `proxy_pass`.
#[test]
fn a_location_that_answers_before_its_backend_is_refused() {
    let imported = imported(
        "server { location / { proxy_pass http://127.0.0.1:1; }\n location /closed/ { return 403; proxy_pass http://127.0.0.1:1; proxy_cache x; } }",
    );
    assert!(route(&imported, "/closed/{*rest}").contains(&"upstream = \"refused\""), "{}", imported.config);
}
