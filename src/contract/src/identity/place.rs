//! Where a database is, and whether two descriptions are of the same one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Characters of an AWS account's id.
const ACCOUNT_CHARS: usize = 12;

/// Ends of the host names of AWS's own endpoints (AWS's endpoint rules, "partitions").
const AWS_DOMAINS: [&str; 9] = [
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".amazonaws.eu",
    ".api.aws",
    ".api.amazonwebservices.com.cn",
    ".c2s.ic.gov",
    ".sc2s.sgov.gov",
    ".csp.hci.ic.gov",
    ".cloud.adc-e.uk",
];

/// Which database: what its plan says of it, and what the ARN of one of its tables tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatabaseId {
    /// Region of the signature.
    pub region: String,
    /// The endpoint, where it is not AWS's own for the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The partition: `aws`, `aws-cn` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// The account. Absent where it is not known, and of a local database, which makes one up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

impl DatabaseId {
    /// The database of a region and an endpoint.
    pub fn new(region: &str, endpoint: Option<&str>) -> Self {
        let endpoint = endpoint.map(|text| Endpoint::read(text).0);
        Self { region: region.to_owned(), endpoint, partition: None, account: None }
    }

    /// The same with what the ARN of one of its tables tells:
    /// `arn:PARTITION:dynamodb:REGION:ACCOUNT:table/NAME`.
    #[must_use]
    pub fn with_arn(mut self, arn: &str) -> Self {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        if let [_, partition, "dynamodb", _, account, _] = parts[..]
            && is_account(account)
        {
            self.partition = Some(partition.to_owned());
            self.account = Some(account.to_owned());
        }
        self
    }

    /// Whether it is AWS's own.
    fn is_aws(&self) -> bool {
        self.endpoint.as_deref().is_none_or(|text| Endpoint::read(text).is_aws())
    }

    /// Whether this one, of a record, and that one, of now, are the same database. Where all tables
    /// of the record are missing, an account that cannot be told is another one.
    pub fn is_same(&self, now: &Self, tables_missing: bool) -> bool {
        let known = |one: &Option<String>, other: &Option<String>| {
            one.as_ref().zip(other.as_ref()).map(|(one, other)| one == other)
        };
        let account = known(&self.account, &now.account);
        let partition = known(&self.partition, &now.partition);
        let region = self.region == now.region;
        match (self.is_aws(), now.is_aws()) {
            (true, true) => {
                let untold = self.account.is_some() && now.account.is_none() && tables_missing;
                region && account != Some(false) && partition != Some(false) && !untold
            }
            // Through another address, such as a tunnel: a local database has no real account.
            (true, false) | (false, true) => region && account == Some(true),
            (false, false) => region && self.endpoint == now.endpoint,
        }
    }
}

/// A local database has an account of zeros; other ones have none.
fn is_account(text: &str) -> bool {
    text.len() == ACCOUNT_CHARS
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.bytes().any(|byte| byte != b'0')
}

impl fmt::Display for DatabaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Some(endpoint) => write!(f, "{endpoint} ({})", self.region)?,
            None => write!(f, "DynamoDB in {}", self.region)?,
        }
        match &self.account {
            Some(account) => write!(f, ", account {account}"),
            None => Ok(()),
        }
    }
}

/// An endpoint in one spelling: lower case, without the default port, loopback by one name.
struct Endpoint(String);

impl Endpoint {
    fn read(text: &str) -> Self {
        let text = text.trim_end_matches('/').to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://").unwrap_or(("http", &text));
        let default = if scheme == "https" { ":443" } else { ":80" };
        let authority = authority.strip_suffix(default).unwrap_or(authority);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (host, format!(":{port}"))
            }
            Some(_) | None => (authority, String::new()),
        };
        let host = if ["localhost", "[::1]"].contains(&host) { "127.0.0.1" } else { host };
        Self(format!("{scheme}://{host}{port}"))
    }

    fn is_aws(&self) -> bool {
        let authority = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        let host = authority.split(':').next().unwrap_or_default();
        AWS_DOMAINS.iter().any(|domain| host.ends_with(domain))
    }
}
