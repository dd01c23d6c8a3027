//! `[alerts]`.

use super::super::{assert_complaint, complaints, config};
use crate::AlertKind;

#[test]
fn all_kinds_go_to_the_channel_unless_something_else_is_said() {
    let alerts = config("").alerts;
    assert_eq!((alerts.on.len(), alerts.channel.as_deref(), alerts.webhook), (AlertKind::ALL.len(), Some("system:health_check"), None));
    let said = config("[alerts]\non = [\"replica\"]\nchannel = \"\"\nwebhook = \"https://hooks.example/hush\"").alerts;
    let webhook = said.webhook.expect("a webhook");
    assert_eq!((&said.on[..], said.channel, webhook.url.host()), (&[AlertKind::Replica][..], None, Some("hooks.example")));
    assert!(!format!("{webhook:?}").contains("hush"), "{webhook:?}");
}

#[test]
fn a_secret_is_where_no_one_reads_it() {
    let file = std::env::temp_dir().join(format!("larder-alerts-{}", std::process::id()));
    std::fs::write(&file, "0123456789abcdef\n").expect("a file");
    let text = format!("[alerts]\nwebhook = \"http://127.0.0.1:1/\"\nsecret = \"file:{}\"", file.display());
    let secret = config(&text).alerts.webhook.and_then(|webhook| webhook.secret);
    assert_eq!(secret.as_deref(), Some(&b"0123456789abcdef"[..]));
    std::fs::write(&file, "short").expect("a file");
    assert!(complaints(&text)[0].contains("the secret of `webhook` is too short"), "{:?}", complaints(&text));
    std::fs::remove_file(&file).expect("the file");
    assert!(complaints(&text)[0].contains("cannot read the secret in"), "{:?}", complaints(&text));
}

#[test]
fn a_receiver_may_have_a_certificate_of_an_authority_of_its_own() {
    let folder = std::env::temp_dir().join(format!("larder-alerts-ca-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (good, bad) = (folder.join("ca.pem"), folder.join("bad.pem"));
    let authority = rcgen::generate_simple_self_signed(vec!["ca.example".to_owned()]).expect("a certificate");
    std::fs::write(&good, authority.cert.pem()).expect("a file");
    std::fs::write(&bad, "nonsense").expect("a file");
    let said = |url: &str, file: &std::path::Path| format!("[alerts]\nwebhook = \"{url}\"\nca_file = {file:?}");
    let read = config(&said("https://hooks.example/", &good));
    assert!(read.files().any(|file| file.path() == good), "a changed file is read again");
    assert!(read.alerts.webhook.is_some_and(|webhook| webhook.authorities.is_some()));
    let first = |text: &str| complaints(text).into_iter().next().unwrap_or_default();
    assert!(first(&said("https://hooks.example/", &bad)).contains("there is no certificate in"));
    assert!(first(&said("https://hooks.example/", &folder.join("none.pem"))).contains("cannot read"));
    assert!(first(&said("http://hooks.example/", &good)).contains("warning: `ca_file` has no effect: the URL of `webhook` is not https"));
    assert!(first(&format!("[alerts]\nca_file = {good:?}")).contains("`ca_file` is for `webhook`, and there is none"));
    std::fs::remove_dir_all(&folder).expect("the folder");
}

#[test]
fn mistakes_say_what_is_meant_and_no_secret() {
    assert_complaint("[alerts]\non = [\"breakers\"]", "2:7: error: `breakers` is not a value of `on` (hint: did you mean \"breaker\"?)");
    assert_complaint(
        "[alerts]\nwebhook = \"hooks.example/hush\"",
        "2:11: error: this is not the URL of a webhook (hint: like https://hooks.example.com/larder)",
    );
    assert_complaint(
        "[alerts]\nwebhook = \"https://me:hush@hooks.example/\"",
        "2:11: error: a webhook's URL cannot have a user (hint: `secret` signs each alert, so that the receiver knows who sent it)",
    );
    assert_complaint(
        "[alerts]\nwebhook = \"https://hooks.example/\"\nsecret = \"0123456789abcdef\"",
        "3:10: error: a secret does not stand in the configuration itself (hint: say where the secret is, in quotes: \"env:LARDER_ALERT_SECRET\" or \
         \"file:/run/secrets/alerts\")",
    );
    assert_complaint(
        "[alerts]\nchannel = \"system:cache_invalidation\"",
        "2:11: error: alerts on the channel of [purge] would be read as purges (hint: give it another name, or \"\" for none)",
    );
    assert_complaint("[alerts]\nwebhok = \"x\"", "2:1: error: unknown key `webhok` in [alerts] (hint: did you mean `webhook`?)");
}
