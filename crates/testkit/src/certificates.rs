//! An authority of the test's own, the certificates that it issues, and clients that trust it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod, KeyPair,
    RevokedCertParams,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Result;
use crate::wait::within;

/// A certificate authority with a folder for its files.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// The files of one certificate.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// The chain, in PEM.
    pub chain: PathBuf,
    /// The key, in PEM.
    pub key: PathBuf,
}

impl Authority {
    /// A new one.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Larder's test authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let folder = TempDir::new()?;
        std::fs::write(folder.path().join("ca.pem"), issuer.pem())?;
        Ok(Self { issuer, folder })
    }

    /// The file with its own certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The folder with all its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Issues a certificate for these names to `FILE.pem` and `FILE.key`, each of which it replaces in one step.
    pub fn issue(&self, file: &str, names: &[&str]) -> Result<CertificateFiles> {
        self.issue_with(file, names, |_| ())
    }

    /// The same, with `change` made to the certificate.
    pub fn issue_with(&self, file: &str, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Result<CertificateFiles> {
        let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
        params.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or(file));
        change(&mut params);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let files =
            CertificateFiles { chain: self.folder.path().join(format!("{file}.pem")), key: self.folder.path().join(format!("{file}.key")) };
        for (path, text) in [(&files.key, key.serialize_pem()), (&files.chain, certificate.pem())] {
            replace(path, &text)?;
        }
        Ok(files)
    }

    /// The same, for a certificate that expires in so many days.
    pub fn issue_for_days(&self, file: &str, names: &[&str], days: u64) -> Result<CertificateFiles> {
        self.issue_for_seconds(file, names, days * 86_400)
    }

    /// The same, for one that expires in so many seconds.
    pub fn issue_for_seconds(&self, file: &str, names: &[&str], seconds: u64) -> Result<CertificateFiles> {
        let end = UnixTime::now().as_secs() + seconds;
        self.issue_with(file, names, |params| params.not_after = date(1970, 1, 1) + Duration::from_secs(end))
    }

    /// Issues a list of revoked certificates, those with these serial numbers, to `FILE.pem`, which it replaces in one step. It ends in so many days.
    pub fn revoke(&self, file: &str, serials: &[u64], days: u64) -> Result<PathBuf> {
        let now = date(1970, 1, 1) + Duration::from_secs(UnixTime::now().as_secs());
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date(2020, 1, 1),
            next_update: if days == 0 { date(2021, 1, 1) } else { now + Duration::from_secs(days * 86_400) },
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = self.folder.path().join(format!("{file}.pem"));
        replace(&path, &list.signed_by(&self.issuer)?.pem()?)?;
        Ok(path)
    }

    /// A client's settings that trust this authority, offer these protocols (ALPN), and show this certificate if they are asked for one.
    pub fn client(&self, protocols: &[&str], own: Option<&CertificateFiles>) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?.with_root_certificates(roots);
        let mut config = match own {
            Some(own) => {
                let chain = CertificateDer::pem_file_iter(&own.chain)?.collect::<Result<_, _>>()?;
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&own.key)?)?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(Arc::new(config))
    }
}

impl CertificateFiles {
    /// As they stand in a listener's `certificates`.
    pub fn in_config(&self) -> String {
        format!("{{ chain = {:?}, key = {:?} }}", self.chain, self.key)
    }
}

fn replace(path: &Path, text: &str) -> Result<()> {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text)?;
    Ok(std::fs::rename(beside, path)?)
}

/// A client's settings that trust this root, in PEM.
pub fn trusting(root: &[u8]) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// Midnight of a day, as certificates have it.
pub use rcgen::date_time_ymd as date;

/// A TLS connection to this host at this address.
pub async fn connect_tls(address: SocketAddr, host: &str, config: &Arc<ClientConfig>) -> Result<TlsStream<TcpStream>> {
    let stream = within(format!("connecting to {address}"), TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(host.to_owned())?;
    Ok(within(format!("the TLS handshake with {host}"), TlsConnector::from(Arc::clone(config)).connect(name, stream)).await??)
}
