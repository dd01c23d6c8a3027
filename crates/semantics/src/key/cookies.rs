//! The cookies of a request as a cache looks at them: part of the key, as if absent, or private to whoever sends them.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use super::{IdentityPart, KeyRules, push_value};
use crate::pattern::matches_pattern;

/// How a route looks at cookies: by default they are neither in the key nor ignored.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CookieRules {
    /// Names of the cookies that are part of the key, in the order in which they stand there.
    pub key: Vec<String>,
    /// Names of the cookies that are as if absent; one `*` in each stands for any text. A cookie of the key or of an identity is none of them.
    pub ignored: Vec<String>,
}

impl CookieRules {
    /// Cookies of scripts that count visitors and of services in front, which no origin makes its answers of: Google, Facebook, Hotjar, Matomo,
    /// Microsoft, Segment, Mixpanel, Amplitude, PostHog, HubSpot, Marketo, LinkedIn, TikTok, Pinterest, Snapchat, Reddit, Cloudflare.
    pub const COUNTING: [&str; 34] = [
        "_ga*",
        "_gid",
        "_gat*",
        "_gac_*",
        "_gcl_*",
        "_dc_gtm_*",
        "__utm*",
        "_fbp",
        "_fbc",
        "_hj*",
        "_pk_*",
        "_clck",
        "_clsk",
        "_uetsid",
        "_uetvid",
        "ajs_*",
        "mp_*_mixpanel",
        "amp_*",
        "AMP_*",
        "amplitude_*",
        "ph_*_posthog",
        "__hstc",
        "__hssc",
        "__hssrc",
        "hubspotutk",
        "_mkto_trk",
        "li_fat_id",
        "_ttp",
        "_tt_enable_cookie",
        "_pin_unauth",
        "_scid*",
        "_rdt_uuid",
        "__cf_bm",
        "_cfuvid",
    ];
}

/// What becomes of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieFate {
    /// It is part of the key, or of the identity in it.
    InKey,
    /// It is as if absent.
    Ignored,
    /// It may make the answer one for this client alone.
    Private,
}

impl KeyRules {
    /// Whether a cookie of this name is part of the key, or of the identity in it.
    pub(crate) fn keeps_cookie(&self, name: &[u8]) -> bool {
        self.is_kept(name)
    }

    /// Whether a request has cookies that are neither part of the key nor ignored, so that its answer may be for one client only.
    pub fn has_private_cookies(&self, headers: &HeaderMap) -> bool {
        pairs(headers).any(|pair| !self.is_kept(name_of(pair)) && !self.is_ignored(name_of(pair)))
    }

    /// The names of a request's cookies with what becomes of each.
    pub fn fates_of_cookies<'h>(&self, headers: &'h HeaderMap) -> Vec<(&'h [u8], CookieFate)> {
        let fate = |name| match name {
            name if self.is_kept(name) => CookieFate::InKey,
            name if self.is_ignored(name) => CookieFate::Ignored,
            _ => CookieFate::Private,
        };
        pairs(headers).map(|pair| (name_of(pair), fate(name_of(pair)))).collect()
    }

    /// Takes the ignored cookies out of a request: an origin must not answer by what the key knows nothing of. Tells whether there were any;
    /// allocates only then.
    pub fn strip_ignored_cookies(&self, headers: &mut HeaderMap) -> bool {
        strip_cookies(headers, |name| self.is_ignored(name))
    }

    fn is_kept(&self, name: &[u8]) -> bool {
        let in_identity = |part: &IdentityPart| matches!(part, IdentityPart::Cookie(cookie) if cookie.as_bytes() == name);
        self.cookies.key.iter().any(|key| key.as_bytes() == name) || self.identity.iter().any(in_identity)
    }

    fn is_ignored(&self, name: &[u8]) -> bool {
        self.cookies.ignored.iter().any(|pattern| matches_pattern(pattern, name)) && !self.is_kept(name)
    }
}

/// Takes the cookies of these names out of a request. Tells whether there were any; allocates only then.
pub fn strip_cookies(headers: &mut HeaderMap, is_stripped: impl Fn(&[u8]) -> bool) -> bool {
    if !pairs(headers).any(|pair| is_stripped(name_of(pair))) {
        return false;
    }
    let kept: Vec<&[u8]> = pairs(headers).filter(|pair| !is_stripped(name_of(pair))).collect();
    let kept = HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok().filter(|kept| !kept.is_empty());
    match kept {
        Some(kept) => _ = headers.insert(COOKIE, kept),
        None => _ = headers.remove(COOKIE),
    }
    true
}

/// Appends ` #cookies=` and the cookies of these names, `a=1;b=2`; nothing where the request has none of them.
pub(super) fn write(names: &[String], headers: &HeaderMap, text: &mut String) {
    let mut separator = super::COOKIES;
    for name in names {
        for value in values(headers, name) {
            text.push_str(separator);
            separator = ";";
            text.push_str(name);
            text.push('=');
            push_value(text, value);
        }
    }
}

/// The values of every cookie of that name (RFC 6265 §4.2.1: `name=value` pairs parted by `; `; names are case-sensitive).
pub(super) fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    pairs(headers).filter_map(move |pair| {
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        (pair[..equals].trim_ascii() == name.as_bytes()).then(|| pair[equals + 1..].trim_ascii())
    })
}

/// Every cookie of a request, as it was sent.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|&byte| byte == b';'));
    pairs.map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty())
}

/// The name: the part before the `=`. Browsers send a cookie without a name as a value alone, which is no name that a rule could mean.
fn name_of(pair: &[u8]) -> &[u8] {
    pair.iter().position(|&byte| byte == b'=').map_or(&[][..], |equals| pair[..equals].trim_ascii())
}
