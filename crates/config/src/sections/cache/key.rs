//! `key` in `[cache]`, a class or a route: what is part of a cache key besides namespace, version and query.

use std::ops::Range;

use http::HeaderName;
use http::header::{AUTHORIZATION, CONNECTION, COOKIE, FORWARDED, HOST, PROXY_AUTHORIZATION, VIA};
use larder_semantics::content::{ContentKind, Pointer};
use larder_semantics::fields::is_hop_by_hop;
use larder_semantics::{IdentityPart, KeyRules, PathCase};
use toml::Spanned;

use super::{items, set};
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::reader::Table;

/// What one table says; `None` is "not here".
#[derive(Clone, Debug, Default)]
pub(super) struct KeyLayer {
    host: Option<bool>,
    scheme: Option<bool>,
    path: Option<PathCase>,
    headers: Option<Vec<HeaderName>>,
    cookies: Option<Vec<String>>,
    claims: Option<Spanned<Vec<String>>>,
    unverified: Option<Spanned<bool>>,
    /// A template, which only a route's path gives its places.
    pub(super) name: Option<Spanned<String>>,
    /// `None` in it: no content counts.
    pub(super) body: Option<Spanned<Option<ContentKind>>>,
    pub(super) drop: Option<Spanned<Vec<Spanned<Pointer>>>>,
    pub(super) only: Option<Spanned<Vec<Spanned<Pointer>>>>,
}

impl KeyLayer {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let Some(mut key) = table.table("key") else { return Self::default() };
        let layer = Self {
            host: key.boolean("host"),
            scheme: key.boolean("scheme"),
            path: key.one_of("path", &[("as-sent", PathCase::AsSent), ("lower", PathCase::Lower)]).map(toml::Spanned::into_inner),
            headers: key.list("headers", "field names in quotes, like \"x-branch\"", field).map(items),
            cookies: key.list("cookies", "cookie names in quotes, like \"locale\"", cookie).map(items),
            claims: key.list("jwt", "names of claims in quotes, like \"sub\"", claim).map(|list| Spanned::new(list.span(), items(list))),
            unverified: key.boolean_at("unsafe_unverified"),
            name: key.parse("name", "a template in quotes, like \"{namespace}:issue:{id}:{query}\"", |text| Ok(text.to_owned())),
            body: key.one_of("body", &BODIES),
            drop: key.list("drop", "JSON Pointers in quotes, like \"/metadata\"", pointer),
            only: key.list("only", "JSON Pointers in quotes, like \"/query\"", pointer),
        };
        key.finish();
        layer
    }

    /// Lays this over what it inherits.
    pub(super) fn apply(&self, base: &mut KeyRules) {
        set(&mut base.host, &self.host);
        set(&mut base.scheme, &self.scheme);
        set(&mut base.path, &self.path);
        set(&mut base.headers, &self.headers);
        set(&mut base.cookies.key, &self.cookies);
        if let Some(claims) = &self.claims {
            base.claims.clone_from(claims.get_ref());
            base.unverified_claims = self.takes_unverified();
        }
    }

    fn takes_unverified(&self) -> bool {
        self.unverified.as_ref().is_some_and(|said| *said.get_ref())
    }

    /// Claims of the key, and of an `identity` beside it, count where tokens are verified: here, or for who says so elsewhere.
    pub(super) fn check_claims<'p>(
        &self,
        mut identity: impl Iterator<Item = (Range<usize>, &'p IdentityPart)>,
        verifies: bool,
        mistakes: &Mistakes,
    ) {
        let claim = identity.find(|(_, part)| matches!(part, IdentityPart::Claim(_)));
        if let Some((span, _)) = claim.filter(|_| !verifies) {
            let mistake = Mistake::new("\"jwt:\" is about tokens that are verified, and none is");
            mistakes.error(span, mistake.hint("add [auth.jwt] with the issuer's keys; \"header:authorization\" needs none"));
        }
        let claims = self.claims.as_ref().filter(|claims| !claims.get_ref().is_empty());
        if let Some(claims) = claims.filter(|_| !verifies && !self.takes_unverified()) {
            let mistake = Mistake::new(
                "`jwt` takes claims from tokens that nobody has verified here: a forged one gets what is stored under its claims",
            );
            let hint =
                "add [auth.jwt] with the issuer's keys; or unsafe_unverified = true, where something before Larder verifies every token";
            mistakes.error(claims.span(), mistake.hint(hint));
        }
        if let Some(said) = self.unverified.as_ref().filter(|_| verifies && self.takes_unverified()) {
            let mistake = Mistake::new("`unsafe_unverified` believes every token, although [auth.jwt] verifies them");
            mistakes.warning(said.span(), mistake.hint("leave it out"));
        }
    }
}

const BODIES: [(&str, Option<ContentKind>); 8] = [
    ("none", None),
    ("bytes", Some(ContentKind::Bytes)),
    ("json", Some(ContentKind::Json)),
    ("form", Some(ContentKind::Form)),
    ("chat", Some(ContentKind::Chat)),
    ("embeddings", Some(ContentKind::Embeddings)),
    ("graphql", Some(ContentKind::GraphQl)),
    ("json-rpc", Some(ContentKind::JsonRpc)),
];

fn pointer(text: &str) -> Result<Pointer, Mistake> {
    let hint = "a part of the body, like \"/metadata\" or \"/messages/0/id\"; for a form, \"/name\" of a field";
    let bad = |_| Mistake::new(format!("`{text}` is not a JSON Pointer (RFC 6901)")).hint(hint);
    Pointer::parse(text).map_err(bad).and_then(|pointer| {
        let is_whole = pointer.tokens().is_empty();
        if is_whole { Err(Mistake::new("this JSON Pointer is the whole body").hint(hint)) } else { Ok(pointer) }
    })
}

/// A field that is the client's, and reaches the backend.
fn field(text: &str) -> Result<HeaderName, Mistake> {
    let name = HeaderName::try_from(text)
        .map_err(|_| Mistake::new(format!("`{text}` is not the name of a field")).hint("like \"x-branch\" or \"accept-language\""))?;
    let hint = match &name {
        name if *name == AUTHORIZATION || *name == PROXY_AUTHORIZATION => "scope = \"identity\" keeps a response for each user",
        name if *name == COOKIE => "name the cookies that matter: key = { cookies = [\"locale\"] }",
        name if *name == HOST => "the host is in the key unless it says host = false",
        name if *name == FORWARDED || *name == VIA || *name == "x-real-ip" || name.as_str().starts_with("x-forwarded-") => {
            "the backend gets what Larder writes there, not what the client sends"
        }
        name if *name == CONNECTION || is_hop_by_hop(name) => "it goes no further than this connection",
        _ => return Ok(name),
    };
    Err(Mistake::new(format!("`{text}` cannot be part of a key")).hint(hint))
}

pub(crate) fn claim(text: &str) -> Result<String, Mistake> {
    let is_name = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/~".contains(&byte));
    if is_name {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(format!("`{text}` is not the name of a claim"))
        .hint("at the top level of the token, like \"sub\" or \"https://example.com/org\""))
}

/// A token (RFC 6265 §4.1.1) without `#` and `*`, which mean something in keys and in patterns.
pub(crate) fn is_cookie_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!$%&'+-.^_`|~".contains(&byte))
}

fn cookie(text: &str) -> Result<String, Mistake> {
    if is_cookie_name(text) {
        return Ok(text.to_owned());
    }
    let mistake = Mistake::new(format!("`{text}` is not the name of a cookie"));
    Err(mistake.hint(if text.contains('*') { "each cookie of the key is named in full" } else { "like \"locale\"" }))
}
