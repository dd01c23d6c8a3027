//! The `tls` of a listener: files are read and checked here, so that `check` says what a start would.

use std::ops::Range;
use std::path::{Path, PathBuf};

use larder_tls::{Facts, MinVersion, Pair, TlsSettings, Urgency, days_left};
use rustls::pki_types::UnixTime;

use crate::model::{ReadFile, Tls};
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::reader::Table;

const PATH_FORM: &str = "a path in quotes";
const PAIR_HINT: &str = "like tls = { certificates = [{ chain = \"/etc/larder/site.pem\", key = \"/etc/larder/site.key\" }] }";
const VERSIONS: [(&str, MinVersion); 2] = [("1.2", MinVersion::Tls12), ("1.3", MinVersion::Tls13)];

/// `None` if anything is wrong; mistakes are noted either way.
pub(crate) fn read(mut table: Table<'_>, http2: bool) -> Option<Tls> {
    table.require("certificates", PAIR_HINT);
    let mut files = Vec::new();
    let given = table.tables("certificates");
    if given.is_empty() && table.has("certificates") {
        table.mistakes().error(table.span(), Mistake::new("`certificates` names no certificate").hint(PAIR_HINT));
    }
    let pairs: Vec<_> = given.into_iter().map(|pair| certificate(pair, &mut files)).collect();
    let min_version = table.one_of("min_version", &VERSIONS).map(toml::Spanned::into_inner).unwrap_or_default();
    table.finish();
    let pairs: Vec<Pair> = pairs.into_iter().collect::<Option<_>>()?;
    let settings = TlsSettings { pairs, min_version, http2 };
    (!settings.pairs.is_empty()).then_some(Tls { settings, files })
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
            let place = if error.concerns_key() { key.span() } else { chain.span() };
            mistakes.error(place, Mistake::new(error.to_string()).hint(error.hint()));
            None
        }
    }
}

/// A certificate that clients will refuse still serves those that look away, so it keeps nothing from starting.
fn warn_about(facts: &Facts, file: &Path, place: Range<usize>, now: u64, mistakes: &Mistakes) {
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
    mistakes.warning(place, mistake);
}
