//! A server's side of TLS, with its own certificate that nobody vouches for but who learns
//! to.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// For the server of this name or address, whose certificate is written to a file. Panics where
/// that cannot be: nothing that needs it can go on.
pub fn server(name: &str, certificate: &Path) -> Arc<ServerConfig> {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    std::fs::write(certificate, made.cert.pem()).expect("a place for the certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key);
    Arc::new(config.expect("a key that fits"))
}
