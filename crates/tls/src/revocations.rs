//! Lists of revoked certificates (CRLs, RFC 5280 §5), from a file.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;

use crate::Authorities;
use crate::der::{Der, INTEGER, SEQUENCE};
use crate::facts::{subject, time};
use crate::pair::read_file;

/// The certificates that authorities have taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocations {
    pub(crate) lists: Vec<CertificateRevocationListDer<'static>>,
    next_update: u64,
    uncovered: usize,
}

/// Why a file has no lists of revoked certificates in it. The message names it.
#[derive(Debug, thiserror::Error)]
pub enum RevocationsError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It has no list in PEM.
    #[error("there is no list of revoked certificates in {}", .0.display())]
    None(PathBuf),
    /// One of its lists cannot be read.
    #[error("a list of revoked certificates in {} cannot be read", .0.display())]
    Bad(PathBuf),
}

impl Revocations {
    /// Reads a file in PEM, with the lists of these authorities.
    ///
    /// # Errors
    /// The mistake in a sentence.
    pub fn load(path: &Path, authorities: &Authorities) -> Result<Self, RevocationsError> {
        let text = read_file(path).map_err(|source| RevocationsError::Unreadable { path: path.to_owned(), source })?;
        let bad = || RevocationsError::Bad(path.to_owned());
        let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|_| bad())?;
        let read: Vec<ListFields<'_>> = lists.iter().map(|list| list_fields(list)).collect::<Option<_>>().ok_or_else(bad)?;
        let next_update = read.iter().map(|list| list.next_update).min().ok_or_else(|| RevocationsError::None(path.to_owned()))?;
        let issuers: HashSet<&[u8]> = read.iter().map(|list| list.issuer).collect();
        let uncovered = authorities.bytes().filter(|authority| subject(authority).is_none_or(|name| !issuers.contains(name))).count();
        let revocations = Self { next_update, uncovered, lists };
        // rustls reads more of a list than is read here.
        authorities.verifier(true, Some(&revocations)).map_err(|_| bad())?;
        Ok(revocations)
    }

    /// When the first of the lists ends, in seconds since 1970. Who its authority has certified is refused from then on.
    pub fn next_update(&self) -> u64 {
        self.next_update
    }

    /// How many of the authorities have no list here. Who they have certified is refused.
    pub fn uncovered(&self) -> usize {
        self.uncovered
    }
}

/// The fields of a list that are read here (RFC 5280 §5.1).
struct ListFields<'a> {
    issuer: &'a [u8],
    next_update: u64,
}

/// `None` where the bytes are no list, or one without an end (§5.1.2.5: it has to have one).
fn list_fields(list: &[u8]) -> Option<ListFields<'_>> {
    let mut body = Der(list).expect(SEQUENCE)?.inside().expect(SEQUENCE)?.inside();
    let _version = body.optional(INTEGER);
    let _algorithm = body.expect(SEQUENCE)?;
    let issuer = body.expect(SEQUENCE)?.content;
    let _this_update = time(body.next()?)?;
    Some(ListFields { issuer, next_update: time(body.next()?)? })
}

/// When a list in DER ends, for the fuzz target.
pub fn end_of_list(list: &[u8]) -> Option<u64> {
    list_fields(list).map(|list| list.next_update)
}
