//! `[auth.jwt]`: tokens whose claims tell clients apart.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use larder_auth::{Algorithm, KeySet, TokenRules};
use larder_tls::Authorities;
use toml::Spanned;

use crate::model::{JwksUrl, JwtAuth, JwtKeys, ReadFile};
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::nearest;
use crate::parse::reader::Table;
use crate::sections::cache::items;
use crate::sections::cache::key::claim;
use crate::sections::upstreams::positive;

/// Larger sets are not read: an issuer has two or three keys.
const MAX_KEY_SET: u64 = 1 << 20;

/// Clocks that differ by more are broken.
const MAX_LEEWAY: Duration = Duration::from_secs(600);

const URL_FORM: &str = "a URL in quotes, like \"https://id.example.com/.well-known/jwks.json\"";

/// What stands there, if it is right; mistakes are noted.
pub(crate) fn read(root: &mut Table<'_>) -> Option<Spanned<JwtAuth>> {
    let mut table = root.table("auth")?;
    let jwt = table.table("jwt").and_then(|table| {
        let span = table.span();
        jwt(table).map(|jwt| Spanned::new(span, jwt))
    });
    table.finish();
    jwt
}

/// Says that it was configured in vain.
pub(crate) fn warn_of_no_use(jwt: &Spanned<JwtAuth>, mistakes: &Mistakes) {
    let mistake = Mistake::new("[auth.jwt] has no effect: nothing is told apart by claims");
    mistakes.warning(
        jwt.span(),
        mistake.hint("add identity = [\"jwt:sub\"] or key = { jwt = [\"org\"] } to a route, or \"jwt:sub\" to a limit"),
    );
}

fn jwt(mut table: Table<'_>) -> Option<JwtAuth> {
    let (span, mistakes) = (table.span(), table.mistakes());
    table.require("issuer", "like issuer = \"https://id.example.com\": the `iss` of its tokens, letter by letter");
    let issuer = table.parse("issuer", "the `iss` of tokens in quotes", |text| match text {
        "" => Err(Mistake::new("`issuer` is empty").hint("the `iss` of its tokens, letter by letter")),
        issuer => Ok(issuer.to_owned()),
    });
    let algorithms = algorithms(&mut table);
    let audience = table.one_or_list("audience", "the `aud` of tokens in quotes, or a list of some", |text| Ok(text.to_owned()));
    let leeway = leeway(&mut table);
    let claims = table.named_lists("claims", "values in quotes", |name, value| claim(name).map(|name| (name, value.to_owned())));
    let max_tokens = table.integer("max_tokens", 100..=1_000_000).and_then(|count| usize::try_from(count).ok()).unwrap_or(10_000);
    let mut files = Vec::new();
    let keys = match (table.has("jwks_file"), table.has("jwks_url")) {
        (true, false) => {
            warn_of_url_keys(&mut table);
            file(&mut table, &algorithms, &mut files).map(JwtKeys::Document)
        }
        (false, true) => url(&mut table, &mut files).map(JwtKeys::Url),
        (given, _) => {
            let (said, hint) = if given { ("both `jwks_file` and `jwks_url`", "leave one of them out") } else { ("no keys", URL_HINT) };
            mistakes.error(span, Mistake::new(format!("[auth.jwt] has {said}")).hint(hint));
            for key in ["jwks_file", "jwks_url", "ca_file", "refresh", "min_refresh"] {
                table.get(key);
            }
            None
        }
    };
    table.finish();
    let audience = audience.into_iter().flatten().map(Spanned::into_inner).collect();
    let claims = claims.into_iter().filter(|(_, values)| !values.is_empty());
    let claims =
        claims.map(|(name, values)| ((*name.get_ref()).to_owned(), values.into_iter().map(|value| value.into_inner().1).collect()));
    let rules = TokenRules { algorithms, issuer: issuer?.into_inner(), audience, leeway, claims: claims.collect() };
    Some(JwtAuth { keys: keys?, rules, max_tokens, files })
}

const URL_HINT: &str = "add jwks_url = \"https://id.example.com/.well-known/jwks.json\", or jwks_file with the same document";

fn algorithms(table: &mut Table<'_>) -> Vec<Algorithm> {
    let list = table.list("algorithms", "names of algorithms in quotes, like \"RS256\"", |text| {
        let known = Algorithm::ALL.iter().find(|(name, _)| *name == text);
        known.map(|(_, algorithm)| *algorithm).ok_or_else(|| match text {
            "none" => Mistake::new("a token with `none` has no signature").hint("name what the issuer signs with, like \"RS256\""),
            secret if secret.starts_with("HS") => {
                Mistake::new(format!("`{secret}` signs with a secret, which a set of public keys cannot hold"))
                    .hint("let the issuer sign with a private key: \"RS256\", \"ES256\", \"EdDSA\"")
            }
            other => Mistake::new(format!("unknown algorithm `{other}`")).hint(nearest::hint(
                other,
                Algorithm::ALL.iter().map(|(name, _)| *name),
                "there are",
            )),
        })
    });
    let Some(list) = list else { return vec![Algorithm::Rs256, Algorithm::Es256] };
    if list.get_ref().is_empty() {
        table.mistakes().error(list.span(), Mistake::new("`algorithms` names none").hint("leave it out for RS256 and ES256"));
    }
    items(list)
}

