//! The guard's flags and environment.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use dm_contract::addresses;
use dm_contract::control::access_key;
use dm_contract::plan::{
    ACCESS_KEY_ENV, CONTROL_PORT, CONTROL_TOKEN_ENV, PLAN_ENV, PLAN_VERSION, PROGRAM_PORT, Plan,
};

/// Stands between a migration's program and its database.
#[derive(Clone, Debug, Parser)]
#[command(name = "datamigration-guard", version)]
pub struct Flags {
    /// What to do. Default: serve a program until SIGTERM
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// The run's plan, as JSON
    #[arg(long, env = PLAN_ENV, hide_env_values = true, global = true, default_value = "")]
    pub plan: String,
    /// File that gets the result as JSON, at most 4,096 bytes, when the guard is stopped
    #[arg(long, default_value = "/dev/termination-log", global = true)]
    pub termination_log: PathBuf,
    /// Folder that outlives a restart of the container; without it a restart goes unnoticed. What a
    /// dry run cannot hold in memory is kept there too
    #[arg(long)]
    pub state_dir: Option<PathBuf>,
    /// Folder in which the entry program leaves the program's output and result, for the archive
    #[arg(long)]
    pub log_dir: Option<PathBuf>,
    /// Address for the program
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, PROGRAM_PORT)))]
    pub listen: SocketAddr,
    /// Address for the startup probe (/healthz) and the operator (/progress)
    #[arg(long, global = true, default_value_t = addresses::everywhere(CONTROL_PORT))]
    pub control_listen: SocketAddr,
    /// Bearer token that requests to the control address must present to change limits, pause and
    /// resume. Default: nobody can
    #[arg(long, env = CONTROL_TOKEN_ENV, hide_env_values = true)]
    pub control_token: Option<String>,
    /// Access key that the program's requests must be signed with. Without it, the one that follows
    /// from the control token
    #[arg(long, env = ACCESS_KEY_ENV, hide_env_values = true)]
    pub access_key_id: Option<String>,
}

/// What the program does instead of serving. `restore` and `record` need the plan's archive.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Check that the target's database and archive can be used, and write the result to the
    /// termination log
    Check,
    /// Ask the ledger whether the run may begin: exits with 0, or with 80 to 84, 86 or 87 and the
    /// reason in the termination log
    Ledger,
    /// Restore the run that the plan names; can be interrupted and started again
    Restore,
    /// Record in the ledger how the run ended, where its guard could not
    Record(Record),
}

/// How a run ended.
#[derive(Clone, Debug, Args)]
pub struct Record {
    /// Nothing ran: the migration was applied before the operator existed
    #[arg(long)]
    pub baseline: bool,
    /// How it ended
    #[arg(long, value_enum, ignore_case = true)]
    pub outcome: Outcome,
    /// A message for the ledger
    #[arg(long)]
    pub message: Option<String>,
    /// When the program was started, RFC 3339
    #[arg(long, value_name = "TIME")]
    pub execution_time: Option<String>,
    /// When the program had ended, RFC 3339
    #[arg(long, value_name = "TIME")]
    pub finalization_time: Option<String>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Outcome {
    /// It did what it should
    Succeeded,
    /// It failed
    Failed,
}

/// Why a plan cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It is no plan.
    #[error("reading the plan of {PLAN_ENV}")]
    Json(#[from] serde_json::Error),
    #[error("the plan has version {0}, and this guard reads version {PLAN_VERSION} only")]
    Version(u64),
}

impl Flags {
    /// The access key of the program that is served, if there is any.
    pub fn access_key(&self) -> Option<String> {
        let given = self.access_key_id.clone().filter(|key| !key.is_empty());
        given.or_else(|| self.control_token.as_deref().map(access_key))
    }
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
    fn the_command_line_is_consistent_and_verbs_are_optional() {
        use clap::CommandFactory as _;
        Flags::command().debug_assert();
        let parse = |line: &str| Flags::try_parse_from(line.split_whitespace());
        let serving = parse("g --plan {} --state-dir /s --log-dir /l").unwrap();
        assert!(serving.verb.is_none());
        for line in [
            "g --plan {} ledger",
            "g ledger --plan {} --termination-log /t",
            "g restore",
            "g check",
        ] {
            assert!(parse(line).unwrap().verb.is_some(), "{line}");
        }
        let line = "g record --outcome Succeeded --execution-time 2026-12-01T00:00:00Z";
        assert!(matches!(
            parse(line).unwrap().verb,
            Some(Verb::Record(Record { outcome: Outcome::Succeeded, .. }))
        ));
        for wrong in ["g record", "g record --outcome Unknown", "g other"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_access_key_is_given_or_follows_from_the_token() {
        let key = |line: &str| Flags::try_parse_from(line.split_whitespace()).unwrap().access_key();
        let token = "0123456789abcdef";
        assert_eq!(key("g --access-key-id DM1").as_deref(), Some("DM1"));
        assert_eq!(key(&format!("g --control-token {token}")), Some(access_key(token)));
        assert_eq!(key("g"), None);
    }

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
