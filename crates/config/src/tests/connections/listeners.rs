//! `[[listeners]]`, from text to data.

use std::path::Path;
use std::time::Duration;

use larder_tls::{MinVersion, TicketKeys};

use super::super::{complaints, config};
use crate::{Listener, Overrides, Redirect, ServerOptions};

fn listeners(text: &str) -> Vec<Listener> {
    config(text).server.listeners
}

#[test]
fn a_listener_has_the_settings_of_the_server_where_it_has_none_of_its_own() {
    let text = "[server]\nidle_timeout = \"20s\"\nmax_connections = 5\n\
                [[listeners]]\naddress = \"0.0.0.0:80\"\n\
                [[listeners]]\naddress = \"[::]:81\"\nhttp2 = false\nidle_timeout = \"1s\"\ntunnel_idle = \"2s\"\nmax_connections = 3\nmax_streams = 4";
    let [plain, own] = &listeners(text)[..] else { panic!("two") };
    let seconds = Duration::from_secs;
    let usual = ServerOptions { idle_timeout: seconds(20), max_connections: 5, ..ServerOptions::default() };
    assert_eq!((plain.listen.address(), plain.http2, plain.counted_apart, plain.options), ("0.0.0.0:80", true, false, usual));
    let expected = ServerOptions { idle_timeout: seconds(1), tunnel_idle: seconds(2), max_connections: 3, max_streams: 4, ..usual };
    assert_eq!((own.listen.address(), own.http2, own.counted_apart, own.options), ("[::]:81", false, true, expected));
}

#[test]
fn there_is_no_default_address_beside_listeners() {
    let addresses = |text: &str| config(text).server.addresses().map(|listen| listen.address().to_owned()).collect::<Vec<_>>();
    assert_eq!(addresses(""), ["127.0.0.1:8080"]);
    assert_eq!(addresses("[[listeners]]\naddress = \"0.0.0.0:80\""), ["0.0.0.0:80"]);
    assert_eq!(addresses("[server]\nmax_connections = 1\n[[listeners]]\naddress = \"0.0.0.0:80\""), ["0.0.0.0:80"]);
    assert_eq!(addresses("[server]\nlisten = \"127.0.0.1:1\"\n[[listeners]]\naddress = \"0.0.0.0:80\""), ["127.0.0.1:1", "0.0.0.0:80"]);
}

#[test]
fn addresses_from_outside_stand_in_for_listen_only() {
    let outside = Overrides::from_variables(|name| (name == "LARDER_LISTEN").then(|| "127.0.0.1:9".to_owned()));
    let read = |text: &str| {
        let text = format!("{text}\n{}", super::super::UPSTREAM);
        let (config, warnings) = crate::parse("config.toml", text.as_bytes(), &outside).unwrap();
        (config.server.addresses().map(|listen| listen.address().to_owned()).collect::<Vec<_>>(), warnings.warnings())
    };
    let listener = "[[listeners]]\naddress = \"0.0.0.0:80\"";
    assert_eq!(read(""), (vec!["127.0.0.1:9".to_owned()], 0));
    assert_eq!(read(listener), (vec!["0.0.0.0:80".to_owned()], 1));
    let both = format!("[server]\nlisten = \"127.0.0.1:1\"\n{listener}");
    assert_eq!(read(&both), (vec!["127.0.0.1:9".to_owned(), "0.0.0.0:80".to_owned()], 0));
}

#[test]
fn mistakes_in_a_listener_are_reported_with_their_place() {
    for (text, complaint) in [
        ("[[listeners]]", "1:1: error: [[listeners]] needs the key `address` (hint: like address = \"0.0.0.0:443\")"),
        (
            "[[listeners]]\naddress = \"0.0.0.0:80\"\n[[listeners]]\naddress = \"0.0.0.0:80\"",
            "4:11: error: `0.0.0.0:80` is listed twice (hint: remove one of them)",
        ),
        (
            "[[listeners]]\naddress = \"0.0.0.0:443\"\ntls = {}",
            "3:7: error: [listeners.tls] needs the key `certificates` (hint: like tls = { certificates = [{ chain = \"/etc/larder/site.pem\", \
             key = \"/etc/larder/site.key\" }] }, or acme = true)",
        ),
        (
            "[[listeners]]\naddress = \"0.0.0.0:443\"\ntls = { certificates = [{ chain = \"/no/such.pem\", key = \"/no/such.key\" }] }",
            "3:35: error: cannot read /no/such.pem: No such file or directory (os error 2) (hint: give the path of a PEM file)",
        ),
        (
            "[[listeners]]\naddress = \"0.0.0.0:443\"\ntls = { certificates = [{ chain = \"/dev/zero\", key = \"/no/such.key\" }] }",
            "3:35: error: cannot read /dev/zero: it is no file of at most 1 MiB (hint: the user who runs larder must be able to read it)",
        ),
        ("listeners = 1", "1:13: error: `listeners` cannot be an integer (hint: expected [[listeners]], once for each)"),
    ] {
        assert_eq!(complaints(text), [format!("config.toml:{complaint}")], "{text}");
    }
}

