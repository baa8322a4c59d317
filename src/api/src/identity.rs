//! Which database and tables a run was of, as it stands in objects, and how another one may differ.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A difference between a recorded run and the current program or database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Mismatch {
    /// The recorded run was of another database: another partition, account, region or endpoint.
    OtherDatabase,
    /// The recorded run ran another program.
    OtherProgram,
    /// A table was deleted since, and created or recovered from a backup under the same name.
    TableReplaced,
}

/// The database and the tables that a dry run read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TriedOn {
    /// Region of the database.
    pub region: String,
    /// Endpoint of the database, if it is not AWS's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Partition of the database, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Account of the database, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Ids of tables, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, String>,
}
