//! The base of an embedded database: a DynamoDB without any table. It answers in DynamoDB's words
//! and sends nothing.

use std::sync::Arc;

use bytes::Bytes;
use dm_dynamodb::request::{Outline, check_name_length, no_table};
use dm_dynamodb::table_name::plain_name;
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::operation::Operation;

/// A database without tables.
#[derive(Clone, Debug)]
pub struct Nothing {
    region: Arc<str>,
}

impl Nothing {
    /// One that belongs to a region, which its tables' ARNs name.
    pub fn in_region(region: &str) -> Self {
        Self { region: region.into() }
    }

    pub fn region(&self) -> &str {
        &self.region
    }
}

/// Answers a reading call.
pub fn read(operation: Operation, body: &Value) -> Result<Bytes, Fault> {
    let answer = match operation {
        Operation::ListTables => json!({"TableNames": []}),
        // The defaults of a new account (DynamoDB Developer Guide, "Quotas").
        Operation::DescribeLimits => json!({
            "AccountMaxReadCapacityUnits": 80_000,
            "AccountMaxWriteCapacityUnits": 80_000,
            "TableMaxReadCapacityUnits": 40_000,
            "TableMaxWriteCapacityUnits": 40_000,
        }),
        _ => return Err(missing(operation, body)),
    };
    Ok(Bytes::from(answer.to_string()))
}

/// The error of a call that names a table; a call that names none is not supported.
fn missing(operation: Operation, body: &Value) -> Fault {
    let empty = Map::new();
    let tables = Outline::of(operation, body.as_object().unwrap_or(&empty)).tables();
    let Some(table) = tables.first().map(|table| plain_name(table)) else {
        return Fault::refused(
            format!("An embedded database does not support {}.", operation.name()),
            "an embedded database does not support it",
        );
    };
    let error = check_name_length(table).err().unwrap_or_else(|| no_table(operation, table));
    Fault::Upstream { status: error.status(), body: Bytes::from(error.to_json().to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_missing_and_the_list_of_tables_is_empty() {
        let cars = json!({"TableName": "cars"});
        for operation in [Operation::DescribeTable, Operation::Scan, Operation::DescribeTimeToLive]
        {
            let fault = read(operation, &cars).unwrap_err();
            assert!(fault.is_upstream("ResourceNotFoundException"), "{fault:?}");
        }
        let fault = read(Operation::DescribeContinuousBackups, &cars).unwrap_err();
        assert!(fault.is_upstream("TableNotFoundException"), "{fault:?}");
        let fault = read(Operation::DescribeTable, &json!({"TableName": "xx"})).unwrap_err();
        assert!(fault.is_upstream("ValidationException"), "{fault:?}");
        let listed = read(Operation::ListTables, &json!({})).unwrap();
        assert_eq!(listed, Bytes::from_static(b"{\"TableNames\":[]}"));
        let fault = read(Operation::ListBackups, &json!({})).unwrap_err();
        assert!(matches!(fault, Fault::Refused { .. }), "{fault:?}");
    }
}
