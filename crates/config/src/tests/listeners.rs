//! `[[listeners]]`, from text to data.

use std::time::Duration;

use super::{complaints, config};
use crate::{Listener, Overrides, ServerOptions};

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
        let text = format!("{text}\n{}", super::UPSTREAM);
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
             key = \"/etc/larder/site.key\" }] })",
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
fn only_certificates_are_replaced_without_a_restart() {
    let of = |text: &str| listeners(&format!("[[listeners]]\naddress = \"127.0.0.1:1\"\n{text}")).remove(0);
    assert!(!of("").needs_restart_for(&of("http2 = true")));
    assert!(of("").needs_restart_for(&of("http2 = false")));
}
