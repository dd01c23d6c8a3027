//! `[acme]`: certificates from an authority.

use std::path::PathBuf;

use http::Uri;
use http::uri::Scheme;
use larder_tls::{Authorities, is_address};
use toml::Spanned;

use crate::model::{Acme, AcmeChallenge, AcmeStoreKind, ReadFile, Server};
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::reader::{Table, choose};
use crate::sections::cache::items;

/// Its staging environment, whose certificates nobody trusts, is for trying things out: it lets more orders fail.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
const LETS_ENCRYPT_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

const CHALLENGES: [(&str, AcmeChallenge); 2] = [("tls-alpn-01", AcmeChallenge::TlsAlpn01), ("http-01", AcmeChallenge::Http01)];
const DOMAIN_FORM: &str = "host names in quotes, like \"www.example.com\"";
const DIRECTORY_FORM: &str = "\"letsencrypt\", \"letsencrypt-staging\", or the https URL of an authority's directory";
const STORE_FORM: &str = "a folder in quotes, like \"/var/lib/larder/acme\", or \"redis\" for all replicas together";

/// `None` where there is no such section, or something is wrong with it; mistakes are noted.
pub(crate) fn read(root: &mut Table<'_>, server: &Server, has_redis: bool) -> Option<Acme> {
    let mut table = root.table("acme")?;
    let (span, mistakes) = (table.span(), table.mistakes());
    let domains = domains(&mut table);
    let contact = table.parse("contact", "an address in quotes, like \"ops@example.com\"", contact);
    let is_contact_wrong = table.has("contact") && contact.is_none();
    let directory = table.parse("directory", DIRECTORY_FORM, directory);
    let is_directory_wrong = table.has("directory") && directory.is_none();
    let mut files = Vec::new();
    let roots = table.parse("ca_file", "the path of a PEM file in quotes", |path| {
        files.push(ReadFile::now(path));
        let roots = Authorities::load(&PathBuf::from(path));
        roots.map_err(|error| Mistake::new(error.to_string()).hint("a PEM file with -----BEGIN CERTIFICATE-----"))
    });
    let are_roots_wrong = table.has("ca_file") && roots.is_none();
    let store = store(&mut table, has_redis);
    let challenges = challenges(&mut table, server);
    table.finish();
    if !server.listeners.iter().any(|listener| listener.tls.as_ref().is_some_and(|tls| tls.acme)) {
        let mistake = Mistake::new("[acme] has no effect: no listener serves its certificates");
        mistakes.warning(span, mistake.hint("add tls = { acme = true } to one of [[listeners]]"));
    }
    if is_contact_wrong || is_directory_wrong || are_roots_wrong {
        return None;
    }
    Some(Acme {
        domains: domains?,
        contact: contact.map(Spanned::into_inner),
        directory: directory.map_or_else(|| LETS_ENCRYPT.to_owned(), Spanned::into_inner),
        roots: roots.map(Spanned::into_inner),
        store: store?,
        challenges: challenges?,
        files,
    })
}

fn domains(table: &mut Table<'_>) -> Option<Vec<String>> {
    table.require("domains", "like domains = [\"www.example.com\"]: a certificate is ordered for each");
    let list = table.list("domains", DOMAIN_FORM, domain)?;
    if list.get_ref().is_empty() {
        table.mistakes().error(list.span(), Mistake::new("`domains` names no host").hint("like domains = [\"www.example.com\"]"));
        return None;
    }
    let given = list.get_ref();
    for (position, domain) in given.iter().enumerate() {
        if let Some(first) = given[..position].iter().find(|first| first.get_ref() == domain.get_ref()) {
            let mistake = Mistake::new(format!("`{}` is listed twice", domain.get_ref())).hint("remove one of them");
            table.mistakes().clash(domain.span(), mistake, Some(first.span()), "first here");
        }
    }
    Some(items(list))
}

/// A host name in small letters.
fn domain(text: &str) -> Result<String, Mistake> {
    let wrong = |hint: &str| Err(Mistake::new(format!("`{text}` is no host that a certificate can be ordered for")).hint(hint));
    if text.starts_with("*.") {
        return wrong("a wildcard is proven by a record in DNS only, which Larder cannot make; name each host");
    }
    if is_address(text) {
        return wrong("a host name, no address");
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if text.len() > 253 || !text.split('.').all(is_label) {
        return wrong("letters, digits, `-` and dots, without a port; names in other scripts in their form with xn--");
    }
    Ok(text.to_ascii_lowercase())
}

fn contact(text: &str) -> Result<String, Mistake> {
    let address = text.strip_prefix("mailto:").unwrap_or(text);
    let is_address = address.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    if !is_address || address.contains(|letter: char| letter.is_whitespace() || letter.is_control() || matches!(letter, ',' | '?')) {
        return Err(Mistake::new(format!("`{text}` is no address of mail")).hint("like contact = \"ops@example.com\""));
    }
    Ok(format!("mailto:{address}"))
}

fn directory(text: &str) -> Result<String, Mistake> {
    let url = match text {
        "letsencrypt" => LETS_ENCRYPT,
        "letsencrypt-staging" => LETS_ENCRYPT_STAGING,
        url => url,
    };
    let is_https =
        url.parse::<Uri>().is_ok_and(|uri| uri.scheme() == Some(&Scheme::HTTPS) && uri.host().is_some_and(|host| !host.is_empty()));
    if !is_https {
        return Err(Mistake::new(format!("`{text}` is no directory of an authority")).hint(DIRECTORY_FORM));
    }
    Ok(url.to_owned())
}

fn store(table: &mut Table<'_>, has_redis: bool) -> Option<AcmeStoreKind> {
    table.require("store", "like store = \"/var/lib/larder/acme\", or store = \"redis\"");
    let store = table.parse("store", STORE_FORM, |text| match text {
        "" => Err(Mistake::new("`store` names no folder").hint(STORE_FORM)),
        "redis" => Ok(AcmeStoreKind::Redis),
        folder => Ok(AcmeStoreKind::Folder(folder.into())),
    })?;
    if *store.get_ref() == AcmeStoreKind::Redis && !has_redis {
        let mistake = Mistake::new("certificates are to be kept in Redis, and there is none");
        table.mistakes().error(store.span(), mistake.hint("add [store.redis] with its url, or name a folder"));
    }
    Some(store.into_inner())
}

fn challenges(table: &mut Table<'_>, server: &Server) -> Option<Vec<AcmeChallenge>> {
    let form = "\"tls-alpn-01\" or \"http-01\"";
    let list = table.list("challenges", form, |text| choose("`challenges`", text, &CHALLENGES));
    if table.has("challenges") && list.is_none() {
        return None;
    }
    let Some(list) = list else { return Some(CHALLENGES.map(|(_, challenge)| challenge).into()) };
    let span = list.span();
    let challenges = items(list);
    let mistakes: &Mistakes = table.mistakes();
    if challenges.is_empty() {
        mistakes.error(span, Mistake::new("`challenges` names no proof").hint(format!("like challenges = [{form}]").replace(" or ", ", ")));
        return None;
    }
    let speaks_clear_text = !server.listen.is_empty() || server.listeners.iter().any(|listener| listener.tls.is_none());
    if challenges == [AcmeChallenge::Http01] && !speaks_clear_text {
        let mistake = Mistake::new("`http-01` is asked for in clear text, and no listener speaks that");
        mistakes.warning(span, mistake.hint("add a listener for port 80, with redirect = \"https\" if it is for nothing else"));
    }
    Some(challenges)
}
