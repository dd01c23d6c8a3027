//! Which certificates an origin is trusted with, and which one is shown to it.

use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use larder_config::Upstream;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::options::UpstreamSetupError;

/// The settings for all servers of an upstream. The system's certificates are read only where they are needed: reading them takes long, and a
/// small container may have none.
pub(crate) fn tls_config(upstream: &Upstream) -> Result<rustls::ClientConfig, UpstreamSetupError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = if !upstream.servers.iter().any(|server| server.url.is_https()) {
        builder.with_root_certificates(rustls::RootCertStore::empty())
    } else if let Some(path) = &upstream.ca_file {
        let failed = |reason: String| UpstreamSetupError::CaFile { path: path.clone(), reason };
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
            let certificate = certificate.map_err(|error| failed(error.to_string()))?;
            roots.add(certificate).map_err(|error| failed(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(failed("no certificate in it".to_owned()));
        }
        builder.with_root_certificates(roots)
    } else {
        builder.with_native_roots().map_err(|error| UpstreamSetupError::NativeRoots(error.to_string()))?
    };
    Ok(match &upstream.client_certificate {
        Some(certificate) => builder.with_client_cert_resolver(certificate.as_client()),
        None => builder.with_no_client_auth(),
    })
}
