//! `[acme]`: certificates from an authority.

use std::path::PathBuf;

use larder_tls::Authorities;

use super::ReadFile;

/// `[acme]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// What certificates are for, one each; in small letters, never empty.
    pub domains: Vec<String>,
    /// The URL under which the authority reaches people, `mailto:…`.
    pub contact: Option<String>,
    /// The URL of the authority's directory (RFC 8555 §7.1.1).
    pub directory: String,
    /// The only authorities that it is trusted by; `None`: the system's.
    pub roots: Option<Authorities>,
    /// Where account and certificates are kept.
    pub store: AcmeStoreKind,
    /// The proofs that are offered, the first for the first attempt; never empty.
    pub challenges: Vec<AcmeChallenge>,
    /// The files that it was read from.
    pub files: Vec<ReadFile>,
}

/// Where account and certificates are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcmeStoreKind {
    /// In this folder.
    Folder(PathBuf),
    /// In the Redis of `[store.redis]`, for all replicas.
    Redis,
}

/// How the authority finds out that a domain leads here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcmeChallenge {
    /// In a TLS handshake on port 443 (RFC 8737).
    TlsAlpn01,
    /// By a request in clear text on port 80 (RFC 8555 §8.3).
    Http01,
}

impl AcmeChallenge {
    /// Its name there.
    pub fn name(self) -> &'static str {
        match self {
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Http01 => "http-01",
        }
    }
}

impl Acme {
    /// The directory's URL as the name of a folder: what one authority has issued is none of another's.
    pub fn folder(&self) -> String {
        let name = self.directory.strip_prefix("https://").unwrap_or(&self.directory).to_ascii_lowercase();
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-');
        // No dot at the beginning, so it is never `..`.
        name.chars().map(|letter| if is_plain(letter) { letter } else { '_' }).collect::<String>().trim_start_matches('.').to_owned()
    }
}
