//! `[acme]`, from text to data.

use super::super::{complaints, config};
use crate::{Acme, AcmeChallenge, AcmeStoreKind};

const LISTENER: &str = "[[listeners]]\naddress = \"0.0.0.0:443\"\ntls = { acme = true }\n[[listeners]]\naddress = \"0.0.0.0:80\"\n";

fn acme(keys: &str) -> Acme {
    config(&format!("{LISTENER}[store.redis]\nurl = \"redis://127.0.0.1\"\n[acme]\n{keys}")).acme.expect("a section")
}

#[test]
fn an_authority_has_usual_settings() {
    let usual = acme("domains = [\"WWW.example.com\", \"b.example\"]\nstore = \"/var/lib/larder/acme\"");
    assert_eq!(usual.domains, ["www.example.com", "b.example"]);
    assert_eq!((usual.contact.as_deref(), usual.directory.as_str()), (None, "https://acme-v02.api.letsencrypt.org/directory"));
    assert_eq!((usual.store.clone(), usual.roots.is_none()), (AcmeStoreKind::Folder("/var/lib/larder/acme".into()), true));
    assert_eq!(usual.challenges, [AcmeChallenge::TlsAlpn01, AcmeChallenge::Http01]);
    assert_eq!(usual.folder(), "acme-v02.api.letsencrypt.org_directory");
    let own = acme(
        "domains = [\"a.example\"]\nstore = \"redis\"\ncontact = \"ops@example.com\"\nchallenges = [\"http-01\"]\n\
         directory = \"letsencrypt-staging\"",
    );
    assert_eq!((own.contact.as_deref(), own.store), (Some("mailto:ops@example.com"), AcmeStoreKind::Redis));
    assert_eq!(
        (own.directory.as_str(), &own.challenges[..]),
        ("https://acme-staging-v02.api.letsencrypt.org/directory", &[AcmeChallenge::Http01][..])
    );
}

#[test]
fn what_one_authority_has_issued_is_kept_apart_from_others() {
    let folder = |url: &str| acme(&format!("domains = [\"a.example\"]\nstore = \"x\"\ndirectory = \"{url}\"")).folder();
    assert_eq!(folder("https://ca.example:14000/dir?a=../b"), "ca.example_14000_dir_a_.._b");
    assert_eq!(folder("https://CA.example/dir"), "ca.example_dir");
}

#[test]
fn mistakes_in_it_are_reported() {
    let valid = "domains = [\"a.example\"]\nstore = \"x\"";
    for (keys, complaint) in [
        ("store = \"x\"", "[acme] needs the key `domains`"),
        ("domains = [\"a.example\"]", "[acme] needs the key `store`"),
        ("domains = []\nstore = \"x\"", "`domains` names no host"),
        ("domains = [\"*.a.example\"]\nstore = \"x\"", "`*.a.example` is no host that a certificate can be ordered for"),
        ("domains = [\"192.0.2.1\"]\nstore = \"x\"", "`192.0.2.1` is no host"),
        ("domains = [\"a..example\"]\nstore = \"x\"", "`a..example` is no host"),
        ("domains = [\"bücher.example\"]\nstore = \"x\"", "`bücher.example` is no host"),
        ("domains = [\"a.example:443\"]\nstore = \"x\"", "`a.example:443` is no host"),
        ("domains = [\"a.example\", \"A.example\"]\nstore = \"x\"", "`a.example` is listed twice"),
        ("domains = [\"a.example\"]\nstore = \"redis\"", "certificates are to be kept in Redis, and there is none"),
        (&format!("{valid}\ncontact = \"me\""), "`me` is no address of mail"),
        (&format!("{valid}\ndirectory = \"http://ca.example/\""), "`http://ca.example/` is no directory of an authority"),
        (&format!("{valid}\nca_file = \"/no/such\""), "cannot read /no/such"),
        (&format!("{valid}\nchallenges = [\"dns-01\"]"), "`dns-01` is not a value of `challenges`"),
        (&format!("{valid}\nchallenges = []"), "`challenges` names no proof"),
    ] {
        let told = complaints(&format!("{LISTENER}[acme]\n{keys}"));
        assert!(told.len() == 1 && told[0].contains(complaint) && told[0].contains("(hint: "), "{keys}: {told:?}");
    }
}

#[test]
fn listeners_and_section_belong_together() {
    for (text, complaint) in [
        (
            "[[listeners]]\naddress = \"0.0.0.0:443\"\ntls = { acme = true }",
            "error: no section says which authority issues the certificates",
        ),
        ("[[listeners]]\naddress = \"0.0.0.0:443\"\ntls = { acme = false }", "error: [listeners.tls] needs the key `certificates`"),
        ("[acme]\ndomains = [\"a.example\"]\nstore = \"x\"", "warning: [acme] has no effect: no listener serves its certificates"),
        (
            "[[listeners]]\naddress = \"0.0.0.0:443\"\ntls = { acme = true }\n[acme]\ndomains = [\"a.example\"]\nstore = \"x\"\nchallenges = [\"http-01\"]",
            "warning: `http-01` is asked for in clear text, and no listener speaks that",
        ),
    ] {
        let told = complaints(text);
        assert!(told.len() == 1 && told[0].contains(complaint), "{text}: {told:?}");
    }
}
