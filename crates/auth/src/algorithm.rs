//! Algorithms of signatures.

use aws_lc_rs::signature::{self, EcdsaVerificationAlgorithm, RsaParameters};

/// How a token may be signed (RFC 7518 §3.1, RFC 8037 §3.1): with a private key, so that who checks it cannot make it. `none` is no signature, and the key of
/// an HMAC in a set of public keys would be known to everybody, so neither can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// ECDSA over P-384 with SHA-384.
    Es384,
    /// ECDSA over P-521 with SHA-512.
    Es512,
    /// Ed25519.
    EdDsa,
}

/// The kind of key that an algorithm needs.
pub(crate) enum Needs {
    Rsa(&'static RsaParameters),
    /// With the name of the curve, and the bytes of a coordinate.
    Curve(&'static str, usize, &'static EcdsaVerificationAlgorithm),
    Ed25519,
}

impl Algorithm {
    /// All of them, with their registered names.
    pub const ALL: [(&'static str, Self); 10] = [
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
        ("PS256", Self::Ps256),
        ("PS384", Self::Ps384),
        ("PS512", Self::Ps512),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("ES512", Self::Es512),
        ("EdDSA", Self::EdDsa),
    ];

    /// The one of this name. `Ed25519` is the newer name of one kind of `EdDSA` (RFC 9864).
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = if name == "Ed25519" { "EdDSA" } else { name };
        Self::ALL.iter().find(|(own, _)| *own == name).map(|(_, algorithm)| *algorithm)
    }

    pub(crate) fn needs(self) -> Needs {
        match self {
            Self::Rs256 => Needs::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Needs::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Needs::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Needs::Rsa(&signature::RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Needs::Rsa(&signature::RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Needs::Rsa(&signature::RSA_PSS_2048_8192_SHA512),
            Self::Es256 => Needs::Curve("P-256", 32, &signature::ECDSA_P256_SHA256_FIXED),
            Self::Es384 => Needs::Curve("P-384", 48, &signature::ECDSA_P384_SHA384_FIXED),
            Self::Es512 => Needs::Curve("P-521", 66, &signature::ECDSA_P521_SHA512_FIXED),
            Self::EdDsa => Needs::Ed25519,
        }
    }
}
