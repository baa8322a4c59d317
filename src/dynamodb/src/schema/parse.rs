//! Reads DescribeTable's JSON into a schema.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Billing, IndexKind, IndexProjection, IndexSchema, KeyAttribute, KeySchema, KeyType,
    TableSchema, table_id,
};

/// Why a description of a table was not understood. Names only, no data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A member is missing or of another JSON type.
    #[error("the table's description has no usable {0}")]
    Missing(&'static str),
    /// A key attribute has no definition.
    #[error("the key attribute {0} has no definition")]
    Undefined(String),
    /// A word stands where the service model lists others.
    #[error("the table's description has the unknown {what} {found}")]
    Unknown { what: &'static str, found: String },
}

type Result<T> = std::result::Result<T, SchemaError>;
type Types = BTreeMap<String, KeyType>;

impl TableSchema {
    /// Reads DescribeTable's answer, `{"Table": {…}}` or the description itself.
    pub fn from_json(json: &Value) -> Result<Self> {
        let table = json.get("Table").unwrap_or(json);
        let types = attribute_types(table)?;
        let mut indexes = Vec::new();
        let kinds = [
            ("LocalSecondaryIndexes", IndexKind::Local),
            ("GlobalSecondaryIndexes", IndexKind::Global),
        ];
        for (member, kind) in kinds {
            for description in array(table, member) {
                indexes.push(index(description, kind, &types)?);
            }
        }
        Ok(Self {
            name: text(table, "TableName")?.to_owned(),
            arn: table.get("TableArn").and_then(Value::as_str).map(str::to_owned),
            id: table_id(table),
            keys: keys(table, &types)?,
            attribute_types: types,
            indexes,
            billing: billing(table),
        })
    }
}

fn attribute_types(table: &Value) -> Result<Types> {
    array(table, "AttributeDefinitions")
        .iter()
        .map(|definition| {
            let word = text(definition, "AttributeType")?;
            let unknown = || SchemaError::Unknown { what: "AttributeType", found: word.to_owned() };
            let kind = KeyType::of(word).ok_or_else(unknown)?;
            Ok((text(definition, "AttributeName")?.to_owned(), kind))
        })
        .collect()
}

fn keys(description: &Value, types: &Types) -> Result<KeySchema> {
    let mut schema = KeySchema { partition: Vec::new(), sort: Vec::new() };
    for element in array(description, "KeySchema") {
        let name = text(element, "AttributeName")?.to_owned();
        let Some(&kind) = types.get(&name) else {
            return Err(SchemaError::Undefined(name));
        };
        let attribute = KeyAttribute { name, kind };
        match text(element, "KeyType")? {
            "HASH" => schema.partition.push(attribute),
            "RANGE" => schema.sort.push(attribute),
            other => {
                let found = other.to_owned();
                return Err(SchemaError::Unknown { what: "KeyType", found });
            }
        }
    }
    if schema.partition.is_empty() {
        return Err(SchemaError::Missing("KeySchema"));
    }
    Ok(schema)
}

fn index(description: &Value, kind: IndexKind, types: &Types) -> Result<IndexSchema> {
    let projection = description.get("Projection").ok_or(SchemaError::Missing("Projection"))?;
    Ok(IndexSchema {
        name: text(description, "IndexName")?.to_owned(),
        kind,
        keys: keys(description, types)?,
        projection: match text(projection, "ProjectionType")? {
            "ALL" => IndexProjection::All,
            "KEYS_ONLY" => IndexProjection::KeysOnly,
            "INCLUDE" => IndexProjection::Include(
                array(projection, "NonKeyAttributes")
                    .iter()
                    .filter_map(|name| name.as_str().map(str::to_owned))
                    .collect(),
            ),
            other => {
                let found = other.to_owned();
                return Err(SchemaError::Unknown { what: "ProjectionType", found });
            }
        },
    })
}

/// Tables that were never switched to on-demand have no BillingModeSummary.
fn billing(table: &Value) -> Billing {
    let mode = table.pointer("/BillingModeSummary/BillingMode").and_then(Value::as_str);
    let units = |member: &str| {
        table
            .get("ProvisionedThroughput")
            .and_then(|throughput| throughput.get(member))
            .and_then(Value::as_u64)
            .unwrap_or(0)
    };
    match mode {
        Some("PAY_PER_REQUEST") => Billing::OnDemand,
        _ => Billing::Provisioned {
            read_units: units("ReadCapacityUnits"),
            write_units: units("WriteCapacityUnits"),
        },
    }
}

fn text<'a>(json: &'a Value, member: &'static str) -> Result<&'a str> {
    json.get(member).and_then(Value::as_str).ok_or(SchemaError::Missing(member))
}

/// DynamoDB leaves out, or answers null for, lists that are empty.
fn array<'a>(json: &'a Value, member: &str) -> &'a [Value] {
    json.get(member).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(change: impl FnOnce(&mut Value), expected: &str) {
        let mut description = orders();
        change(&mut description);
        let error = TableSchema::from_json(&description).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    fn orders() -> Value {
        json!({
            "TableName": "orders",
            "TableArn": "arn:aws:dynamodb:eu-west-1:1:table/orders",
            "AttributeDefinitions": [
                {"AttributeName": "customer", "AttributeType": "S"},
                {"AttributeName": "placed", "AttributeType": "N"},
                {"AttributeName": "city", "AttributeType": "S"},
                {"AttributeName": "blob", "AttributeType": "B"},
            ],
            "KeySchema": [
                {"AttributeName": "customer", "KeyType": "HASH"},
                {"AttributeName": "placed", "KeyType": "RANGE"},
            ],
            "GlobalSecondaryIndexes": [{
                "IndexName": "by-city",
                "KeySchema": [
                    {"AttributeName": "city", "KeyType": "HASH"},
                    {"AttributeName": "customer", "KeyType": "HASH"},
                    {"AttributeName": "placed", "KeyType": "RANGE"},
                    {"AttributeName": "blob", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["total"]},
            }],
            "LocalSecondaryIndexes": [{
                "IndexName": "by-blob",
                "KeySchema": [
                    {"AttributeName": "customer", "KeyType": "HASH"},
                    {"AttributeName": "blob", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }],
            "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 7},
        })
    }

    #[test]
    fn a_description_is_read_whole_with_or_without_its_envelope() {
        let table = TableSchema::from_json(&json!({"Table": orders()})).unwrap();
        assert_eq!(table, TableSchema::from_json(&orders()).unwrap());
        assert_eq!(table.name, "orders");
        assert_eq!(table.billing, Billing::Provisioned { read_units: 5, write_units: 7 });
        let names: Vec<_> = table.indexes.iter().map(|index| index.name.as_str()).collect();
        assert_eq!(names, ["by-blob", "by-city"]);
        let city = table.index("by-city").unwrap();
        assert_eq!((city.keys.partition.len(), city.keys.sort.len()), (2, 2));
        assert_eq!(city.projection, IndexProjection::Include(vec!["total".to_owned()]));
        assert!(table.has_local_indexes());
    }

    #[test]
    fn on_demand_billing_is_told_by_its_summary() {
        let mut description = orders();
        description["BillingModeSummary"] = json!({"BillingMode": "PAY_PER_REQUEST"});
        assert_eq!(TableSchema::from_json(&description).unwrap().billing, Billing::OnDemand);
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        check(
            |table| table["KeySchema"] = json!([]),
            "the table's description has no usable KeySchema",
        );
        check(
            |table| table["AttributeDefinitions"] = json!([]),
            "the key attribute customer has no definition",
        );
        check(
            |table| table["KeySchema"][0]["KeyType"] = json!("GEO"),
            "the table's description has the unknown KeyType GEO",
        );
        check(
            |table| table["TableName"] = json!(3),
            "the table's description has no usable TableName",
        );
    }
}
