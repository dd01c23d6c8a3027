//! One token, checked in the order of RFC 7519 §7.2.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use larder_semantics::{Timestamp, VerifiedClaims};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::key_set::KeySet;

/// Bytes of the longest token that is looked at.
const MAX_TOKEN: usize = 16 * 1024;

/// What a token has to say to be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRules {
    /// The algorithms that it may be signed with: pinned, whatever its header says (RFC 8725 §3.1).
    pub algorithms: Vec<Algorithm>,
    /// `iss`.
    pub issuer: String,
    /// One of these has to be in `aud`; empty: any token of the issuer counts.
    pub audience: Vec<String>,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// Claims with the values of which they must have one.
    pub claims: Vec<(String, Vec<String>)>,
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is no JWT, is too long, names a member twice, or has critical parameters (RFC 7515 §4.1.11).
    Malformed,
    /// It is signed in another way than is allowed.
    Algorithm,
    /// The key that it names is not known.
    UnknownKey,
    /// The signature is not that of a key.
    Signature,
    /// It is another issuer's, or says none.
    Issuer,
    /// It is for others.
    Audience,
    /// A claim that it has to have is missing, or has another value.
    Claims,
    /// It has no end, or that has passed.
    Expired,
    /// It does not hold yet.
    NotYet,
}

impl Refusal {
    /// All of them, with their words.
    pub const ALL: [(&'static str, Self); 9] = [
        ("malformed", Self::Malformed),
        ("algorithm", Self::Algorithm),
        ("unknown-key", Self::UnknownKey),
        ("signature", Self::Signature),
        ("issuer", Self::Issuer),
        ("audience", Self::Audience),
        ("claims", Self::Claims),
        ("expired", Self::Expired),
        ("not-yet", Self::NotYet),
    ];

    /// Whether the same token stays refused while the keys are the same.
    fn is_final(self) -> bool {
        !matches!(self, Self::UnknownKey | Self::NotYet)
    }
}

/// A token that is not believed.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) reason: Refusal,
    /// The end of a token that is good but for that. Before then, it is to be looked at again: the clock may have been ahead.
    end: Option<Timestamp>,
}

impl From<Refusal> for Refused {
    fn from(reason: Refusal) -> Self {
        Self { reason, end: None }
    }
}

impl Refused {
    /// Since when the same token stays refused while the keys are the same.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        self.reason.is_final().then(|| self.end.unwrap_or(Timestamp::from_millis(0)))
    }
}

/// A token that is believed.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) claims: VerifiedClaims,
    /// It is not believed any more from then on.
    pub(crate) until: Timestamp,
}

/// RFC 7515 §4.1. Whatever else a header says, such as where a key could be found, is not looked at.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

/// RFC 7519 §4.1.
#[derive(Deserialize)]
struct Registered {
    iss: Option<String>,
    aud: Option<OneOrSeveral>,
    exp: Option<f64>,
    nbf: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrSeveral {
    One(String),
    Several(Vec<String>),
}

/// Whether a token is to be believed at the time `now`; of its claims those of these `names`.
pub(crate) fn check(token: &[u8], keys: &KeySet, rules: &TokenRules, names: &[String], now: Timestamp) -> Result<Checked, Refused> {
    believed(&signed(token, keys, rules)?, rules, names, now)
}

/// The same of the payload of a token that is signed.
pub(crate) fn believed(payload: &[u8], rules: &TokenRules, names: &[String], now: Timestamp) -> Result<Checked, Refused> {
    // One that names a member twice is refused: nobody knows which of them others read (RFC 8725 §2.4).
    let claims = VerifiedClaims::read(&rules.issuer, payload, names).ok_or(Refusal::Malformed)?;
    let registered: Registered = serde_json::from_slice(payload).map_err(|_| Refusal::Malformed)?;
    if registered.iss.as_deref() != Some(&*rules.issuer) {
        return Err(Refusal::Issuer.into());
    }
    if !rules.audience.is_empty() && !registered.aud.is_some_and(|aud| aud.names_one_of(&rules.audience)) {
        return Err(Refusal::Audience.into());
    }
    if !rules.claims.is_empty() {
        let all: Map<String, Value> = serde_json::from_slice(payload).map_err(|_| Refusal::Malformed)?;
        if !rules.claims.iter().all(|(name, allowed)| all.get(name).is_some_and(|value| says_one_of(value, allowed))) {
            return Err(Refusal::Claims.into());
        }
    }
    // "on or after which the JWT MUST NOT be accepted", and before which, with some leeway "to account for clock skew" (§4.1.4, §4.1.5).
    let until = registered.exp.map(moment).ok_or(Refusal::Expired)?.after(rules.leeway);
    if now >= until {
        return Err(Refused { reason: Refusal::Expired, end: Some(until) });
    }
    if registered.nbf.is_some_and(|nbf| now.after(rules.leeway) < moment(nbf)) {
        return Err(Refusal::NotYet.into());
    }
    Ok(Checked { claims, until })
}

/// The payload of a token that one of the keys has signed.
fn signed(token: &[u8], keys: &KeySet, rules: &TokenRules) -> Result<Vec<u8>, Refusal> {
    if token.len() > MAX_TOKEN {
        return Err(Refusal::Malformed);
    }
    let mut parts = token.split(|&byte| byte == b'.');
    let (Some(header), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(Refusal::Malformed);
    };
    let decoded = |part: &[u8]| URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed);
    let described: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| Refusal::Malformed)?;
    if described.crit.is_some() {
        return Err(Refusal::Malformed);
    }
    let algorithm = Algorithm::named(&described.alg).filter(|algorithm| rules.algorithms.contains(algorithm)).ok_or(Refusal::Algorithm)?;
    let (message, signature) = (&token[..header.len() + 1 + payload.len()], decoded(signature)?);
    let mut refusal = Refusal::UnknownKey;
    for key in keys.candidates(algorithm, described.kid.as_deref()) {
        if key.verify_sig(message, &signature).is_ok() {
            return decoded(payload);
        }
        refusal = Refusal::Signature;
    }
    Err(refusal)
}

impl OneOrSeveral {
    fn names_one_of(&self, allowed: &[String]) -> bool {
        match self {
            Self::One(name) => allowed.contains(name),
            Self::Several(names) => names.iter().any(|name| allowed.contains(name)),
        }
    }
}

/// Whether a claim has one of these values, or a list with one. Numbers and truth values are compared as they are written.
fn says_one_of(value: &Value, allowed: &[String]) -> bool {
    match value {
        Value::String(text) => allowed.contains(text),
        Value::Array(items) => items.iter().any(|item| !item.is_array() && says_one_of(item, allowed)),
        Value::Number(_) | Value::Bool(_) => allowed.contains(&value.to_string()),
        Value::Null | Value::Object(_) => false,
    }
}

/// Of a `NumericDate`: seconds since the epoch, perhaps with fractions.
fn moment(date: f64) -> Timestamp {
    // The conversion keeps within the bounds of the type.
    Timestamp::from_millis((date * 1000.0) as u64)
}
