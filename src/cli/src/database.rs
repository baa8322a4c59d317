//! Which database is behind the guard: from flags, then the environment and profile, as AWS's own
//! programs find theirs. It sends nothing.

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, Region};
use aws_types::service_config::ServiceConfigKey;
use clap::Args;
use dm_contract::plan::{Mode, PLAN_VERSION, Plan, Policy, RateLimits, RunId, Upstream};
use dm_engine::CredentialSource;
use dm_engine::upstream::{self, UpstreamError};

/// The database and what may be done there.
#[derive(Clone, Debug, Args)]
#[group(id = "database")]
pub struct Flags {
    /// The database: http(s)://host[:port], or `aws` for the endpoint that AWS's SDKs would use:
    /// AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL, the profile's endpoint_url, else AWS's
    /// endpoint of the region [default: aws; of `run`: an embedded database with the folder's
    /// seed.json]
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// AWS region [default: AWS_REGION, AWS_DEFAULT_REGION, else the profile's]
    #[arg(long)]
    pub region: Option<String>,
    /// Tables that may be read and written, by name; `*` stands for any characters, `?` for one.
    /// Separate several by commas, or repeat the flag [default: every table]
    #[arg(long, value_name = "GLOB", value_delimiter = ',')]
    pub tables: Vec<String>,
    /// Let the program create, change and delete tables; in a dry run they are simulated
    #[arg(long)]
    pub control_plane: bool,
    /// Leave keys and values of items out of the report
    #[arg(long)]
    pub hide_values: bool,
    /// Highest rate in items read per second [default: unlimited]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub reads_per_second: Option<u32>,
    /// Highest rate in items written per second. A dry run estimates the duration of the apply with
    /// it [default: unlimited]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub writes_per_second: Option<u32>,
    /// Highest rate in read units per second [default: unlimited]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub read_units_per_second: Option<u32>,
    /// Highest rate in write units per second [default: unlimited]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub write_units_per_second: Option<u32>,
}

/// The name for the database that AWS's SDKs find.
const AWS: &str = "aws";

/// Why the database could not be settled.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Nothing names a region.
    #[error("no region is configured; give --region, or set AWS_REGION")]
    NoRegion,
    /// No request can be sent there.
    #[error("{from}")]
    Endpoint {
        /// What names it.
        from: &'static str,
        source: UpstreamError,
    },
    /// The chain gave no credentials.
    #[error(
        "there are no credentials for {0}; log in as for the AWS CLI, or set AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY (for a local database any will do)"
    )]
    NoCredentials(String, #[source] UpstreamError),
    /// TLS or the like.
    #[error("preparing the credentials of the database")]
    Credentials(#[source] UpstreamError),
}

pub async fn find(flags: &Flags) -> Result<Upstream, DatabaseError> {
    let region = match flags.region.clone().filter(|region| !region.is_empty()) {
        Some(region) => Region::new(region),
        // Neither the instance's metadata nor any other service is asked.
        None => RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new())
            .region()
            .await
            .filter(|region| !region.as_ref().is_empty())
            .ok_or(DatabaseError::NoRegion)?,
    };
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(region.clone())
        .no_credentials()
        .load()
        .await;
    let own = ServiceConfigKey::builder()
        .service_id("DynamoDB")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok();
    let configured = || {
        let own = own.and_then(|key| config.service_config()?.load_config(key));
        own.or_else(|| config.endpoint_url().map(ToOwned::to_owned))
    };
    let named = flags.upstream.clone().filter(|named| named != AWS);
    let is_named = named.is_some();
    let endpoint = named.or_else(configured);
    let from = match (is_named, &endpoint) {
        (true, _) => "--upstream",
        (false, Some(_)) => "the configured endpoint",
        (false, None) => "the endpoint of the region",
    };
    let upstream = Upstream { region: region.to_string(), endpoint };
    upstream::endpoint(&upstream).map_err(|source| DatabaseError::Endpoint { from, source })?;
    Ok(upstream)
}

/// Credentials for it by AWS's default chain, tried once, so that their lack is reported before a
/// program runs into it.
pub async fn credentials(upstream: &Upstream) -> Result<CredentialSource, DatabaseError> {
    let source = CredentialSource::default_chain(&upstream.region)
        .await
        .map_err(DatabaseError::Credentials)?;
    match source.current().await {
        Ok(_) => Ok(source),
        Err(error) => Err(DatabaseError::NoCredentials(name(upstream), error)),
    }
}

/// The plan of a guard in this process.
pub fn plan(flags: &Flags, upstream: Upstream, mode: Mode, name: &str) -> Plan {
    Plan {
        version: PLAN_VERSION,
        run: RunId {
            namespace: String::new(),
            name: name.to_owned(),
            uid: String::new(),
            number: 1,
        },
        mode,
        upstream,
        policy: Policy {
            tables: flags.tables.clone(),
            control_plane: flags.control_plane,
            show_values: !flags.hide_values,
            ..Policy::default()
        },
        limits: RateLimits {
            reads_per_second: flags.reads_per_second,
            writes_per_second: flags.writes_per_second,
            read_units_per_second: flags.read_units_per_second,
            write_units_per_second: flags.write_units_per_second,
        },
        // Who starts it decides, and may change them later.
        limits_max: RateLimits::default(),
        archive: None,
        second_pass: false,
        restore: None,
        program: None,
        accept: Vec::new(),
        tried: None,
        parts: None,
        now_s: None,
    }
}

/// What is going to happen, in a line.
pub fn intent(mode: Mode, upstream: &Upstream) -> String {
    let database = name(upstream);
    match mode {
        Mode::DryRun => format!("dry run of {database}: nothing is written"),
        Mode::Apply => format!("applying to {database}: writes reach it"),
    }
}

/// Where a database is, and so which credentials it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Those that AWS's default chain finds.
    OfChain,
    /// Any: it is embedded in this process.
    Embedded,
}

/// The database, for a message.
pub fn name(upstream: &Upstream) -> String {
    match &upstream.endpoint {
        Some(endpoint) => format!("{endpoint} ({})", upstream.region),
        None => format!("DynamoDB in {}", upstream.region),
    }
}
