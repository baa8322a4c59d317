//! The database's credentials, by AWS's default chain: environment, web identity, container,
//! instance. They are cached until shortly before they expire. Nothing here logs them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::region::Region;
use dm_contract::plan::{CREDENTIALS_ENV, FROM_ROLE, FROM_SECRET};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::upstream::UpstreamError;
use crate::upstream::trust::trusted_pem;

/// Credentials are fetched again this long before they expire, so that none expires on its way.
const REFRESH_BEFORE_EXPIRY: Duration = Duration::from_secs(300);

/// But not again within this time, where those that were fetched expire sooner: their source renews
/// them when it does, and each request would ask it.
const REFRESH_AGAIN: Duration = Duration::from_secs(10);

/// How long their source may take: AWS's own take milliseconds, and the SDK repeats a call itself.
const FETCH_MAX: Duration = Duration::from_secs(15);

/// Credentials without an expiry (from the environment) are asked for again after this long.
const RECHECK: Duration = Duration::from_secs(3600);

/// Where credentials come from, and the last ones.
#[derive(Debug)]
pub struct CredentialSource {
    provider: SharedCredentialsProvider,
    cached: Mutex<Option<(Credentials, SystemTime)>>,
    /// One fetches while the others wait, and leaves them its failure. What is cached is not behind
    /// it: nobody waits for what is there.
    fetching: tokio::sync::Mutex<Option<Failure>>,
}

/// Why the last fetch brought nothing, and when it ended.
#[derive(Debug)]
struct Failure {
    error: Arc<CredentialsError>,
    at: Instant,
}

impl CredentialSource {
    /// Another source that asks the same provider, for a second connection.
    #[must_use]
    pub fn again(&self) -> Self {
        let provider = self.provider.clone();
        Self { provider, cached: Mutex::default(), fetching: tokio::sync::Mutex::default() }
    }

    /// The source that the environment names, as a run's pod has it, and no other: a guard whose
    /// role is missing must not become the node. Else the default chain for a region.
    pub async fn default_chain(region: &str) -> Result<Self, UpstreamError> {
        let named = std::env::var(CREDENTIALS_ENV).ok();
        Self::named(region, named.as_deref()).await
    }

    async fn named(region: &str, source: Option<&str>) -> Result<Self, UpstreamError> {
        match source {
            Some(FROM_SECRET) => {
                let keys = EnvironmentVariableCredentialsProvider::new();
                Ok(Self::new(SharedCredentialsProvider::new(keys)))
            }
            Some(FROM_ROLE) => {
                let config = ProviderConfig::empty()
                    .with_region(Some(Region::new(region.to_owned())))
                    .with_http_client(http_client()?);
                let web = WebIdentityTokenCredentialsProvider::builder().configure(&config).build();
                let agent = EcsCredentialsProvider::builder().configure(&config).build();
                let chain = CredentialsProviderChain::first_try("WebIdentity", web);
                let chain = chain.or_else("Container", agent);
                Ok(Self::new(SharedCredentialsProvider::new(chain)))
            }
            Some(other) => Err(UpstreamError::UnknownSource(other.to_owned())),
            None => Self::any(region).await,
        }
    }

    async fn any(region: &str) -> Result<Self, UpstreamError> {
        let client = http_client()?;
        let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .http_client(client)
            .load()
            .await;
        let provider = config.credentials_provider().ok_or(UpstreamError::NoCredentials)?;
        Ok(Self::new(provider))
    }

    pub fn new(provider: SharedCredentialsProvider) -> Self {
        Self { provider, cached: Mutex::default(), fetching: tokio::sync::Mutex::default() }
    }

    /// These keys, for ever: those of an embedded database, which takes any.
    pub fn of_keys(access_key: &str, secret_key: &str) -> Self {
        let keys = Credentials::new(access_key, secret_key, None, None, "given");
        Self::new(SharedCredentialsProvider::new(keys))
    }

    /// Forgets those that the database has refused, if they are the last ones: several requests
    /// find out at once, and one of them may have newer ones already.
    pub fn forget(&self, refused: &Credentials) {
        self.cached.lock().take_if(|(last, _)| last == refused);
    }

