//! The database behind the guard: one signed request, tried again where that is safe.
//!
//! Two handles divide what may be done: [`ReadOnly`] takes [`ReadOperation`]s only, so that a dry
//! run has no way to write, and [`Full`] takes everything. Both count their calls by kind.

mod attempt;
mod backoff;
mod clock;
mod credentials;
mod endpoint;
#[cfg(test)]
pub(crate) mod mock;
mod nothing;
mod partial;
mod pool;
mod signing;
mod trust;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::limits;
use bytes::Bytes;
use dm_contract::plan::Upstream as UpstreamPlan;
use dm_dynamodb::value::write_json;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

pub use crate::upstream::backoff::Backoff;
pub(crate) use crate::upstream::backoff::jitter;
pub use crate::upstream::credentials::CredentialSource;
pub use crate::upstream::endpoint::endpoint;
pub use crate::upstream::signing::{CONTENT_TYPE, TARGET_PREFIX};

use crate::fault::Fault;
use crate::operation::{Class, Operation, ReadOperation};
use crate::retry_pacing::{RetryPacing, Throttle};
use crate::upstream::attempt::Outcome;
use crate::upstream::clock::Clock;
use crate::upstream::nothing::Nothing;
use crate::upstream::pool::Pool;
use crate::upstream::signing::Signer;

/// Why the database behind the guard cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The plan's endpoint or region.
    #[error("`{0}` is not an endpoint: http(s)://host[:port] is needed")]
    Endpoint(String),
    #[error("preparing TLS: {0}")]
    Tls(String),
    /// The chain is empty.
    #[error("no source of credentials is configured")]
    NoCredentials,
    /// The operator names one that this build does not know.
    #[error("{0} is not a source of credentials that this guard knows")]
    UnknownSource(String),
    /// The chain gave none.
    #[error("getting credentials for the database")]
    Credentials(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("signing a request: {0}")]
    Signing(String),
}

/// The connection to the database. Reached through its two handles only.
#[derive(Debug)]
struct Upstream {
    pool: Pool,
    signer: Signer,
    clock: Clock,
    credentials: CredentialSource,
    reads: AtomicU64,
    writes: AtomicU64,
    answered: AtomicU64,
    read_throttles: AtomicU64,
    write_throttles: AtomicU64,
    paced_throttles: AtomicU64,
    times: OnceLock<CallTimes>,
}

/// How long one call may take. Tests of what becomes of late calls have less time.
#[derive(Clone, Copy, Debug)]
pub struct CallTimes {
    pub attempt: Duration,
    /// All attempts of a call.
    pub call: Duration,
    /// Attempts that are throttled.
    pub throttled: Duration,
}

impl Default for CallTimes {
    fn default() -> Self {
        Self {
            attempt: limits::UPSTREAM_ATTEMPT_MAX,
            call: limits::UPSTREAM_CALL_MAX,
            throttled: limits::UPSTREAM_THROTTLED_MAX,
        }
    }
}

/// What a call may do to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Reads,
    Writes,
}

impl Access {
    /// That of an operation. Of PartiQL's only the statements tell.
    pub fn of(operation: Operation) -> Self {
        match operation.class() {
            Class::DataRead | Class::MetadataRead => Self::Reads,
            Class::DataWrite | Class::ControlPlaneWrite | Class::AlwaysDenied => Self::Writes,
        }
    }
}

/// How many calls were sent to the database, each attempt counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamCalls {
    /// Those that cannot write.
    pub reads: u64,
    pub writes: u64,
    /// Calls that the database answered, with an error of the request's too.
    pub answered: u64,
    /// Reads answered with a throttle, also of a part of a batch.
    pub read_throttles: u64,
    /// Writes answered with a throttle, also of a part of a batch.
    pub write_throttles: u64,
    /// Further throttles, of calls whose callers pace them ([`RetryPacing`]).
    pub paced_throttles: u64,
}

/// A handle that cannot write.
#[derive(Clone, Debug)]
pub struct ReadOnly(Base);

/// What a handle reads.
#[derive(Clone, Debug)]
enum Base {
    Database(Arc<Upstream>),
    /// No database: every table is missing, and nothing is sent.
    Nothing(Nothing),
}

/// A handle for everything.
#[derive(Clone, Debug)]
pub struct Full(Arc<Upstream>);

impl ReadOnly {
    /// Connects for reading; nothing is sent yet.
    pub fn new(plan: &UpstreamPlan, credentials: CredentialSource) -> Result<Self, UpstreamError> {
        let upstream = Upstream::new(plan, credentials)?;
        Ok(Self(Base::Database(Arc::new(upstream))))
    }

    /// A handle on no database, in this region: the base of an embedded one.
    pub fn nothing(region: &str) -> Self {
        Self(Base::Nothing(Nothing::in_region(region)))
    }

    /// Whether there is no database behind the handle.
    pub fn is_nothing(&self) -> bool {
        matches!(self.0, Base::Nothing(_))
    }

    pub fn region(&self) -> &str {
        match &self.0 {
            Base::Database(upstream) => upstream.signer.region(),
            Base::Nothing(nothing) => nothing.region(),
        }
    }

    /// Sends a reading call.
    pub async fn read(&self, operation: ReadOperation, body: &Value) -> Result<Bytes, Fault> {
        // Straight into bytes: by way of a text formatter it takes twice as long.
        self.read_as(operation, body, || Bytes::from(write_json(body))).await
    }

    /// The same, with what is sent of it.
    pub async fn read_as(
        &self,
        operation: ReadOperation,
        body: &Value,
        sent: impl FnOnce() -> Bytes,
    ) -> Result<Bytes, Fault> {
        match &self.0 {
            Base::Database(upstream) => {
                upstream.send(operation.operation(), Access::Reads, sent()).await
            }
            Base::Nothing(_) => nothing::read(operation.operation(), body),
        }
    }

