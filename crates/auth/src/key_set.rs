//! The public keys of an issuer (RFC 7517).

use aws_lc_rs::signature::{ED25519, ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::algorithm::{Algorithm, Needs};

/// Keys of a set at most: an issuer has two or three.
const MAX_KEYS: usize = 100;

/// Keys that a token without the name of its key is tried with.
const MAX_TRIES: usize = 4;

/// Bits of the shortest RSA key that counts (RFC 7518 §3.3), in bytes.
const MIN_MODULUS: usize = 2048 / 8;

/// The keys that tokens may be signed with.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
}

/// A key, for each algorithm that it may be used with: so the algorithm in a token picks among these, and never how a key is read.
#[derive(Debug)]
struct Key {
    id: Option<String>,
    uses: Vec<(Algorithm, ParsedPublicKey)>,
}

/// Why a document is no set of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is no JSON object with `keys`.
    #[error("this is no set of keys: {0}")]
    NotASet(String),
    /// None of its keys can be used.
    #[error("none of its {0} keys can be used")]
    NoUse(usize),
}

/// RFC 7517 §5.
#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

/// RFC 7517 §4, RFC 7518 §6, RFC 8037 §2.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Of a document, for these algorithms. "Implementations SHOULD ignore JWKs within a JWK Set that use "kty" values that are not understood by them, that
    /// are missing required members, or for which values are out of the supported ranges" (RFC 7517 §5).
    ///
    /// # Errors
    /// [`KeySetError`] where nothing in it can be used.
    pub fn parse(document: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeySetError> {
        let document: Document = serde_json::from_slice(document).map_err(|error| KeySetError::NotASet(error.to_string()))?;
        let count = document.keys.len();
        let jwks = document.keys.into_iter().take(MAX_KEYS).filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let keys: Vec<Key> = jwks.filter_map(|jwk| Key::of(jwk, algorithms)).collect();
        if keys.is_empty() { Err(KeySetError::NoUse(count)) } else { Ok(Self { keys }) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that a token with this header may be signed with. One that names its key is tried with no other.
    pub(crate) fn candidates(&self, algorithm: Algorithm, id: Option<&str>) -> impl Iterator<Item = &ParsedPublicKey> {
        let suits = move |key: &&Key| id.is_none() || key.id.as_deref() == id;
        let keys = self.keys.iter().filter(suits);
        keys.flat_map(move |key| key.uses.iter().filter(move |(own, _)| *own == algorithm).map(|(_, key)| key)).take(MAX_TRIES)
    }
}

impl Key {
    fn of(jwk: Jwk, algorithms: &[Algorithm]) -> Option<Self> {
        let is_for_signatures = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
            && jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        if !is_for_signatures {
            return None;
        }
        let own = jwk.alg.as_deref().map(Algorithm::named);
        let suits = |algorithm: &&Algorithm| own.is_none_or(|own| own == Some(**algorithm));
        let uses: Vec<_> = algorithms.iter().filter(suits).filter_map(|&algorithm| Some((algorithm, jwk.parsed(algorithm)?))).collect();
        (!uses.is_empty()).then_some(Self { id: jwk.kid, uses })
    }
}

impl Jwk {
    /// For this algorithm; `None` where the key is of another kind.
    fn parsed(&self, algorithm: Algorithm) -> Option<ParsedPublicKey> {
        match (algorithm.needs(), self.kty.as_str(), self.crv.as_deref()) {
            (Needs::Rsa(parameters), "RSA", _) => {
                let (n, e) = (decoded(&self.n)?, decoded(&self.e)?);
                let components = RsaPublicKeyComponents { n: without_zeros(&n), e: without_zeros(&e) };
                (components.n.len() >= MIN_MODULUS).then(|| components.to_parsed_public_key(parameters).ok())?
            }
            (Needs::Curve(name, length, parameters), "EC", Some(curve)) if curve == name => {
                let (x, y) = (decoded(&self.x)?, decoded(&self.y)?);
                // "The length of this octet string MUST be the full size of a coordinate for the curve" (RFC 7518 §6.2.1.2). Uncompressed, by SEC 1 §2.3.3.
                let point = [&[4], &x[..], &y[..]].concat();
                (x.len() == length && y.len() == length).then(|| ParsedPublicKey::new(parameters, point).ok())?
            }
            (Needs::Ed25519, "OKP", Some("Ed25519")) => ParsedPublicKey::new(&ED25519, decoded(&self.x)?).ok(),
            _ => None,
        }
    }
}

fn decoded(text: &Option<String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.as_deref()?).ok()
}

/// Some issuers write a byte for the sign in front.
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}