    /// Credentials that are valid for some time yet.
    pub async fn current(&self) -> Result<Credentials, UpstreamError> {
        if let Some(credentials) = self.valid() {
            return Ok(credentials);
        }
        let asked = Instant::now();
        let mut failed = self.fetching.lock().await;
        // Who was first has fetched them for all.
        if let Some(credentials) = self.valid() {
            return Ok(credentials);
        }
        // Or has waited for all: else each would wait as long as the one before it.
        if let Some(Failure { error, at }) = &*failed
            && asked < *at
        {
            return Err(UpstreamError::Credentials(Box::new(Arc::clone(error))));
        }
        // A source that does not answer would hold every request.
        let fetched = tokio::time::timeout(FETCH_MAX, self.provider.provide_credentials()).await;
        let now = SystemTime::now();
        match fetched.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(FETCH_MAX))) {
            Ok(credentials) => {
                let until = refresh_at(credentials.expiry(), now);
                *self.cached.lock() = Some((credentials.clone(), until));
                Ok(credentials)
            }
            Err(error) => {
                if let Some(credentials) = self.last_until_the_next_try(now) {
                    tracing::warn!(%error, "credentials could not be refreshed");
                    return Ok(credentials);
                }
                let error = Arc::new(error);
                *failed = Some(Failure { error: Arc::clone(&error), at: Instant::now() });
                Err(UpstreamError::Credentials(Box::new(error)))
            }
        }
    }

    /// The last credentials, if they have not really expired. They serve all until their source is
    /// asked again.
    fn last_until_the_next_try(&self, now: SystemTime) -> Option<Credentials> {
        let mut cached = self.cached.lock();
        let (last, until) = cached.as_mut()?;
        let expiry = last.expiry();
        if expiry.is_some_and(|at| at <= now) {
            return None;
        }
        let again = now + REFRESH_AGAIN;
        *until = expiry.map_or(again, |at| at.min(again));
        Some(last.clone())
    }

    fn valid(&self) -> Option<Credentials> {
        let now = SystemTime::now();
        self.cached
            .lock()
            .as_ref()
            .filter(|(_, until)| now < *until)
            .map(|(known, _)| known.clone())
    }
}

fn http_client() -> Result<SharedHttpClient, UpstreamError> {
    let trust = tls::TrustStore::default().with_pem_certificate(trusted_pem()?);
    let context = tls::TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|error| UpstreamError::Tls(error.to_string()))?;
    Ok(aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build_https())
}

