//! An issuer of bearer tokens: keys, the set of their public halves (RFC 7517), and tokens that they sign (RFC 7519).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::{Error, Result};

/// The end of tokens that do not end during a test, as claims have it: in 2100.
pub const FAR: u64 = 4_102_444_800;

/// A key that signs tokens.
pub struct TokenKey {
    id: String,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl TokenKey {
    /// For RS256.
    pub fn rsa(id: &str) -> Result<Self> {
        Self::new(id, RsaKeyPair::generate(KeySize::Rsa2048).map(Pair::Rsa))
    }

    /// For ES256.
    pub fn p256(id: &str) -> Result<Self> {
        Self::new(id, EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::P256))
    }

    /// For EdDSA.
    pub fn ed25519(id: &str) -> Result<Self> {
        Self::new(id, Ed25519KeyPair::generate().map(Pair::Ed25519))
    }

    fn new(id: &str, pair: std::result::Result<Pair, aws_lc_rs::error::Unspecified>) -> Result<Self> {
        Ok(Self { id: id.to_owned(), pair: pair.map_err(|_| Error::new("a key could not be made"))? })
    }

    /// The name of its algorithm.
    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
            Pair::Ed25519(_) => "EdDSA",
        }
    }

    /// Its public half.
    pub fn jwk(&self) -> String {
        let parts = match &self.pair {
            Pair::Rsa(pair) => {
                let [n, e] = integers(pair.public_key().as_ref());
                format!("\"kty\":\"RSA\",\"n\":\"{}\",\"e\":\"{}\"", encoded(n), encoded(e))
            }
            Pair::P256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                format!("\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"{}\",\"y\":\"{}\"", encoded(x), encoded(y))
            }
            Pair::Ed25519(pair) => format!("\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{}\"", encoded(pair.public_key().as_ref())),
        };
        format!("{{\"kid\":\"{}\",\"use\":\"sig\",{parts}}}", self.id)
    }

    /// A token with these claims, and the header that goes with the key.
    pub fn sign(&self, claims: &str) -> Result<String> {
        self.sign_with(&format!("{{\"alg\":\"{}\",\"kid\":\"{}\"}}", self.algorithm(), self.id), claims)
    }

    /// A token with this header.
    pub fn sign_with(&self, header: &str, claims: &str) -> Result<String> {
        let message = format!("{}.{}", encoded(header.as_bytes()), encoded(claims.as_bytes()));
        let failed = |_| Error::new("a token could not be signed");
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).map_err(failed)?;
                signature
            }
            Pair::P256(pair) => pair.sign(&random, message.as_bytes()).map_err(failed)?.as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
        };
        Ok(format!("{message}.{}", encoded(&signature)))
    }
}

/// The set of some keys.
pub fn key_set(keys: &[&TokenKey]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| key.jwk()).collect();
    format!("{{\"keys\":[{}]}}", keys.join(","))
}

/// A token that is signed with a secret, as HS256 does it.
pub fn sign_with_secret(header: &str, claims: &str, secret: &[u8]) -> String {
    let message = format!("{}.{}", encoded(header.as_bytes()), encoded(claims.as_bytes()));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    format!("{message}.{}", encoded(aws_lc_rs::hmac::sign(&key, message.as_bytes()).as_ref()))
}

/// Claims of `subject` by `issuer` that do not end during a test.
pub fn claims(issuer: &str, subject: &str) -> String {
    format!("{{\"iss\":\"{issuer}\",\"sub\":\"{subject}\",\"exp\":{FAR}}}")
}

/// Base64 with the alphabet for URLs and without padding.
pub fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The two numbers of an `RSAPublicKey` (RFC 8017 §A.1.1), without the byte for the sign.
fn integers(der: &[u8]) -> [&[u8]; 2] {
    let (sequence, _) = element(der);
    let (n, rest) = element(sequence);
    let (e, _) = element(rest);
    [n, e].map(|number| number.strip_prefix(&[0]).unwrap_or(number))
}

/// The content of the first element, and what stands behind it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, start) = match der[1] {
        short @ 0..=127 => (usize::from(short), 2),
        long => {
            let bytes = usize::from(long & 127);
            (der[2..2 + bytes].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), 2 + bytes)
        }
    };
    der[start..].split_at(length)
}
