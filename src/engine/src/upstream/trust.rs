//! Which certificate authorities the database is checked against: the usual public ones, built in
//! because the guard's image has no others, and those of the file named by `AWS_CA_BUNDLE`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::upstream::UpstreamError;

/// Environment variable of the AWS SDKs and tools for a file of further authorities.
const CA_BUNDLE_ENV: &str = "AWS_CA_BUNDLE";

/// TLS settings for the connection to the database.
pub fn tls_config() -> Result<ClientConfig, UpstreamError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(
        webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(CertificateDer::clone),
    );
    if let Some(pem) = bundle()? {
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate
                .map_err(|error| UpstreamError::Tls(format!("{CA_BUNDLE_ENV}: {error}")))?;
            roots
                .add(certificate)
                .map_err(|error| UpstreamError::Tls(format!("{CA_BUNDLE_ENV}: {error}")))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| UpstreamError::Tls(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The same authorities as PEM, for the client that fetches credentials.
pub fn trusted_pem() -> Result<Vec<u8>, UpstreamError> {
    let mut pem = bundle()?.unwrap_or_default();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        pem.extend_from_slice(b"\n-----BEGIN CERTIFICATE-----\n");
        for line in STANDARD.encode(certificate).as_bytes().chunks(64) {
            pem.extend_from_slice(line);
            pem.push(b'\n');
        }
        pem.extend_from_slice(b"-----END CERTIFICATE-----\n");
    }
    Ok(pem)
}

fn bundle() -> Result<Option<Vec<u8>>, UpstreamError> {
    let Some(path) = std::env::var_os(CA_BUNDLE_ENV).filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    std::fs::read(path).map(Some).map_err(|error| {
        UpstreamError::Tls(format!("reading the file of {CA_BUNDLE_ENV}: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_authorities_are_readable_in_both_forms() {
        assert!(tls_config().is_ok());
        let pem = trusted_pem().unwrap();
        // More, where the environment names further ones.
        let count = CertificateDer::pem_slice_iter(&pem).flatten().count();
        assert!(count >= webpki_root_certs::TLS_SERVER_ROOT_CERTS.len());
    }
}
