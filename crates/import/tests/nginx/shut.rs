//! What nginx keeps shut, or does not store, is neither opened nor stored by a broader route.

use larder_import::{Imported, nginx_text};

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
    let config = alone.expect("a configuration").config;
    assert!(
        config.matches("[[routes]]").count() == 2 && !config.contains("/files/"),
        "no route takes /files/, but that for the rest: {config}"
    );
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
    for check in [
        "auth_basic staff",
        "auth_request /auth",
        "auth_digest staff",
        "secure_link $arg_md5,$arg_expires",
        "allow 10.0.0.0/8; deny all",
        "internal",
        "limit_except GET { deny all; }",
    ] {
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

/// The path of the route that requests of no other one take.
const REST: &str = "path = \"/{*rest}\"";

/// The lines of the route for everything of this host; of every host with `None`.
fn rest_of<'a>(imported: &'a Imported, host: Option<&str>) -> Vec<&'a str> {
    let host = host.map(|host| format!("host = \"{host}\""));
    let sections = imported.config.split("\n\n").map(|section| section.lines().collect::<Vec<_>>());
    let has_host = |section: &[&str]| section.iter().find(|line| line.starts_with("host = ")).map(|line| (*line).to_owned());
    sections
        .into_iter()
        .find(|section| section[0] == "[[routes]]" && section.contains(&REST) && has_host(section) == host)
        .unwrap_or_default()
}

/// Larder gives what no route takes to the only upstream.
#[test]
fn what_no_location_names_does_not_reach_the_only_backend() {
    let hosts = imported(
        "server { listen 80 default_server; server_name _; return 444; }\n\
         server { server_name www.example.com; location /public/ { proxy_pass http://127.0.0.1:1; proxy_cache z; } }",
    );
    assert!(rest_of(&hosts, None).contains(&"upstream = \"refused\""), "{}", hosts.config);
    let told = notes(&hosts);
    assert!(told.iter().any(|note| note.starts_with("nginx.conf:1: ") && note.contains("are refused here")), "{told:?}");
    let one = imported("server {\n server_name a.example; location / { proxy_pass http://127.0.0.1:1; } }");
    assert!(rest_of(&one, None).contains(&"upstream = \"refused\""), "hosts that no server names: {}", one.config);
    assert!(notes(&one).iter().any(|note| note.starts_with("nginx.conf:1: ") && note.contains("are refused here")), "{:?}", one.notes);
    let closed = imported("upstream b { server 127.0.0.1:1; }\nserver { location / { root /srv; } }");
    assert!(rest_of(&closed, None).contains(&"upstream = \"refused\""), "{}", closed.config);
    let whole = imported("server { location / { proxy_pass http://127.0.0.1:1; } }");
    assert!(!whole.config.contains("refused") && whole.notes.is_empty(), "{}", whole.config);
}

/// Routes of every host would take its requests.
#[test]
fn a_host_that_nginx_turns_away_is_refused_beside_a_server_for_every_host() {
    for closed in
        ["return 403;", "location /x/ { proxy_pass http://127.0.0.1:1; }", "location / { root /srv; }", "deny all;", "return 302 /a;"]
    {
        let imported = imported(&format!(
            "server {{ location / {{ proxy_pass http://127.0.0.1:1; proxy_cache z; }} }}\nserver {{ server_name a.example; {closed} }}"
        ));
        assert!(rest_of(&imported, Some("a.example")).contains(&"upstream = \"refused\""), "{closed}: {}", imported.config);
        assert!(rest_of(&imported, None).contains(&"upstream = \"127.0.0.1-1\""), "{closed}: {}", imported.config);
        let told = notes(&imported);
        assert!(told.iter().any(|note| note.starts_with("nginx.conf:2: ") && note.contains("of a.example")), "{closed}: {told:?}");
    }
}

/// It comes before the locations.
#[test]
fn a_server_that_returns_has_no_routes_of_its_locations() {
    for of_server in ["return 403;", "return 301 https://$host$request_uri;"] {
        let imported = imported(&format!(
            "server {{ listen 80; server_name a.example; {of_server} location /x/ {{ proxy_pass http://127.0.0.1:1; }} }}\n\
             server {{ listen 81; location / {{ proxy_pass http://127.0.0.1:1; }} }}"
        ));
        assert!(!imported.config.contains("/x/"), "{of_server}: {}", imported.config);
        assert!(rest_of(&imported, Some("a.example")).contains(&"upstream = \"refused\""), "{of_server}: {}", imported.config);
    }
    let other_port = imported(
        "server { listen 80; server_name a.example; return 404; }\n\
         server { listen 81; server_name a.example; location /x/ { proxy_pass http://127.0.0.1:1; } }",
    );
    assert!(rest_of(&other_port, Some("a.example")).contains(&"upstream = \"refused\""), "{}", other_port.config);
    assert!(!other_port.config.contains("/x/"), "it is to stay shut: {}", other_port.config);
}