#[test]
fn a_listener_may_redirect_and_stand_behind_proxies() {
    let of = |text: &str| listeners(&format!("[[listeners]]\naddress = \"127.0.0.1:1\"\n{text}")).remove(0);
    assert_eq!(of("").redirect, None);
    assert_eq!(of("redirect = \"https\"").redirect, Some(Redirect { port: None }));
    assert_eq!(of("redirect = \"https:8443\"").redirect, Some(Redirect { port: Some(8443) }));
    let proxies = of("proxy_protocol = { from = [\"10.0.0.0/8\", \"::1\"] }").proxy_protocol.unwrap();
    assert_eq!((proxies.from.len(), proxies.required), (2, true));
    assert!(!of("proxy_protocol = { from = [\"::1\"], required = false }").proxy_protocol.unwrap().required);
}

/// A pair in files, as a listener's `certificates` name it.
fn pair(folder: &Path) -> String {
    let own = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let (chain, key) = (folder.join("a.pem"), folder.join("a.key"));
    std::fs::write(&chain, own.cert.pem()).unwrap();
    std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    format!("certificates = [{{ chain = {chain:?}, key = {key:?} }}]")
}

#[test]
fn tls_has_its_own_settings() {
    let folder = tempfile::TempDir::new().unwrap();
    let pair = pair(folder.path());
    let of = |keys: &str| {
        let text = format!("[[listeners]]\naddress = \"127.0.0.1:1\"\ntls = {{ {pair}{keys} }}");
        listeners(&text).remove(0).tls.unwrap()
    };
    let usual = of("");
    assert_eq!((usual.settings.pairs.len(), usual.files.len(), usual.settings.min_version), (1, 2, MinVersion::Tls12));
    assert_eq!((usual.settings.clients, usual.settings.hsts, usual.settings.ticket_keys), (None, None, None));
    assert_eq!(of(", min_version = \"1.3\"").settings.min_version, MinVersion::Tls13);
    for (text, policy) in [("180d", "max-age=15552000"), ("1h; includesubdomains; preload", "max-age=3600; includeSubDomains; preload")] {
        assert_eq!(of(&format!(", hsts = \"{text}\"")).settings.hsts.as_deref(), Some(policy));
    }
    let ca = folder.path().join("a.pem");
    let required = |mode: &str| of(&format!(", client_ca = {ca:?}{mode}")).settings.clients.map(|clients| clients.required);
    assert_eq!(required(""), Some(true));
    assert_eq!(required(", client_certificate = \"optional\""), Some(false));
    assert_eq!(required(", client_certificate = \"none\""), None);
    let keys = folder.path().join("keys");
    std::fs::write(&keys, format!("# newest first\n{}\n\n{}\n", "07".repeat(32), "08".repeat(32))).unwrap();
    let with_keys = of(&format!(", ticket_keys = {keys:?}"));
    assert_eq!(with_keys.settings.ticket_keys, TicketKeys::new(vec![[7; 32], [8; 32]]));
    assert_eq!(with_keys.files.len(), 3, "it is watched");
}

#[test]
fn mistakes_in_tls_are_reported() {
    let folder = tempfile::TempDir::new().unwrap();
    let pair = pair(folder.path());
    let (key, ca) = (folder.path().join("a.key"), folder.path().join("a.pem"));
    for (keys, complaint) in [
        (", hsts = \"long\"", "`long` is not a policy of Strict-Transport-Security"),
        (", hsts = \"1h; forever\"", "`1h; forever` is not a policy of Strict-Transport-Security"),
        (", min_version = \"1.1\"", "`1.1` is not a value of `min_version`"),
        (", client_certificate = \"required\"", "nobody says whose client certificates count"),
        (", client_certificate = \"maybe\"", "`maybe` is not a value of `client_certificate`"),
        (", client_ca = \"/no/such.pem\"", "cannot read /no/such.pem"),
        (&format!(", client_ca = {key:?}"), "there is no certificate in"),
        (&format!(", client_ca = {ca:?}, client_crl = \"/no/such.pem\""), "cannot read /no/such.pem"),
        (&format!(", client_ca = {ca:?}, client_crl = {ca:?}"), "there is no list of revoked certificates in"),
        (", client_crl = \"/no/such.pem\"", "nobody says whose client certificates count"),
        (", ticket_keys = \"/no/such\"", "cannot read the keys in /no/such"),
        (&format!(", ticket_keys = {key:?}"), "is no key: the key is neither hexadecimal nor base64"),
    ] {
        let text = format!("[[listeners]]\naddress = \"127.0.0.1:1\"\ntls = {{ {pair}{keys} }}");
        let told = complaints(&text);
        assert!(told.len() == 1 && told[0].contains(complaint) && told[0].contains("(hint: "), "{keys}: {told:?}");
    }
    for (text, complaint) in [
        ("redirect = \"http\"", "`http` is no place to send clients to"),
        ("redirect = \"https:0\"", "`https:0` is no place to send clients to"),
        ("proxy_protocol = {}", "[listeners.proxy_protocol] needs the key `from`"),
        ("proxy_protocol = { from = [] }", "`from` names no network"),
        (&format!("redirect = \"https\"\ntls = {{ {pair} }}"), "a listener with `tls` cannot send clients to https"),
    ] {
        let told = complaints(&format!("[[listeners]]\naddress = \"127.0.0.1:1\"\n{text}"));
        assert!(told.len() == 1 && told[0].contains(complaint), "{text}: {told:?}");
    }
}

#[test]
fn only_certificates_are_replaced_without_a_restart() {
    let of = |text: &str| listeners(&format!("[[listeners]]\naddress = \"127.0.0.1:1\"\n{text}")).remove(0);
    assert!(!of("").needs_restart_for(&of("http2 = true")));
    assert!(of("").needs_restart_for(&of("http2 = false")));
}
