//! The database's credentials, by AWS's default chain: environment, web identity, container,
//! instance. They are cached until shortly before they expire. Nothing here logs them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_types::region::Region;

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
    /// One fetches while the others wait. What is cached is not behind it: nobody waits for what is there.
    fetching: tokio::sync::Mutex<()>,
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
        Self { provider, cached: Mutex::default(), fetching: tokio::sync::Mutex::default() }
    }

    /// Forgets the last ones: the database has refused them.
    pub fn forget(&self) {
        *self.lock() = None;
    }

    /// Credentials that are valid for some time yet.
    pub async fn current(&self) -> Result<Credentials, UpstreamError> {
        if let Some(credentials) = self.valid() {
            return Ok(credentials);
        }
        let _fetching = self.fetching.lock().await;
        // Who was first has fetched them for all.
        if let Some(credentials) = self.valid() {
            return Ok(credentials);
        }
        let now = SystemTime::now();
        match self.provider.provide_credentials().await {
            Ok(credentials) => {
                let until = credentials
                    .expiry()
                    .and_then(|expiry| expiry.checked_sub(REFRESH_BEFORE_EXPIRY))
                    .unwrap_or(now + RECHECK);
                *self.lock() = Some((credentials.clone(), until));
                Ok(credentials)
            }
            // The last ones may be good until they really expire.
            Err(error) => match &*self.lock() {
                Some((credentials, _)) if credentials.expiry().is_none_or(|at| now < at) => {
                    tracing::warn!(%error, "credentials could not be refreshed");
                    Ok(credentials.clone())
                }
                Some(_) | None => Err(UpstreamError::Credentials(error.into())),
            },
        }
    }

    fn valid(&self) -> Option<Credentials> {
        let now = SystemTime::now();
        self.lock().as_ref().filter(|(_, until)| now < *until).map(|(known, _)| known.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Credentials, SystemTime)>> {
        // It is replaced whole, so a poisoned lock still holds a good one.
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
