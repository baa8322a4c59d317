//! UpdateTable. AWS checks new indexes, streams and highest rates only after it has found the
//! table. So they are decoded here, and checked where they are applied.

use serde_json::{Map, Value};

use super::indexes::Index;
use super::invalid;
use super::keys;
use super::throughput::{BillingMode, Highest, Stream, Units, table_units};
use crate::error::ServiceError;
use crate::request::members::{given, listed, string, structure, text};
use crate::schema::KeyType;
use crate::value::bool_from_json;

type Result<T> = std::result::Result<T, ServiceError>;

#[derive(Clone, Debug, PartialEq)]
pub struct UpdateTable {
    /// The table as the request names it.
    pub table: String,
    /// The definitions in the order of the request; they matter to a new index only.
    pub definitions: Vec<(String, KeyType)>,
    pub billing: Option<BillingMode>,
    pub units: Option<Units>,
    pub highest: Option<Highest>,
    pub indexes: Vec<IndexChange>,
    pub stream: Option<Stream>,
    pub class: Option<String>,
    pub protected: Option<bool>,
}

/// One of the GlobalSecondaryIndexUpdates.
#[derive(Clone, Debug, PartialEq)]
pub enum IndexChange {
    Create(Index),
    /// Other throughput of the index of this name.
    Update {
        name: String,
        units: Option<Units>,
        highest: Option<Highest>,
    },
    /// The name of the index.
    Delete(String),
}

impl UpdateTable {
    pub(super) fn decode(body: &Map<String, Value>) -> Result<Self> {
        let update = Self {
            table: string(body, "TableName"),
            definitions: keys::definitions(body)?,
            billing: BillingMode::decode(body),
            units: Units::decode(body)?,
            highest: Highest::decode(body)?,
            indexes: Vec::new(),
            stream: Stream::decode(body)?,
            class: text(body, "TableClass").map(str::to_owned),
            protected: given(body, "DeletionProtectionEnabled").map(bool_from_json).transpose()?,
        };
        if let Some(units) = update.units {
            table_units(update.billing.unwrap_or(BillingMode::Provisioned), Some(units))?;
        }
        let mut indexes: Vec<IndexChange> = Vec::new();
        for change in listed(body, "GlobalSecondaryIndexUpdates") {
            let change = IndexChange::decode(change?)?;
            let name = change.name();
            if indexes.iter().any(|other| other.name() == name) {
                return invalid(format!(
                    "Only one global secondary index update per index is allowed simultaneously. \
                     Index: {name}"
                ));
            }
            indexes.push(change);
        }
        let update = Self { indexes, ..update };
        if update.changes_nothing() {
            return Err(ServiceError::validation(
                "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, \
                 GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required",
            ));
        }
        Ok(update)
    }

    fn changes_nothing(&self) -> bool {
        self.indexes.is_empty()
            && self.billing.is_none()
            && self.units.is_none()
            && self.highest.is_none()
            && self.stream.is_none()
            && self.class.is_none()
            && self.protected.is_none()
    }
}

impl IndexChange {
    fn decode(body: &Map<String, Value>) -> Result<Self> {
        let kinds = ["Create", "Update", "Delete"].map(|kind| structure(body, kind));
        let name = |body| string(body, "IndexName");
        match kinds {
            [Some(index), None, None] => Index::decode(index).map(Self::Create),
            [None, Some(update), None] => Ok(Self::Update {
                name: name(update),
                units: Units::decode(update)?,
                highest: Highest::decode(update)?,
            }),
            [None, None, Some(delete)] => Ok(Self::Delete(name(delete))),
            [None, None, None] => invalid(
                "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, \
                 GlobalSecondaryIndexUpdate.Delete must not be null",
            ),
            _ => invalid(
                "Only one global secondary index update per element of GlobalSecondaryIndexUpdates \
                 is allowed",
            ),
        }
    }

    /// The name of the index.
    pub fn name(&self) -> &str {
        match self {
            Self::Create(index) => &index.name,
            Self::Update { name, .. } | Self::Delete(name) => name,
        }
    }
}