    /// How long calls may take.
    pub fn times(&self) -> CallTimes {
        match &self.0 {
            Base::Database(upstream) => upstream.times(),
            Base::Nothing(_) => CallTimes::default(),
        }
    }

    /// What was sent so far.
    pub fn calls(&self) -> UpstreamCalls {
        match &self.0 {
            Base::Database(upstream) => upstream.calls(),
            Base::Nothing(_) => UpstreamCalls::default(),
        }
    }
}

impl Full {
    /// Connects for reading and writing; nothing is sent yet.
    pub fn new(plan: &UpstreamPlan, credentials: CredentialSource) -> Result<Self, UpstreamError> {
        Upstream::new(plan, credentials).map(|upstream| Self(Arc::new(upstream)))
    }

    pub async fn send(
        &self,
        operation: Operation,
        access: Access,
        body: Bytes,
    ) -> Result<Bytes, Fault> {
        self.0.send(operation, access, body).await
    }

    /// How long calls may take.
    pub fn times(&self) -> CallTimes {
        self.0.times()
    }

    /// Other times, before the first call.
    pub fn set_times(&self, times: CallTimes) {
        // Those that were set first stay.
        let _ = self.0.times.set(times);
    }

    /// The same connection for reading only.
    pub fn read_only(&self) -> ReadOnly {
        ReadOnly(Base::Database(Arc::clone(&self.0)))
    }

    /// What was sent so far.
    pub fn calls(&self) -> UpstreamCalls {
        self.0.calls()
    }
}

impl Upstream {
    fn new(plan: &UpstreamPlan, credentials: CredentialSource) -> Result<Self, UpstreamError> {
        let endpoint = endpoint(plan)?;
        Ok(Self {
            pool: Pool::new(connector()?, endpoint.clone()),
            signer: Signer::new(&endpoint, plan.region.clone())?,
            clock: Clock::default(),
            credentials,
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            read_throttles: AtomicU64::new(0),
            write_throttles: AtomicU64::new(0),
            paced_throttles: AtomicU64::new(0),
            times: OnceLock::new(),
        })
    }

    fn times(&self) -> CallTimes {
        self.times.get().copied().unwrap_or_default()
    }

    fn calls(&self) -> UpstreamCalls {
        UpstreamCalls {
            reads: self.reads.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            answered: self.answered.load(Ordering::Relaxed),
            read_throttles: self.read_throttles.load(Ordering::Relaxed),
            write_throttles: self.write_throttles.load(Ordering::Relaxed),
            paced_throttles: self.paced_throttles.load(Ordering::Relaxed),
        }
    }

    /// One call with its attempts. Attempts end with the time, or with their number; throttled
    /// ones do not count, because each was answered in good order.
    async fn send(
        &self,
        operation: Operation,
        access: Access,
        body: Bytes,
    ) -> Result<Bytes, Fault> {
        let (mut backoff, times) = (Backoff::begin(), self.times());
        let (begun, pacing) = (Instant::now(), RetryPacing::current(operation));
        let until = begun + times.call;
        let mut failures = 0;
        loop {
            let sent_at = Instant::now();
            let attempt = self.attempt(operation, access, body.clone(), until);
            let (fault, time_max) = match attempt.await {
                Outcome::Answered(body) => {
                    if partial::is_throttled(operation, &body) {
                        let counter = match pacing {
                            // The caller sends what is left as soon as it may.
                            Some(_) => &self.paced_throttles,
                            None => self.throttles(operation, access),
                        };
                        counter.fetch_add(1, Ordering::Relaxed);
                    }
                    return Ok(body);
                }
                Outcome::Failed(fault) => return Err(fault),
                Outcome::Throttled(fault, reach) => {
                    if let Some(pacing) = &pacing {
                        self.paced_throttles.fetch_add(1, Ordering::Relaxed);
                        let wait = pacing.wait(Throttle { sent_at, reach });
                        if timeout_at(begun + times.throttled, wait).await == Ok(true) {
                            continue;
                        }
                        return Err(fault);
                    }
                    self.throttles(operation, access).fetch_add(1, Ordering::Relaxed);
                    (fault, times.throttled)
                }
                // It may have been carried out. A read does no harm twice; whether a write may be
                // sent again is for the journal to decide, which has bound it to an image, or for
                // the program's SDK, as without a guard.
                Outcome::Unknown(fault) if access == Access::Writes => return Err(fault),
                Outcome::NotCarriedOut(fault) | Outcome::Unknown(fault) => {
                    failures += 1;
                    (fault, times.call.saturating_sub(limits::UPSTREAM_ATTEMPT_LEAST))
                }
            };
            let is_last = failures >= limits::UPSTREAM_ATTEMPTS_MAX;
            if is_last || !backoff.pause_within(time_max).await {
                tracing::warn!(operation = operation.name(), %fault, "given up");
                return Err(fault);
            }
        }
    }

    /// Calls that change tables are not items written, and are throttled apart from these.
    fn throttles(&self, operation: Operation, access: Access) -> &AtomicU64 {
        let writes = operation.class() == Class::DataWrite && access == Access::Writes;
        if writes { &self.write_throttles } else { &self.read_throttles }
    }

    fn count(&self, access: Access) {
        let counter = match access {
            Access::Reads => &self.reads,
            Access::Writes => &self.writes,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What opens connections, to the database and to an archive: over TLS where the address says so.
pub(crate) fn connector() -> Result<HttpsConnector<HttpConnector>, UpstreamError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(limits::UPSTREAM_CONNECT_MAX));
    Ok(hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(trust::tls_config()?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp))
}

#[cfg(test)]
mod tests;
