//! Certificates that clients show.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use crate::Revocations;
use crate::pair::read_file;
use crate::state::{UnusableTls, provider};

/// The certificates that clients have to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Whether a client without a certificate is refused. One that is not valid always is.
    pub required: bool,
    /// Whose certificates count.
    pub authorities: Authorities,
    /// Which of them have been taken back; `None`: nobody asks.
    pub revocations: Option<Revocations>,
}

/// Certificate authorities, from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorities(Vec<CertificateDer<'static>>);

/// Why a file has no authorities in it. The message names it.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It has no certificate in PEM.
    #[error("there is no certificate in {}", .0.display())]
    None(PathBuf),
    /// One of its certificates is none of an authority.
    #[error("a certificate in {} cannot be read", .0.display())]
    Bad(PathBuf),
}

impl Authorities {
    /// Reads a file in PEM.
    ///
    /// # Errors
    /// The mistake in a sentence.
    pub fn load(path: &Path) -> Result<Self, AuthoritiesError> {
        let text = read_file(path).map_err(|source| AuthoritiesError::Unreadable { path: path.to_owned(), source })?;
        let bad = || AuthoritiesError::Bad(path.to_owned());
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|_| bad())?;
        if certificates.is_empty() {
            return Err(AuthoritiesError::None(path.to_owned()));
        }
        let authorities = Self(certificates);
        authorities.roots().map_err(|_| bad())?;
        Ok(authorities)
    }

    /// Their bytes, one after the other.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|certificate| certificate.as_ref())
    }

    /// As what trusts them.
    ///
    /// # Errors
    /// None for what was loaded.
    pub fn roots(&self) -> Result<RootCertStore, rustls::Error> {
        let mut roots = RootCertStore::empty();
        self.0.iter().try_for_each(|certificate| roots.add(certificate.clone()))?;
        Ok(roots)
    }
}

impl Authorities {
    /// What checks certificates of theirs. Where there are lists of revoked ones, each certificate of a chain has to be on none of them, and each
    /// authority has to have a list that has not ended (RFC 5280 §6.3.3): nginx, HAProxy and Envoy take it so, too.
    pub(crate) fn verifier(&self, required: bool, revocations: Option<&Revocations>) -> Result<Arc<dyn ClientCertVerifier>, UnusableTls> {
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()?), provider());
        let builder = if required { builder } else { builder.allow_unauthenticated() };
        let builder = match revocations {
            Some(revocations) => builder.with_crls(revocations.lists.iter().cloned()).enforce_revocation_expiration(),
            None => builder,
        };
        builder.build().map_err(|error| UnusableTls::from(rustls::Error::General(error.to_string())))
    }
}

impl ClientCertificates {
    pub(crate) fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, UnusableTls> {
        self.authorities.verifier(self.required, self.revocations.as_ref())
    }

    /// All that a session was agreed under, in pieces.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        let lists = self.revocations.iter().flat_map(|revocations| &revocations.lists);
        self.authorities.bytes().chain(lists.map(AsRef::as_ref))
    }
}
