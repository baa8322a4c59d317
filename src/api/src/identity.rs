//! Which database and tables a run was of, as it stands in objects, and how another one may differ.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How a run on record differs from what is there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Mismatch {
    /// It was of another database: another partition, account, region or endpoint.
    OtherDatabase,
    /// It ran another program.
    OtherProgram,
    /// A table was deleted since and created, or restored from a backup, under the same name.
    TableReplaced,
}

/// The database and the tables that a dry run saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TriedOn {
    /// Its region.
    pub region: String,
    /// Its endpoint, where it is not AWS's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Its partition, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Its account, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Tables and their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, String>,
}
