//! The `tls` of a listener: files are read and checked here, so that `check` says what a start would.

use std::ops::Range;
use std::path::{Path, PathBuf};

use larder_redis_options::SealKey;
use larder_tls::{Authorities, ClientCertificates, Facts, MinVersion, Pair, Revocations, TicketKeys, TlsSettings, Urgency, days_left};
use rustls::pki_types::UnixTime;

use crate::model::{ReadFile, Tls};
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::reader::Table;
use crate::parse::units;

const PATH_FORM: &str = "a path in quotes";
const HSTS_FORM: &str = "a time in quotes, like \"180d\", and behind it what else holds: \"365d; includeSubDomains; preload\"";
const PAIR_HINT: &str =
    "like tls = { certificates = [{ chain = \"/etc/larder/site.pem\", key = \"/etc/larder/site.key\" }] }, or acme = true";
const VERSIONS: [(&str, MinVersion); 2] = [("1.2", MinVersion::Tls12), ("1.3", MinVersion::Tls13)];

/// `None` if anything is wrong; mistakes are noted either way. `has_acme`: whether there is a section that says where certificates come from.
pub(crate) fn read(mut table: Table<'_>, http2: bool, has_acme: bool) -> Option<Tls> {
    let acme = table.boolean_at("acme");
    let is_acme = acme.as_ref().is_some_and(|acme| *acme.get_ref());
    if let Some(acme) = acme.filter(|_| is_acme && !has_acme) {
        let mistake = Mistake::new("no section says which authority issues the certificates");
        table
            .mistakes()
            .error(acme.span(), mistake.hint("add [acme] with domains = [\"www.example.com\"] and store = \"/var/lib/larder/acme\""));
    }
    if !is_acme {
        table.require("certificates", PAIR_HINT);
    }
    let mut files = Vec::new();
    let given = table.tables("certificates");
    if given.is_empty() && table.has("certificates") {
        table.mistakes().error(table.span(), Mistake::new("`certificates` names no certificate").hint(PAIR_HINT));
    }
    let pairs: Vec<_> = given.into_iter().map(|pair| certificate(pair, &mut files)).collect();
    let min_version = table.one_of("min_version", &VERSIONS).map(toml::Spanned::into_inner).unwrap_or_default();
    let hsts = table.parse("hsts", HSTS_FORM, hsts).map(toml::Spanned::into_inner);
    let clients = clients(&mut table, &mut files);
    let ticket_keys = ticket_keys(&mut table, &mut files);
    table.finish();
    let (pairs, clients): (Vec<Option<Pair>>, _) = (pairs, clients?);
    let pairs: Vec<Pair> = pairs.into_iter().collect::<Option<_>>()?;
    let settings = TlsSettings { pairs, min_version, clients, ticket_keys: ticket_keys?, hsts, http2 };
    (is_acme || !settings.pairs.is_empty()).then_some(Tls { settings, files, acme: is_acme })
}

/// `"180d"`, and behind it `; includeSubDomains` and `; preload` (RFC 6797 §6.1).
fn hsts(text: &str) -> Result<Box<str>, Mistake> {
    let wrong = || Mistake::new(format!("`{text}` is not a policy of Strict-Transport-Security")).hint(format!("expected {HSTS_FORM}"));
    let mut parts = text.split(';').map(str::trim);
    let age = parts.next().unwrap_or_default();
    let seconds = match age.strip_suffix('d').map(|days| days.parse::<u32>()) {
        Some(Ok(days)) => u64::from(days) * 86_400,
        _ => u64::from(units::seconds(age).map_err(|_| wrong())?),
    };
    let mut policy = format!("max-age={seconds}");
    for part in parts {
        let known = ["includeSubDomains", "preload"].into_iter().find(|known| known.eq_ignore_ascii_case(part)).ok_or_else(wrong)?;
        policy.push_str("; ");
        policy.push_str(known);
    }
    Ok(policy.into())
}

/// The inner `None`: clients are not asked for certificates. The outer: something is wrong.
fn clients(table: &mut Table<'_>, files: &mut Vec<ReadFile>) -> Option<Option<ClientCertificates>> {
    const MODES: [(&str, Option<bool>); 3] = [("none", None), ("optional", Some(false)), ("required", Some(true))];
    let file = table.parse("client_ca", PATH_FORM, |text| Ok(PathBuf::from(text)));
    let list = table.parse("client_crl", PATH_FORM, |text| Ok(PathBuf::from(text)));
    let mode = table.one_of("client_certificate", &MODES);
    if (table.has("client_certificate") && mode.is_none()) || (table.has("client_crl") && list.is_none()) {
        return None;
    }
    let Some(file) = file else {
        let required = mode.filter(|mode| mode.get_ref().is_some()).map(|mode| mode.span());
        let asked = required.or(list.map(|list| list.span()));
        if let Some(span) = &asked {
            let mistake = Mistake::new("nobody says whose client certificates count");
            table.mistakes().error(span.clone(), mistake.hint("add client_ca = \"FILE\" with the authorities that issue them, in PEM"));
        }
        return asked.is_none().then_some(None);
    };
    files.push(ReadFile::now(file.get_ref()));
    let authorities = match Authorities::load(file.get_ref()) {
        Ok(authorities) => authorities,
        Err(error) => {
            table.mistakes().error(file.span(), Mistake::new(error.to_string()).hint("a PEM file with -----BEGIN CERTIFICATE-----"));
            return None;
        }
    };
    let revocations = match list {
        Some(list) => Some(revocations(&list, &authorities, table.mistakes(), files)?),
        None => None,
    };
    // Who names authorities wants certificates of theirs.
    let required = mode.map_or(Some(true), toml::Spanned::into_inner);
    Some(required.map(|required| ClientCertificates { required, authorities, revocations }))
}