fn leeway(table: &mut Table<'_>) -> Duration {
    let Some(leeway) = table.duration("leeway") else { return Duration::from_secs(60) };
    if *leeway.get_ref() > MAX_LEEWAY {
        let mistake = Mistake::new("a `leeway` this long believes tokens that have ended");
        table.mistakes().error(leeway.span(), mistake.hint("at most \"10m\": it is for clocks that differ"));
    }
    leeway.into_inner()
}

/// The document, if it has keys for these algorithms.
fn file(table: &mut Table<'_>, algorithms: &[Algorithm], files: &mut Vec<ReadFile>) -> Option<Arc<[u8]>> {
    let path = table.parse("jwks_file", "the path of a JSON file in quotes", |text| Ok(PathBuf::from(text)))?;
    files.push(ReadFile::now(path.get_ref()));
    let document = match document(path.get_ref()) {
        Ok(document) => document,
        Err(error) => {
            let mistake = Mistake::new(format!("cannot read {}: {error}", path.get_ref().display()));
            table.mistakes().error(path.span(), mistake.hint("the user who runs larder must be able to read it"));
            return None;
        }
    };
    if let Err(error) = KeySet::parse(&document, algorithms) {
        let mistake = Mistake::new(format!("{}: {error}", path.get_ref().display()));
        table.mistakes().error(path.span(), mistake.hint("a JSON Web Key Set (RFC 7517) with public keys for `algorithms`"));
        return None;
    }
    Some(document.into())
}

fn document(path: &Path) -> Result<Vec<u8>, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.kind().to_string())?;
    // A pipe would be waited for, and a device may have no end.
    if !metadata.is_file() || metadata.len() > MAX_KEY_SET {
        return Err("it is no file of keys".to_owned());
    }
    std::fs::read(path).map_err(|error| error.kind().to_string())
}

/// Keys of the table that a file has no use for.
fn warn_of_url_keys(table: &mut Table<'_>) {
    for key in ["ca_file", "refresh", "min_refresh"] {
        if let Some(value) = table.get(key) {
            let mistake = Mistake::new(format!("`{key}` is for `jwks_url`, and there is none"));
            table.mistakes().warning(value.span(), mistake.hint("leave it out: a changed file is read at once"));
        }
    }
}

fn url(table: &mut Table<'_>, files: &mut Vec<ReadFile>) -> Option<JwksUrl> {
    let mistakes = table.mistakes();
    let url = table.parse("jwks_url", URL_FORM, jwks_url);
    let is_secure = url.as_ref().is_none_or(|url| url.get_ref().scheme_str() == Some("https"));
    if let Some(url) = url.as_ref().filter(|url| !is_secure && !is_local(url.get_ref())) {
        let mistake = Mistake::new("keys that come over http may be anybody's");
        mistakes.warning(
            url.span(),
            mistake.hint("begin `jwks_url` with https://, and name who issues its certificate in `ca_file` if need be"),
        );
    }
    let authorities = table.parse("ca_file", "the path of a PEM file in quotes", |text| {
        files.push(ReadFile::now(text));
        Authorities::load(Path::new(text))
            .map_err(|error| Mistake::new(error.to_string()).hint("a PEM file with the authorities that issue its certificate"))
    });
    if let Some(authorities) = authorities.as_ref().filter(|_| !is_secure) {
        let mistake = Mistake::new("`ca_file` has no effect: `jwks_url` is not https");
        mistakes.warning(authorities.span(), mistake.hint("leave it out, or begin the URL with https://"));
    }
    let refresh = positive(table, "refresh").unwrap_or(Duration::from_secs(3600));
    let min_refresh = table.duration("min_refresh");
    if let Some(least) = min_refresh.as_ref().filter(|least| *least.get_ref() > refresh) {
        let mistake = Mistake::new("`min_refresh` is longer than `refresh`");
        mistakes.error(least.span(), mistake.hint("it bounds the fetches between two of those: \"10s\""));
    }
    let min_refresh = min_refresh.map_or(Duration::from_secs(10), Spanned::into_inner);
    Some(JwksUrl { url: url?.into_inner(), authorities: authorities.map(Spanned::into_inner), refresh, min_refresh })
}

fn jwks_url(text: &str) -> Result<Uri, Mistake> {
    let wrong = || Mistake::new(format!("`{text}` is not the URL of a set of keys")).hint(format!("write {URL_FORM}"));
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let is_known = matches!(uri.scheme_str(), Some("http" | "https"));
    match uri.authority() {
        Some(authority) if is_known && !authority.host().is_empty() && !authority.as_str().contains('@') => Ok(uri),
        _ => Err(wrong()),
    }
}

/// Whether what is fetched from there comes from this machine.
fn is_local(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
