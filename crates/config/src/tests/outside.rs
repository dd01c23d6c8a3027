//! Settings from outside the file: the environment, flags, the file itself, and ports that are taken.

use std::io;
use std::path::Path;

use super::{UPSTREAM, complaints, config};
use crate::{Config, Overrides, Report, Warnings, from_flags, load, parse};

fn environment(variables: &[(&str, &str)]) -> Overrides {
    Overrides::from_variables(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
}

fn with_environment(text: &str, variables: &[(&str, &str)]) -> Result<(Config, Warnings), Report> {
    parse("config.toml", format!("{text}\n{UPSTREAM}").as_bytes(), &environment(variables))
}

fn addresses(config: &Config) -> Vec<&str> {
    config.server.listen.iter().map(|listen| listen.address()).collect()
}

#[test]
fn the_environment_wins_over_the_file_and_a_flag_over_both() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\n[admin]\nlisten = \"127.0.0.1:2\"";
    let variables = [("LARDER_LISTEN", "127.0.0.1:3, [::1]:4"), ("LARDER_ADMIN_LISTEN", "localhost:5")];
    let (config, _) = with_environment(file, &variables).unwrap();
    assert_eq!((addresses(&config), config.admin.listen.address()), (vec!["127.0.0.1:3", "[::1]:4"], "localhost:5"));
    let flags = environment(&variables).with_flags(Some("127.0.0.1:6"), None);
    let (config, _) = parse("config.toml", UPSTREAM.as_bytes(), &flags).unwrap();
    assert_eq!((addresses(&config), config.admin.listen.address()), (vec!["127.0.0.1:6"], "localhost:5"));
}

#[test]
fn an_empty_variable_is_not_set() {
    let (config, warnings) = with_environment("", &[("LARDER_LISTEN", ""), ("REDIS_URL", "")]).unwrap();
    assert_eq!(addresses(&config), ["127.0.0.1:8080"]);
    assert!(warnings.is_empty());
}

#[test]
fn under_kubernetes_a_stop_waits_until_its_proxies_have_heard_of_it() {
    let delay = |file, variables: &[(&str, &str)]| with_environment(file, variables).unwrap().0.server.drain_delay.as_secs();
    let kubernetes = [("KUBERNETES_SERVICE_HOST", "10.96.0.1")];
    assert_eq!((delay("", &[]), delay("", &kubernetes)), (0, 5));
    assert_eq!(delay("[server]\nmax_connections = 1", &kubernetes), 5);
    assert_eq!(delay("[server]\ndrain_delay = \"0s\"", &kubernetes), 0, "the file says so");
    let (config, _) = from_flags("http://127.0.0.1:3000", None, &environment(&kubernetes)).unwrap();
    assert_eq!(config.server.drain_delay.as_secs(), 5);
}

#[test]
fn a_mistake_in_a_variable_names_the_variable() {
    let report = with_environment("", &[("LARDER_LISTEN", "8080"), ("LARDER_ADMIN_LISTEN", "0.0.0.0:8090")]).unwrap_err();
    let expected = r#"error: LARDER_LISTEN: `8080` is not an address to listen on
hint: write host and port: "127.0.0.1:8080" for this machine only, "0.0.0.0:8080" for every interface

warning: LARDER_ADMIN_LISTEN: on the admin listener `0.0.0.0:8090` only /healthz and /readyz will answer: there is no token to ask others for
hint: add [[admin.tokens]] for the rest, or use a loopback address, like "127.0.0.1:8090"
"#;
    assert_eq!(report.to_string(), expected);
}

#[test]
fn one_address_twice_in_a_variable_is_refused() {
    let report = with_environment("", &[("LARDER_LISTEN", "127.0.0.1:1,127.0.0.1:1")]).unwrap_err();
    assert!(report.to_string().starts_with("error: LARDER_LISTEN: `127.0.0.1:1` is listed twice"), "{report}");
}

#[test]
fn redis_url_wins_over_the_file_and_is_never_shown() {
    let variables = [("REDIS_URL", "redis://:hunter2@host")];
    for file in ["", "[store.redis]\ntimeout = \"20ms\"", "[store.redis]\nurl = \"redis://other\""] {
        let (config, warnings) = with_environment(file, &variables).unwrap();
        assert!(warnings.is_empty());
        let shown = format!("{:?}", config.redis.unwrap());
        assert!(shown.contains("host:6379") && !shown.contains("hunter2"), "{shown}");
    }
    assert!(!format!("{:?}", environment(&variables)).contains("hunter2"));
    let report = with_environment("", &[("REDIS_URL", "http://:hunter2@host")]).unwrap_err().to_string();
    assert!(report.starts_with("error: REDIS_URL: this is not the URL of a Redis server") && !report.contains("hunter2"), "{report}");
}

#[test]
fn several_redis_urls_are_separated_by_commas() {
    let (config, _) = with_environment("", &[("REDIS_URL", "redis://me:a,b@one, redis://me:a,b@two")]).unwrap();
    assert_eq!(config.redis.unwrap().servers.to_string(), "one:6379, two:6379");
    let (config, _) = with_environment("[store.redis]\nsentinel = { master = \"m\" }", &[("REDIS_URL", "redis://a,redis://b")]).unwrap();
    assert_eq!(config.redis.unwrap().servers.to_string(), "m of a:6379, b:6379");
}