/// `None` if the file holds no lists. One that has ended refuses clients and nothing else, so it keeps nothing from starting.
fn revocations(
    list: &toml::Spanned<PathBuf>,
    authorities: &Authorities,
    mistakes: &Mistakes,
    files: &mut Vec<ReadFile>,
) -> Option<Revocations> {
    const RENEW: &str = "fetch a new one from the authority before each ends; a changed file is read at once";
    files.push(ReadFile::now(list.get_ref()));
    let revocations = match Revocations::load(list.get_ref(), authorities) {
        Ok(revocations) => revocations,
        Err(error) => {
            mistakes.error(list.span(), Mistake::new(error.to_string()).hint("a PEM file with -----BEGIN X509 CRL-----"));
            return None;
        }
    };
    let file = list.get_ref().display();
    if revocations.next_update() <= UnixTime::now().as_secs() {
        let mistake = Mistake::new(format!("a list of revoked certificates in {file} has ended: clients of its authority are refused"));
        mistakes.warning(list.span(), mistake.hint(RENEW));
    }
    if revocations.uncovered() > 0 {
        let count = revocations.uncovered();
        let mistake = Mistake::new(format!("{count} of the authorities in `client_ca` have no list in {file}: their clients are refused"));
        mistakes.warning(list.span(), mistake.hint("put a list of each authority into the file, one after the other"));
    }
    Some(revocations)
}

/// Keys that replicas share: 32 bytes a line, the first for new tickets. The outer `None`: something is wrong.
fn ticket_keys(table: &mut Table<'_>, files: &mut Vec<ReadFile>) -> Option<Option<TicketKeys>> {
    const HINT: &str = "one key a line, the newest first: openssl rand -hex 32";
    if !table.has("ticket_keys") {
        return Some(None);
    }
    let keys = table.parse("ticket_keys", PATH_FORM, |path| {
        files.push(ReadFile::now(path));
        let text = std::fs::read_to_string(path).map_err(|error| {
            Mistake::new(format!("cannot read the keys in {path}: {error}")).hint("the user who runs larder must be able to read it")
        })?;
        let keys = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys = keys.map(|line| SealKey::parse(line).map(|key| *key.bytes())).collect::<Result<_, _>>();
        let keys = keys.map_err(|error| Mistake::new(format!("a line in {path} is no key: {error}")).hint(HINT))?;
        TicketKeys::new(keys).ok_or_else(|| Mistake::new(format!("there is no key in {path}")).hint(HINT))
    })?;
    Some(Some(keys.into_inner()))
}

fn certificate(mut table: Table<'_>, files: &mut Vec<ReadFile>) -> Option<Pair> {
    table.require("chain", PAIR_HINT);
    table.require("key", PAIR_HINT);
    let mut path = |key| table.parse(key, PATH_FORM, |text| Ok(PathBuf::from(text)));
    let (chain, key) = (path("chain"), path("key"));
    let mistakes = table.mistakes();
    table.finish();
    let (chain, key) = (chain?, key?);
    files.extend([chain.get_ref(), key.get_ref()].map(ReadFile::now));
    match Pair::load(chain.get_ref(), key.get_ref()) {
        Ok(pair) => {
            warn_about(pair.facts(), chain.get_ref(), chain.span(), UnixTime::now().as_secs(), mistakes);
            Some(pair)
        }
        Err(error) => {
            let span = if error.concerns_key() { key.span() } else { chain.span() };
            mistakes.error(span, Mistake::new(error.to_string()).hint(error.hint()));
            None
        }
    }
}

/// A certificate that clients will refuse still serves those that look away, so it keeps nothing from starting.
fn warn_about(facts: &Facts, file: &Path, span: Range<usize>, now: u64, mistakes: &Mistakes) {
    let file = file.display();
    let mistake = if facts.not_after <= now {
        Mistake::new(format!("the certificate in {file} has expired: clients refuse it")).hint("renew it; a changed file is read at once")
    } else if facts.not_before > now {
        Mistake::new(format!("the certificate in {file} is not valid yet: clients refuse it")).hint("look at the clock of this machine")
    } else if Urgency::of(facts.not_after, now) > Urgency::None {
        let days = days_left(facts.not_after, now);
        Mistake::new(format!("the certificate in {file} expires in {days} days")).hint("renew it; a changed file is read at once")
    } else if facts.names.is_empty() {
        Mistake::new(format!("the certificate in {file} has no alternative name: clients refuse it"))
            .hint("host names belong into subjectAltName (RFC 9525); the common name is not looked at")
    } else {
        return;
    };
    mistakes.warning(span, mistake);
}
