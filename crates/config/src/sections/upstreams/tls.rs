//! TLS to servers: `ca_file`, and `tls = { client_cert, client_key, server_name, ca_file }`.

use std::ops::Range;
use std::path::{Path, PathBuf};

use larder_tls::{Pair, Urgency, days_left};
use rustls::pki_types::{ServerName, UnixTime};
use toml::Spanned;

use crate::model::ReadFile;
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::reader::Table;

const PATH_FORM: &str = "the path of a PEM file in quotes";
const PAIR_HINT: &str = "like tls = { client_cert = \"/etc/larder/client.pem\", client_key = \"/etc/larder/client.key\" }";

/// What TLS to an upstream is done with.
#[derive(Default)]
pub(super) struct UpstreamTls {
    pub(super) ca_file: Option<PathBuf>,
    pub(super) client_certificate: Option<Pair>,
    pub(super) server_name: Option<ServerName<'static>>,
    pub(super) files: Vec<ReadFile>,
}

/// `is_https`: whether any server speaks TLS, if that is known. `None` if anything is wrong; mistakes are noted either way.
pub(super) fn read(table: &mut Table<'_>, is_https: Option<bool>) -> Option<UpstreamTls> {
    let mut tls = UpstreamTls::default();
    let outer = ca_file(table, is_https, &mut tls.files);
    let Some(mut inner) = table.table("tls") else {
        tls.ca_file = outer.map(Spanned::into_inner);
        return Some(tls);
    };
    let nested = ca_file(&mut inner, is_https, &mut tls.files);
    if let (Some(outer), Some(nested)) = (&outer, &nested) {
        let mistake = Mistake::new("`ca_file` is given twice").hint("keep the one in `tls`");
        inner.mistakes().clash(nested.span(), mistake, Some(outer.span()), "and here");
    }
    tls.ca_file = nested.or(outer).map(Spanned::into_inner);
    let name = inner.parse("server_name", "a host name in quotes", server_name);
    let is_misnamed = inner.has("server_name") && name.is_none();
    tls.server_name = name.map(Spanned::into_inner);
    let pair = client_certificate(&mut inner, &mut tls.files);
    if is_https == Some(false) {
        let mistake = Mistake::new("`tls` has no effect: this upstream's url is not https");
        inner.mistakes().warning(inner.span(), mistake.hint("leave it out, or begin the url with https://"));
    }
    inner.finish();
    tls.client_certificate = pair?;
    (!is_misnamed).then_some(tls)
}

fn ca_file(table: &mut Table<'_>, https: Option<bool>, files: &mut Vec<ReadFile>) -> Option<Spanned<PathBuf>> {
    let file = table.parse("ca_file", PATH_FORM, |text| match std::fs::File::open(text) {
        Ok(_) => Ok(PathBuf::from(text)),
        Err(error) => {
            let hint = "a path is relative to the directory in which larder is started";
            Err(Mistake::new(format!("cannot read `{text}`: {}", error.kind())).hint(hint))
        }
    })?;
    if https == Some(false) {
        let mistake = Mistake::new("`ca_file` has no effect: this upstream's url is not https");
        table.mistakes().warning(file.span(), mistake.hint("leave it out, or begin the url with https://"));
    }
    files.push(ReadFile::now(file.get_ref()));
    Some(file)
}

fn server_name(text: &str) -> Result<ServerName<'static>, Mistake> {
    ServerName::try_from(text.to_owned()).map_err(|_| {
        Mistake::new(format!("`{text}` is not a name that a certificate can be for")).hint("a host name or an address, without a port")
    })
}

/// The inner `None`: no certificate is shown. The outer: something is wrong.
fn client_certificate(table: &mut Table<'_>, files: &mut Vec<ReadFile>) -> Option<Option<Pair>> {
    let mut path = |key| table.parse(key, PATH_FORM, |text| Ok(PathBuf::from(text)));
    let (chain, key) = (path("client_cert"), path("client_key"));
    let (chain, key) = match (chain, key) {
        (Some(chain), Some(key)) => (chain, key),
        (None, None) => return (!table.has("client_cert") && !table.has("client_key")).then_some(None),
        (chain, key) => {
            let given = chain.or(key).map_or(table.span(), |given| given.span());
            table.mistakes().error(given, Mistake::new("`client_cert` and `client_key` go together").hint(PAIR_HINT));
            return None;
        }
    };
    files.extend([chain.get_ref(), key.get_ref()].map(ReadFile::now));
    match Pair::load(chain.get_ref(), key.get_ref()) {
        Ok(pair) => {
            warn_about_end(pair.facts().not_after, chain.get_ref(), chain.span(), table.mistakes());
            Some(Some(pair))
        }
        Err(error) => {
            let span = if error.concerns_key() { key.span() } else { chain.span() };
            table.mistakes().error(span, Mistake::new(error.to_string()).hint(error.hint()));
            None
        }
    }
}

fn warn_about_end(not_after: u64, file: &Path, span: Range<usize>, mistakes: &Mistakes) {
    let (now, file) = (UnixTime::now().as_secs(), file.display());
    let what = if not_after <= now {
        format!("the client certificate in {file} has expired: servers refuse it")
    } else if Urgency::of(not_after, now) > Urgency::None {
        format!("the client certificate in {file} expires in {} days", days_left(not_after, now))
    } else {
        return;
    };
    mistakes.warning(span, Mistake::new(what).hint("renew it; a changed file is read at once"));
}
