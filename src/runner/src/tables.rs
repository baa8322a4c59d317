//! The tables of a transform, described once before anything is read.

use std::sync::Arc;

use dm_dynamodb::schema::TableSchema;
use dm_engine::{Engine, Operation};
use dm_transform::write::Tables;
use dm_transform::{SpecError, Transform};
use serde_json::{Map, Value};

use crate::going::Going;
use crate::request::{RequestError, send};

/// The tables of one run.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    table: TableSchema,
    to: Option<TableSchema>,
    /// The table's size, as DynamoDB counts it about every six hours.
    pub bytes: u64,
}

impl Described {
    /// The id of the table whose items change, which tells it from another of the same name.
    pub fn id(&self) -> Option<String> {
        self.table.id.clone()
    }

    /// Both, for a request.
    pub fn tables(&self) -> Tables<'_> {
        Tables { table: &self.table, to: self.to.as_ref().unwrap_or(&self.table) }
    }
}

/// Describes the tables and checks the transform against them. The message of an error names the
/// field.
pub(crate) async fn describe(
    engine: &Arc<Engine>,
    going: &Going,
    transform: &Transform,
) -> Result<Described, String> {
    let (table, bytes) = described(engine, going, "table", &transform.table).await?;
    let to = match &transform.to {
        Some(name) => Some(described(engine, going, "to.table", name).await?.0),
        None => None,
    };
    transform.check_tables(&table, to.as_ref()).map_err(|error| error.in_spec())?;
    Ok(Described { table, to, bytes })
}

async fn described(
    engine: &Arc<Engine>,
    going: &Going,
    field: &str,
    name: &str,
) -> Result<(TableSchema, u64), String> {
    let wrong = |message| SpecError { field: field.to_owned(), column: None, message }.in_spec();
    let parameters = || Map::from_iter([("TableName".to_owned(), Value::from(name))]);
    let answer = send(engine, going, Operation::DescribeTable, parameters).await.map_err(
        |error| match error {
            RequestError::Run { name: error, .. } if error == "ResourceNotFoundException" => {
                wrong(format!("there is no table {name}"))
            }
            error => wrong(error.to_string()),
        },
    )?;
    let answer: Value =
        serde_json::from_slice(&answer).map_err(|_| wrong("its description is not JSON".into()))?;
    let schema = TableSchema::from_json(&answer).map_err(|error| wrong(error.to_string()))?;
    Ok((schema, answer["Table"]["TableSizeBytes"].as_u64().unwrap_or_default()))
}