/// When credentials that were fetched now are fetched again.
fn refresh_at(expiry: Option<SystemTime>, now: SystemTime) -> SystemTime {
    let Some(expiry) = expiry else { return now + RECHECK };
    let before = expiry.checked_sub(REFRESH_BEFORE_EXPIRY).unwrap_or(now);
    before.max(now + REFRESH_AGAIN).min(expiry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_credential_types::provider::future;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    /// Gives credentials that are valid for a time, and tells how often.
    #[derive(Debug)]
    struct Gives {
        valid: Duration,
        given: AtomicU32,
        fails: AtomicBool,
        hangs: AtomicBool,
    }

    impl Gives {
        fn valid_for(valid: Duration) -> (Arc<Self>, CredentialSource) {
            let (fails, hangs) = (AtomicBool::new(false), AtomicBool::new(false));
            let gives = Arc::new(Self { valid, given: AtomicU32::new(0), fails, hangs });
            let provider = SharedCredentialsProvider::new(Provider(Arc::clone(&gives)));
            (gives, CredentialSource::new(provider))
        }
    }

    #[derive(Debug)]
    struct Provider(Arc<Gives>);

    impl ProvideCredentials for Provider {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(async {
                // Others come in the meantime.
                tokio::task::yield_now().await;
                if self.0.hangs.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                if self.0.fails.load(Ordering::SeqCst) {
                    return Err(CredentialsError::not_loaded("not today"));
                }
                let count = self.0.given.fetch_add(1, Ordering::SeqCst) + 1;
                let expiry = Some(SystemTime::now() + self.0.valid);
                Ok(Credentials::new("id", count.to_string(), None, expiry, "test"))
            })
        }
    }

    async fn secret(source: &CredentialSource) -> Result<String, UpstreamError> {
        source.current().await.map(|credentials| credentials.secret_access_key().to_owned())
    }

    #[tokio::test]
    async fn they_are_fetched_once_by_one_for_all_until_they_are_refused() {
        for valid in [Duration::from_hours(1), Duration::from_mins(2)] {
            let (_, source) = Gives::valid_for(valid);
            let at_once = futures::future::join_all((0..50).map(|_| secret(&source))).await;
            assert!(at_once.iter().all(|found| found.as_deref().is_ok_and(|found| found == "1")));
            let refused = source.current().await.unwrap();
            source.forget(&refused);
            assert_eq!(secret(&source).await.unwrap(), "2", "{valid:?}");
            source.forget(&refused);
            assert_eq!(secret(&source).await.unwrap(), "2", "those are others");
        }
    }

    #[tokio::test]
    async fn the_last_ones_serve_while_there_are_no_new_ones_as_long_as_they_are_valid() {
        let (gives, source) = Gives::valid_for(Duration::from_hours(1));
        assert_eq!(secret(&source).await.unwrap(), "1");
        gives.fails.store(true, Ordering::SeqCst);
        if let Some((_, until)) = &mut *source.cached.lock() {
            *until = SystemTime::now();
        }
        assert_eq!(secret(&source).await.unwrap(), "1");
        let last = source.current().await.unwrap();
        assert_eq!(source.last_until_the_next_try(last.expiry().unwrap()), None, "expired");
        source.forget(&last);
        assert!(matches!(secret(&source).await, Err(UpstreamError::Credentials(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_does_not_answer_holds_nobody_for_long() {
        let (gives, source) = Gives::valid_for(Duration::from_hours(1));
        assert_eq!(secret(&source).await.unwrap(), "1");
        gives.hangs.store(true, Ordering::SeqCst);
        if let Some((_, until)) = &mut *source.cached.lock() {
            *until = SystemTime::now();
        }
        let all = || futures::future::join_all((0..50).map(|_| secret(&source)));
        let begun = Instant::now();
        let last = all().await;
        assert!(last.iter().all(|last| last.as_deref().is_ok_and(|last| last == "1")), "{last:?}");
        assert!(begun.elapsed() < 2 * FETCH_MAX, "one waits for all: {:?}", begun.elapsed());
        let begun = Instant::now();
        assert_eq!(secret(&source).await.unwrap(), "1");
        assert_eq!(begun.elapsed(), Duration::ZERO, "the source is not asked again so soon");
        source.forget(&source.current().await.unwrap());
        let begun = Instant::now();
        let failed = all().await;
        assert!(failed.iter().all(|one| matches!(one, Err(UpstreamError::Credentials(_)))));
        assert!(begun.elapsed() < 2 * FETCH_MAX, "one waits for all: {:?}", begun.elapsed());
        gives.hangs.store(false, Ordering::SeqCst);
        assert_eq!(secret(&source).await.unwrap(), "2", "who comes later asks again");
    }

    /// The tests' process has neither: with the default chain each would try the next source.
    #[tokio::test]
    async fn a_named_source_without_credentials_is_an_error_and_no_other_is_asked() {
        for source in [FROM_SECRET, FROM_ROLE] {
            let named = CredentialSource::named("eu-west-1", Some(source)).await.unwrap();
            let error = named.current().await.unwrap_err();
            let text = format!("{error:?}");
            assert!(matches!(error, UpstreamError::Credentials(_)), "{source}: {text}");
            assert!(!text.contains("imds") && !text.contains("Imds"), "{source}: {text}");
        }
        let unknown = CredentialSource::named("eu-west-1", Some("Node")).await;
        assert!(matches!(unknown, Err(UpstreamError::UnknownSource(_))));
    }

    #[test]
    fn they_are_fetched_anew_in_time_and_not_all_the_time() {
        let now = SystemTime::now();
        let check = |valid: Option<u64>, expected| {
            let expiry = valid.map(|seconds| now + Duration::from_secs(seconds));
            assert_eq!(refresh_at(expiry, now), now + Duration::from_secs(expected), "{valid:?}");
        };
        check(None, 3600);
        check(Some(3600), 3300);
        check(Some(120), 10);
        check(Some(4), 4);
    }
}
