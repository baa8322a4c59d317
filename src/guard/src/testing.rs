//! Plans for this crate's own tests.

use std::path::Path;

use dm_contract::plan::{
    ArchivePlan, Mode, PLAN_VERSION, Plan, Policy, RateLimits, RunId, Upstream,
};
use dm_engine::CredentialSource;
use dm_engine::upstream::UpstreamError;

/// Run 1 of migration `m`, with its archive in this folder.
pub fn plan(archive: &Path, mode: Mode) -> Plan {
    Plan {
        version: PLAN_VERSION,
        run: RunId { namespace: "n".into(), name: "m".into(), uid: "u".into(), number: 1 },
        mode,
        upstream: Upstream {
            region: "eu-west-1".into(),
            endpoint: Some("http://127.0.0.1:9".into()),
        },
        policy: Policy::default(),
        limits: RateLimits::default(),
        limits_max: RateLimits::default(),
        archive: Some(ArchivePlan {
            url: format!("file://{}", archive.display()),
            migration: "m".into(),
            ..ArchivePlan::default()
        }),
        second_pass: false,
        restore: None,
        program: None,
        accept: Vec::new(),
        tried: None,
        parts: None,
        now_s: None,
    }
}

/// Credentials of no database.
#[allow(clippy::unnecessary_wraps, reason = "as the real ones")]
pub fn credentials() -> Result<CredentialSource, UpstreamError> {
    let fixed = aws_credential_types::Credentials::new("none", "secret", None, None, "tests");
    let fixed = aws_credential_types::provider::SharedCredentialsProvider::new(fixed);
    Ok(CredentialSource::new(fixed))
}
