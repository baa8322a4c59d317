//! Values, expressions, and members of reads that do not go together: what AWS says of them before it
//! looks for the table. Only asked of a read that was found to be wrong, so it may read things twice.

use serde_json::{Map, Value};

use super::duplicate_keys;
use super::members::{given, listed, mapped, text};
use crate::error::ServiceError;
use crate::operation::Operation;
use crate::parameters::{Parameters, RequestKind, check_combination, check_one_kind};
use crate::value::{AttributeValue, Item, item_from_json};

type Result<T> = std::result::Result<T, ServiceError>;

/// Keys of one BatchGetItem (DynamoDB API Reference).
const BATCH_GET_KEYS_MAX: usize = 100;

/// Checks a body whose types and limits are right.
pub fn check(operation: Operation, body: &Map<String, Value>) -> Result<()> {
    match operation {
        Operation::GetItem => keyed(RequestKind::Get, body),
        Operation::Query => query(body),
        Operation::Scan => scan(body),
        Operation::BatchGetItem => batch_get(body),
        Operation::TransactGetItems => listed(body, "TransactItems")
            .filter_map(|action| given(action.ok()?, "Get")?.as_object())
            .try_for_each(|get| keyed(RequestKind::TransactGet, get)),
        _ => Ok(()),
    }
}

fn keyed(kind: RequestKind, body: &Map<String, Value>) -> Result<()> {
    check_combination(kind, body)?;
    given(body, "Key").map_or(Ok(Item::new()), item_from_json)?;
    Parameters::read_combined(kind, body).map(drop)
}

fn query(body: &Map<String, Value>) -> Result<()> {
    check_combination(RequestKind::Query, body)?;
    Parameters::read_older(RequestKind::Query, body)?;
    check_start_key(body)?;
    check_selection(body)?;
    Parameters::read(RequestKind::Query, body).map(drop)
}

fn scan(body: &Map<String, Value>) -> Result<()> {
    check_combination(RequestKind::Scan, body)?;
    Parameters::read_older(RequestKind::Scan, body)?;
    check_start_key(body)?;
    segment(body)?;
    check_selection(body)?;
    Parameters::read(RequestKind::Scan, body).map(drop)
}

/// The values of an ExclusiveStartKey. AWS says that the key is invalid, unless a number is wrong, or
/// a set has duplicates.
pub fn check_start_key(body: &Map<String, Value>) -> Result<()> {
    let has = |value: &Value, kind: &str| value.get(kind).is_some_and(|of_kind| !of_kind.is_null());
    for (_, value) in mapped(body, "ExclusiveStartKey") {
        let Err(error) = AttributeValue::from_json(value) else { continue };
        let is_empty = |set: &Value| set.as_array().is_some_and(Vec::is_empty);
        let of_value = ["N", "NS"].iter().any(|kind| has(value, kind))
            || ["SS", "BS"].iter().any(|kind| has(value, kind) && !is_empty(&value[kind]));
        return Err(if of_value {
            error
        } else {
            let message = format!("The provided starting key is invalid: {}", error.message);
            ServiceError { message, ..error }
        });
    }
    Ok(())
}

/// The segment of a Scan, of so many.
pub fn segment(body: &Map<String, Value>) -> Result<Option<(u32, u32)>> {
    let number = |name: &str| {
        let number = given(body, name)?.as_u64()?;
        u32::try_from(number).ok()
    };
    match (number("Segment"), number("TotalSegments")) {
        (None, None) => Ok(None),
        (Some(segment), Some(total)) if segment < total => Ok(Some((segment, total))),
        (Some(segment), Some(total)) => Err(ServiceError::validation(format!(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: \
             Segment: {segment} is not less than TotalSegments: {total}"
        ))),
        (None, Some(_)) => Err(ServiceError::validation(
            "The Segment parameter is required but was not present in the request when parameter \
             TotalSegments is present",
        )),
        (Some(_), None) => Err(ServiceError::validation(
            "The TotalSegments parameter is required but was not present in the request when \
             Segment parameter is present",
        )),
    }
}

fn check_selection(body: &Map<String, Value>) -> Result<()> {
    let Some(select) = text(body, "Select") else { return Ok(()) };
    let projection = ["ProjectionExpression", "AttributesToGet"];
    let projection = projection.into_iter().find(|name| given(body, name).is_some());
    check_select(select, projection, given(body, "IndexName").is_some())
}

/// Whether Select goes with the parameter that lists attributes, if one does, and with an index.
pub fn check_select(select: &str, projection: Option<&str>, of_index: bool) -> Result<()> {
    let shown = if select == "COUNT" { "only the Count" } else { select };
    match (select, projection) {
        ("SPECIFIC_ATTRIBUTES", None) => Err(ServiceError::validation(
            "1 validation error detected: Must specify the AttributesToGet or ProjectionExpression \
             when choosing to get SPECIFIC_ATTRIBUTES",
        )),
        ("SPECIFIC_ATTRIBUTES", Some(_)) => Ok(()),
        (_, Some(projection)) => Err(ServiceError::validation(format!(
            "Cannot specify the {projection} when choosing to get {shown}"
        ))),
        ("ALL_PROJECTED_ATTRIBUTES", None) if !of_index => Err(ServiceError::validation(
            "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
        )),
        (_, None) => Ok(()),
    }
}

fn batch_get(body: &Map<String, Value>) -> Result<()> {
    let none = Map::new();
    let asked = given(body, "RequestItems").and_then(Value::as_object).unwrap_or(&none);
    let keys =
        |of_table: &Value| of_table.get("Keys").and_then(Value::as_array).map_or(0, Vec::len);
    if asked.values().map(keys).sum::<usize>() > BATCH_GET_KEYS_MAX {
        return Err(ServiceError::validation("Too many items requested for the BatchGetItem call"));
    }
    check_one_kind(asked)?;
    for of_table in asked.values().filter_map(Value::as_object) {
        Parameters::read(RequestKind::Get, of_table)?;
        let mut seen: Vec<Item> = Vec::new();
        for key in given(of_table, "Keys").and_then(Value::as_array).into_iter().flatten() {
            let key = item_from_json(key)?;
            if seen.contains(&key) {
                return Err(duplicate_keys());
            }
            seen.push(key);
        }
    }
    Ok(())
}
