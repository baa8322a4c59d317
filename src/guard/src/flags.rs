//! The guard's flags and environment.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Parser;
use dm_core::plan::{CONTROL_PORT, PLAN_ENV, PLAN_VERSION, PROGRAM_PORT, Plan};

/// Stands between a migration's program and its database.
#[derive(Clone, Debug, Parser)]
#[command(name = "datamigration-guard", version)]
pub struct Flags {
    /// The run's plan, as JSON
    #[arg(long, env = PLAN_ENV, hide_env_values = true)]
    pub plan: String,
    /// File that gets the result as JSON, at most 4,096 bytes, when the guard is stopped
    #[arg(long, default_value = "/dev/termination-log")]
    pub termination_log: PathBuf,
    /// Folder that outlives a restart of the container; without it a restart goes unnoticed. What a
    /// dry run cannot hold in memory is kept there too
    #[arg(long)]
    pub state_dir: Option<PathBuf>,
    /// Address for the program
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, PROGRAM_PORT)))]
    pub listen: SocketAddr,
    /// Address for the startup probe (/healthz) and the operator (/progress)
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::UNSPECIFIED, CONTROL_PORT)))]
    pub control_listen: SocketAddr,
}

/// Why a plan cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It is no plan.
    #[error("reading the plan of {PLAN_ENV}")]
    Json(#[from] serde_json::Error),
    /// Of another version.
    #[error("the plan has version {0}, and this guard reads version {PLAN_VERSION} only")]
    Version(u64),
}

/// Reads a plan. Its version is looked at first: another version may have other fields.
pub fn plan(json: &str) -> Result<Plan, PlanError> {
    let value: serde_json::Value = serde_json::from_str(json)?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version != u64::from(PLAN_VERSION) => Err(PlanError::Version(version)),
        Some(_) | None => Ok(serde_json::from_value(value)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_another_version_or_with_unknown_fields_is_refused() {
        let json = r#"{"version":1,"run":{"namespace":"n","name":"m","uid":"u","number":1},
            "mode":"DryRun","upstream":{"region":"eu-west-1"},"policy":{}}"#;
        assert!(plan(json).is_ok());
        assert!(matches!(plan(&json.replace(":1,\"run", ":2,\"run")), Err(PlanError::Version(2))));
        assert!(matches!(plan(&json.replace("policy", "polity")), Err(PlanError::Json(_))));
        assert!(plan("").is_err());
    }
}
