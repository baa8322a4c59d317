//! The database's credentials, by AWS's default chain: environment, web identity, container,
//! instance. They are cached until shortly before they expire. Nothing here logs them.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_types::region::Region;
use tokio::sync::Mutex;

use super::UpstreamError;
use super::trust::trusted_pem;

/// Credentials are fetched anew this long before they expire, so that none expires on its way.
const REFRESH_BEFORE_EXPIRY: Duration = Duration::from_secs(300);

/// Credentials without an expiry (from the environment) are asked for again after this long.
const RECHECK: Duration = Duration::from_secs(3600);

/// Where credentials come from, and the last ones.
#[derive(Debug)]
pub struct CredentialSource {
    provider: SharedCredentialsProvider,
    cached: Mutex<Option<(Credentials, SystemTime)>>,
}

impl CredentialSource {
    /// The default chain for a region.
    pub async fn default_chain(region: &str) -> Result<Self, UpstreamError> {
        let trust = tls::TrustStore::default().with_pem_certificate(trusted_pem()?);
        let context = tls::TlsContext::builder()
            .with_trust_store(trust)
            .build()
            .map_err(|error| UpstreamError::Tls(error.to_string()))?;
        let client = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
            .tls_context(context)
            .build_https();
        let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .http_client(client)
            .load()
            .await;
        let provider = config.credentials_provider().ok_or(UpstreamError::NoCredentials)?;
        Ok(Self::new(provider))
    }

    /// Another provider.
    pub fn new(provider: SharedCredentialsProvider) -> Self {
        Self { provider, cached: Mutex::new(None) }
    }

    /// Forgets the last ones: the database has refused them.
    pub async fn forget(&self) {
        *self.cached.lock().await = None;
    }

    /// Credentials that are valid for some time yet.
    pub async fn current(&self) -> Result<Credentials, UpstreamError> {
        let mut cached = self.cached.lock().await;
        let now = SystemTime::now();
        if let Some((credentials, until)) = &*cached
            && now < *until
        {
            return Ok(credentials.clone());
        }
        match self.provider.provide_credentials().await {
            Ok(credentials) => {
                let until = credentials
                    .expiry()
                    .and_then(|expiry| expiry.checked_sub(REFRESH_BEFORE_EXPIRY))
                    .unwrap_or(now + RECHECK);
                *cached = Some((credentials.clone(), until));
                Ok(credentials)
            }
            // The last ones may be good until they really expire.
            Err(error) => match &*cached {
                Some((credentials, _)) if credentials.expiry().is_none_or(|at| now < at) => {
                    tracing::warn!(%error, "credentials could not be refreshed");
                    Ok(credentials.clone())
                }
                Some(_) | None => Err(UpstreamError::Credentials(error.into())),
            },
        }
    }
}
