//! A certificate chain with its key, from two files.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys};

use crate::Facts;

/// Longer files hold no chain of certificates.
const MAX_FILE: u64 = 1 << 20;

/// A certificate chain and the key that belongs to its first certificate.
///
/// Two are equal if the chains are: a key that fits the same certificate is the same key.
#[derive(Clone)]
pub struct Pair {
    pub(crate) certified: Arc<CertifiedKey>,
    facts: Facts,
}

/// Why two files are no pair. The message names the file.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
        /// Whether it is the key's.
        is_key: bool,
    },
    /// The chain's file has no certificate in PEM.
    #[error("there is no certificate in {}", .0.display())]
    NoCertificate(PathBuf),
    /// The first certificate cannot be read.
    #[error("the first certificate in {} cannot be read", .0.display())]
    BadCertificate(PathBuf),
    /// The key's file has no private key in PEM.
    #[error("there is no private key in {}", .0.display())]
    NoKey(PathBuf),
    /// The key is of a kind that is not supported.
    #[error("the private key in {} cannot be used", .0.display())]
    BadKey(PathBuf),
    /// The key belongs to another certificate.
    #[error("the private key in {} does not belong to the first certificate in {}", key.display(), chain.display())]
    Mismatch {
        /// The chain's file.
        chain: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
}

impl PairError {
    /// A remedy.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => "give the path of a PEM file",
            Self::Unreadable { .. } => "the user who runs larder must be able to read it",
            Self::NoCertificate(_) => "a PEM file with -----BEGIN CERTIFICATE-----: the server's own first, then those that signed it",
            Self::BadCertificate(_) => "openssl x509 -in FILE -text shows what is in it",
            Self::NoKey(_) => "a PEM file with -----BEGIN PRIVATE KEY-----, without a password",
            Self::BadKey(_) => "use ECDSA (P-256, P-384, P-521), RSA of 2048 bits or more, or Ed25519",
            Self::Mismatch { .. } => {
                "name the key that the certificate was requested with; the server's own certificate stands first in its file"
            }
        }
    }

    /// Whether the key's file is at fault, rather than the chain's.
    pub fn concerns_key(&self) -> bool {
        match self {
            Self::Unreadable { is_key, .. } => *is_key,
            Self::NoCertificate(_) | Self::BadCertificate(_) => false,
            Self::NoKey(_) | Self::BadKey(_) | Self::Mismatch { .. } => true,
        }
    }
}

impl Pair {
    /// Reads both files, in PEM.
    ///
    /// # Errors
    /// The mismatch.
    pub fn load(chain: &Path, key: &Path) -> Result<Self, PairError> {
        let read = |path: &Path, is_key| read_file(path).map_err(|source| PairError::Unreadable { path: path.to_owned(), source, is_key });
        let (chain_text, key_text) = (read(chain, false)?, read(key, true)?);
        Self::from_pem((&chain_text, chain), (&key_text, key))
    }

    /// From the text of both, in PEM, and what each is called in messages. One text may have both.
    ///
    /// # Errors
    /// The mismatch.
    pub fn from_pem((chain_text, chain): (&[u8], &Path), (key_text, key): (&[u8], &Path)) -> Result<Self, PairError> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(chain_text)
            .collect::<Result<_, _>>()
            .map_err(|_| PairError::BadCertificate(chain.to_owned()))?;
        let own: &CertificateDer<'_> = certificates.first().ok_or_else(|| PairError::NoCertificate(chain.to_owned()))?;
        let facts = Facts::read(own).ok_or_else(|| PairError::BadCertificate(chain.to_owned()))?;
        let private = PrivateKeyDer::from_pem_slice(key_text).map_err(|_| PairError::NoKey(key.to_owned()))?;
        let signer = any_supported_type(&private).map_err(|_| PairError::BadKey(key.to_owned()))?;
        let certified = CertifiedKey::new(certificates, signer);
        match certified.keys_match() {
            Ok(()) => Ok(Self { certified: Arc::new(certified), facts }),
            Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(PairError::Mismatch { chain: chain.to_owned(), key: key.to_owned() })
            }
            Err(_) => Err(PairError::BadCertificate(chain.to_owned())),
        }
    }

    /// As what a client shows to every server that asks for a certificate.
    pub fn as_client(&self) -> Arc<dyn ResolvesClientCert> {
        Arc::new(SingleCertAndKey::from(Arc::clone(&self.certified)))
    }

    /// The fields of the first certificate.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }
}

/// Reads a file that an operator named, which may be a device or a pipe by mistake.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file of at most 1 MiB"));
    }
    std::fs::read(path)
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }
}

impl Eq for Pair {}

impl fmt::Debug for Pair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pair").field("facts", &self.facts).finish_non_exhaustive()
    }
}
