//! Which tables a call is about. Reads names and ARNs out of a request; checks nothing.

use dm_dynamodb::error::ServiceError;
use dm_dynamodb::partiql::Statement;
use dm_dynamodb::value::AttributeValue;
use serde_json::{Map, Value};

use crate::operation::Operation;

/// Parameters that name a table, by name or ARN, in any operation of the service model.
const TABLE_PARAMETERS: [&str; 6] = [
    "TableName",
    "TableArn",
    "TargetTableName",
    "SourceTableName",
    "SourceTableArn",
    "GlobalTableName",
];

/// Parameters whose ARN lies below a table's (`…:table/NAME/backup/…`).
const RESOURCE_PARAMETERS: [&str; 6] =
    ["ResourceArn", "BackupArn", "ExportArn", "ImportArn", "BulkOperationArn", "StreamArn"];

/// The tables a call names, as it names them, each once. Parameters that the operation does not
/// know are looked at too: one name too many is at worst a denial.
pub fn tables_named(body: &Map<String, Value>) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    let mut add = |name| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    for (member, value) in body {
        match (member.as_str(), value) {
            (parameter, Value::String(name))
                if TABLE_PARAMETERS.contains(&parameter)
                    || RESOURCE_PARAMETERS.contains(&parameter) =>
            {
                add(name);
            }
            ("RequestItems", Value::Object(items)) => items.keys().for_each(|name| add(name)),
            ("TransactItems", Value::Array(actions)) => {
                for action in actions.iter().filter_map(Value::as_object) {
                    for parameters in action.values() {
                        if let Some(name) = parameters.get("TableName").and_then(Value::as_str) {
                            add(name);
                        }
                    }
                }
            }
            _ => {}
        }
    }
    names
}

/// The PartiQL statements of a call, in their order; none for other operations.
pub fn statements(
    operation: Operation,
    body: &Map<String, Value>,
) -> Result<Vec<Statement>, ServiceError> {
    let list = |name: &str| body.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    match operation {
        Operation::ExecuteStatement => {
            Ok(vec![statement(body.get("Statement"), body.get("Parameters"))?])
        }
        Operation::BatchExecuteStatement => list("Statements").iter().map(listed).collect(),
        Operation::ExecuteTransaction => list("TransactStatements").iter().map(listed).collect(),
        _ => Ok(Vec::new()),
    }
}

fn listed(request: &Value) -> Result<Statement, ServiceError> {
    statement(request.get("Statement"), request.get("Parameters"))
}

/// One statement with its parameters.
pub fn statement(
    text: Option<&Value>,
    parameters: Option<&Value>,
) -> Result<Statement, ServiceError> {
    let text = text.and_then(Value::as_str).ok_or_else(|| {
        ServiceError::validation(
            "1 validation error detected: Value null at 'statement' failed to satisfy constraint: \
             Member must not be null",
        )
    })?;
    let parameters = parameters.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let parameters: Vec<AttributeValue> =
        parameters.iter().map(AttributeValue::from_json).collect::<Result<_, _>>()?;
    Statement::parse(text, &parameters)
}

/// A table named by its ARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableArn<'a> {
    /// The whole text.
    pub arn: &'a str,
    /// The table's name in it.
    pub name: &'a str,
    /// Whether nothing stands below the table (no index, backup, stream).
    pub is_table: bool,
}

impl<'a> TableArn<'a> {
    /// Reads `arn:PARTITION:dynamodb:REGION:ACCOUNT:table/NAME[/…]`.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let is_arn = parts.next() == Some("arn");
        let service = parts.nth(1)?;
        let resource = parts.nth(2)?;
        let below = resource.strip_prefix("table/")?;
        let (name, is_table) = match below.split_once('/') {
            Some((name, _)) => (name, false),
            None => (below, true),
        };
        (is_arn && service == "dynamodb").then_some(Self { arn: text, name, is_table })
    }
}

/// The table's name in a name or an ARN.
pub fn plain_name(text: &str) -> &str {
    TableArn::parse(text).map_or(text, |arn| arn.name)
}

/// The plain name in a request's TableName; empty if it has none.
pub fn table_of(request: &Value) -> &str {
    request.get("TableName").and_then(Value::as_str).map_or("", plain_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(body: &Value, expected: &[&str]) {
        assert_eq!(tables_named(body.as_object().unwrap()), expected);
    }

    #[test]
    fn tables_are_found_wherever_an_operation_names_them() {
        check(&json!({"TableName": "cars", "Item": {}}), &["cars"]);
        check(&json!({"RequestItems": {"a": [], "b": []}}), &["a", "b"]);
        check(
            &json!({"TransactItems": [
                {"Put": {"TableName": "a"}},
                {"ConditionCheck": {"TableName": "b"}},
                {"Delete": {"TableName": "a"}},
                {"Put": {"TableName": "c"}, "Delete": {"TableName": "d"}},
            ]}),
            &["a", "b", "c", "d"],
        );
        check(&json!({"Limit": 3}), &[]);
    }

    #[test]
    fn an_arn_is_split_into_its_table() {
        let arn = TableArn::parse("arn:aws-cn:dynamodb:cn-north-1:123:table/cars").unwrap();
        assert_eq!((arn.name, arn.is_table), ("cars", true));
        let arn = TableArn::parse("arn:aws:dynamodb:eu-west-1:1:table/cars/index/x").unwrap();
        assert_eq!((arn.name, arn.is_table), ("cars", false));
        for other in ["cars", "arn:aws:s3:::x", "arn:aws:dynamodb:r:1:backup/x", "", "arn:::::"] {
            assert_eq!(TableArn::parse(other), None, "{other}");
        }
        assert_eq!(plain_name("arn:aws:dynamodb:r:1:table/t"), "t");
        assert_eq!(plain_name("t"), "t");
    }
}
