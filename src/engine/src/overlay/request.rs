//! What requests have in common: tables, keys, expressions. Parsed here, evaluated elsewhere.

use dm_core::error::ServiceError;
use dm_core::expression::Placeholders;
use dm_core::schema::ItemKey;
use dm_core::value::item_from_json;

use super::parameters::Parameters;
use super::schemas::Table;
use crate::fault::Fault;

/// The parameters that expressions have replaced.
const LEGACY: [&str; 7] = [
    "AttributesToGet",
    "AttributeUpdates",
    "ConditionalOperator",
    "Expected",
    "KeyConditions",
    "QueryFilter",
    "ScanFilter",
];

/// The key a request names in its table.
pub fn key(table: &Table, parameters: Parameters<'_>) -> Result<ItemKey, ServiceError> {
    ItemKey::from_key(&table.schema, &item_from_json(parameters.required("Key")?)?)
}

/// The names and values that a request's expressions refer to; `expressions` are the parameters
/// that may refer to values.
pub fn placeholders(
    parameters: Parameters<'_>,
    expressions: &[&'static str],
) -> Result<Placeholders, ServiceError> {
    let names = parameters.get("ExpressionAttributeNames");
    let values = parameters.get("ExpressionAttributeValues");
    let any = parameters.first_of(expressions).is_some();
    if names.is_some() && !any && parameters.get("ProjectionExpression").is_none() {
        return Err(ServiceError::validation(
            "ExpressionAttributeNames can only be specified when using expressions",
        ));
    }
    if values.is_some() && !any {
        let (verb, listed) =
            (if expressions.len() > 1 { "are" } else { "is" }, expressions.join(" and "));
        return Err(ServiceError::validation(format!(
            "ExpressionAttributeValues can only be specified when using expressions: {listed} \
             {verb} null"
        )));
    }
    Placeholders::from_json(names, values)
}

/// Refuses the older parameters.
pub fn refuse_legacy(parameters: Parameters<'_>) -> Result<(), Fault> {
    match parameters.first_of(&LEGACY) {
        None => Ok(()),
        Some(name) => Err(Fault::refused(
            format!(
                "The guard's dry run does not simulate the parameter {name} yet. The expression \
                 that has replaced it works."
            ),
            format!("a dry run does not simulate the parameter {name} yet"),
        )),
    }
}