/// As certbot writes it.
#[test]
fn a_server_that_leads_to_https_and_answers_nothing_else_shuts_no_other() {
    let imported = imported(
        "server { listen 80; server_name a.example; if ($host = a.example) { return 301 https://$host$request_uri; } return 404; }\n\
         server { listen 81; server_name a.example; location / { proxy_pass http://127.0.0.1:1; proxy_cache z; } }",
    );
    assert!(imported.config.contains("address = \"0.0.0.0:80\"\nredirect = \"https\""), "{}", imported.config);
    let route = rest_of(&imported, Some("a.example"));
    assert!(route.contains(&"upstream = \"127.0.0.1-1\"") && !route.contains(&"cache = false"), "{}", imported.config);
}

/// Their routes are for every host, as a note says; the others that nginx turns away cannot be told from them.
#[test]
fn a_pattern_of_hosts_beside_a_closed_default_keeps_its_routes() {
    let imported =
        imported("server { server_name _; return 444; }\nserver { server_name .a.example; location / { proxy_pass http://127.0.0.1:1; } }");
    assert!(rest_of(&imported, None).contains(&"upstream = \"127.0.0.1-1\""), "{}", imported.config);
}

/// A prefix of nginx ends anywhere in a segment: what was not stored, or by another key, would be under the settings of what is around it.
#[test]
fn paths_that_go_on_without_a_slash_are_stored_as_their_prefix_is() {
    let with = |location: &str| {
        imported(&format!(
            "server {{ location / {{ proxy_pass http://127.0.0.1:1; proxy_cache z; proxy_cache_valid 200 1m; }}\n location /me {{ {location} }} }}"
        ))
    };
    let apart = with("proxy_pass http://127.0.0.1:1;");
    for path in ["/me", "/me/{*rest}", "/me{more}", "/me{more}/{*rest}"] {
        let route = route(&apart, path);
        assert!(route.contains(&"upstream = \"127.0.0.1-1\"") && route.contains(&"cache = false"), "{path}: {}", apart.config);
    }
    assert!(apart.notes.is_empty(), "{:?}", apart.notes);
    let alike = with("proxy_pass http://127.0.0.1:1; proxy_cache z; proxy_cache_valid 200 1m;");
    assert!(!alike.config.contains("{more}"), "{}", alike.config);
    let elsewhere = with("proxy_pass http://127.0.0.1:1/you; proxy_cache z;");
    assert!(
        route(&elsewhere, "/me{more}").contains(&"upstream = \"refused\""),
        "a path is replaced by whole segments: {}",
        elsewhere.config
    );
    assert!(notes(&elsewhere).iter().any(|note| note.contains("such as /mex")), "{:?}", elsewhere.notes);
}

/// Only one of them can have the path.
#[test]
fn nothing_is_stored_where_servers_store_one_path_in_two_ways() {
    let two = |other: &str| {
        imported(&format!(
            "server {{ listen 80; location / {{ proxy_pass http://127.0.0.1:1; proxy_cache z; proxy_cache_valid 200 1m; }} }}\n\
             server {{ listen 81; location / {{ {other} }} }}"
        ))
    };
    for other in [
        "proxy_pass http://127.0.0.1:1;",
        "proxy_pass http://127.0.0.1:1; proxy_cache z; proxy_cache_key $scheme$host$request_uri$http_x_user; proxy_cache_valid 200 1m;",
        "proxy_pass http://127.0.0.1:2; proxy_cache z; proxy_cache_valid 200 1m;",
    ] {
        let imported = two(other);
        let route = section(&imported, "[[routes]]");
        assert!(route.contains(&"cache = false") && !route.iter().any(|line| line.starts_with("ttl")), "{other}: {route:?}");
        assert!(notes(&imported).iter().any(|note| note.contains("nothing is stored there (cache = false)")), "{:?}", imported.notes);
    }
    let alike = two("proxy_pass http://127.0.0.1:1; proxy_cache z; proxy_cache_valid 200 1m;");
    assert!(!alike.config.contains("cache = false"), "{}", alike.config);
}

/// Routes are for all listeners.
#[test]
fn a_server_that_fewer_clients_reach_is_not_opened_to_those_of_others() {
    let with = |listen: &str| {
        imported(&format!(
            "server {{ listen 80; listen 127.0.0.1:79; location /public/ {{ proxy_pass http://127.0.0.1:1; }} }}\n\
             server {{ {listen} location /admin/ {{ proxy_pass http://127.0.0.1:1; }} }}"
        ))
    };
    for listen in [
        "listen 127.0.0.1:81;",
        "listen [::1]:81; listen localhost:82;",
        "listen unix:/run/a.sock;",
        "listen 10.0.0.1:81;",
        "listen inner.example:81;",
    ] {
        let imported = with(listen);
        assert!(!imported.config.contains("/admin/") && !imported.config.contains("81"), "{listen}: {}", imported.config);
        assert!(notes(&imported).iter().any(|note| note.starts_with("nginx.conf:2: this server is left out")), "{:?}", imported.notes);
    }
    for listen in ["listen 81;", "listen [::]:81;", "listen 127.0.0.1:82; listen 81;", ""] {
        assert!(with(listen).config.contains("/admin/"), "{listen}");
    }
    let alone = imported(
        "server { listen 80; return 301 https://a.example$request_uri; }\nserver { listen 127.0.0.1:81; location / { proxy_pass http://127.0.0.1:1; } }",
    );
    assert!(rest_of(&alone, None).contains(&"upstream = \"127.0.0.1-1\""), "the other one only leads to https: {}", alone.config);
}