#[test]
fn flags_alone_make_a_configuration() {
    let (config, warnings) = from_flags("http://127.0.0.1:3000/v1", Some("60s"), &Overrides::default()).unwrap();
    assert!(warnings.is_empty());
    let url = &config.upstreams[0].servers[0].url;
    assert_eq!((url.authority().as_str(), url.base_path()), ("127.0.0.1:3000", "/v1"));
    assert_eq!(config.fallback.unwrap().settings.policy.ttl, 60);
}

#[test]
fn mistakes_in_flags_are_told_at_once_by_their_names() {
    let overrides = Overrides::default().with_flags(Some("x"), None);
    let lines: Vec<String> = from_flags("127.0.0.1:3000", Some("60"), &overrides).unwrap_err().lines().collect();
    let expected = [
        "error: --upstream: the upstream's url has no scheme (hint: begin with http:// or https://)",
        "error: --ttl: `60` is not a duration (hint: write the unit: \"60s\" or \"60ms\")",
        "error: --listen: `x` is not an address to listen on (hint: write host and port: \"127.0.0.1:8080\" for this machine only, \"0.0.0.0:8080\" for every interface)",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn the_flags_cannot_name_larder_itself_as_its_upstream() {
    let report = from_flags("http://127.0.0.1:8080", None, &Overrides::default()).unwrap_err();
    assert!(report.to_string().starts_with("error: upstream `default` is Larder's own listener, 127.0.0.1:8080\nhint: "), "{report}");
}

#[test]
fn a_missing_file_and_a_directory_say_so() {
    let message = |path: &Path| load(path, &Overrides::default()).unwrap_err().lines().next().unwrap();
    assert!(
        message(Path::new("/nowhere/config.toml")).starts_with("error: cannot read /nowhere/config.toml: there is no such file (hint: ")
    );
    let directory = std::env::temp_dir();
    assert!(message(&directory).starts_with(&format!("error: cannot read {}: it is a directory (hint: ", directory.display())));
}

#[test]
fn a_file_that_is_not_utf8_says_where() {
    let report = parse("config.toml", b"[cache]\nnamespace = \"\xff\"\n", &Overrides::default()).unwrap_err();
    assert_eq!(
        report.lines().collect::<Vec<_>>(),
        ["error: config.toml is not UTF-8: line 2 has a byte that belongs to no character (hint: save the file as UTF-8)"]
    );
}

#[test]
fn an_address_in_use_points_at_the_line_that_names_it() {
    let config = config("[server]\nlisten = [\n  \"127.0.0.1:1\",\n  \"127.0.0.1:2\",\n]");
    let report = config.bind_failure(&config.server.listen[1], &io::Error::from(io::ErrorKind::AddrInUse));
    let expected = r#"error: cannot listen on 127.0.0.1:2: the address is in use
 --> config.toml:4:3
  |
4 |   "127.0.0.1:2",
  |   ^^^^^^^^^^^^^
  |
  = hint: stop the program that listens there, or choose another port (0 takes any free one)
"#;
    assert_eq!(report.to_string(), expected);
}

#[test]
fn an_address_in_use_names_the_variable_or_nothing_where_no_line_does() {
    let failure =
        |config: &Config| config.bind_failure(&config.server.listen[0], &io::Error::from(io::ErrorKind::AddrInUse)).lines().next().unwrap();
    let (by_variable, _) = with_environment("", &[("LARDER_LISTEN", "127.0.0.1:1")]).unwrap();
    assert!(failure(&by_variable).starts_with("error: LARDER_LISTEN: cannot listen on 127.0.0.1:1: the address is in use"));
    assert!(failure(&config("")).starts_with("error: cannot listen on 127.0.0.1:8080: the address is in use"));
}

#[test]
fn the_admin_listener_is_never_the_public_one() {
    assert_eq!(
        complaints("[server]\nlisten = \"127.0.0.1:8090\""),
        ["config.toml:2:10: error: the admin listener has the public listener's address, `127.0.0.1:8090` (hint: give each its own port)"]
    );
    assert!(complaints("[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"").is_empty(), "port 0 is two ports");
}

#[test]
fn a_secret_in_a_file_that_is_replaced_is_a_change_of_the_configuration() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let names = ["token", "webhook", "field", "key", "old_key"];
    names.iter().for_each(|name| std::fs::write(file(name), "07".repeat(32)).expect("a file"));
    let text = format!(
        "[[admin.tokens]]\nfile = \"{}\"\nscopes = [\"read\"]\n\
         [alerts]\nwebhook = \"http://127.0.0.1:1/\"\nsecret = \"file:{}\"\n\
         [telemetry.traces]\nendpoint = \"http://127.0.0.1:1/\"\nheaders = {{ x-key = \"file:{}\" }}\n\
         [store.redis]\nurl = \"redis://127.0.0.1\"\nencrypt = {{ key = \"file:{}\", old_keys = [\"file:{}\"] }}\n",
        file("token"),
        file("webhook"),
        file("field"),
        file("key"),
        file("old_key"),
    );
    let config = config(&text);
    assert_eq!(config.files().filter(|file| file.has_changed()).count(), 0);
    for (count, name) in (1..).zip(names) {
        std::fs::write(file(name), "08".repeat(32)).expect("a file");
        assert_eq!(config.files().filter(|file| file.has_changed()).count(), count, "{name}");
    }
}
