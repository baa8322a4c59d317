//! Values, expressions, and members that do not go together: what AWS says of them before it looks
//! for the table. Only asked of a request that was found to be wrong, so it may read things twice.

use serde_json::{Map, Value};

use crate::error::ServiceError;
use crate::parameters::{Parameters, RequestKind, check_combination, check_one_kind};
use crate::value::{AttributeValue, Item, check_item_size, item_from_json, unfolded};

type Result<T> = std::result::Result<T, ServiceError>;

/// Keys of one BatchGetItem (DynamoDB API Reference).
const BATCH_GET_KEYS_MAX: usize = 100;

/// Requests of one BatchWriteItem (DynamoDB API Reference).
const BATCH_WRITES_MAX: usize = 25;

/// What stands for a request or an action that gives none of its kinds, or several.
const ONE_ACTION: &str = "TransactItems can only contain one of Check, Put, Update or Delete";

/// Operations whose errors count what they detect, also where they detect one thing only (so dynoxide's
/// authors saw AWS answer in 2026).
const COUNTING: [&str; 3] = ["PutItem", "UpdateItem", "DeleteItem"];

/// Checks a body whose types and limits are right.
pub fn check(operation: &str, body: &Value) -> Result<()> {
    let checked = check_content(operation, body);
    let counts = COUNTING.contains(&operation);
    checked.map_err(|error| if counts { error.counted() } else { error })
}

fn check_content(operation: &str, body: &Value) -> Result<()> {
    match operation {
        "PutItem" => {
            put(body)?;
            check_returned(body)
        }
        "UpdateItem" => keyed(RequestKind::Update, body),
        "DeleteItem" => {
            keyed(RequestKind::Write, body)?;
            check_returned(body)
        }
        "GetItem" => keyed(RequestKind::Get, body),
        "Query" => query(body),
        "Scan" => scan(body),
        "BatchGetItem" => batch_get(body),
        "BatchWriteItem" => batch_write(body),
        "TransactWriteItems" => listed(body, "TransactItems").try_for_each(action),
        "TransactGetItems" => listed(body, "TransactItems")
            .filter_map(|action| given(action, "Get"))
            .try_for_each(|get| keyed(RequestKind::TransactGet, get)),
        _ => Ok(()),
    }
}

fn given<'a>(body: &'a Value, name: &str) -> Option<&'a Value> {
    body.get(name).filter(|value| !value.is_null())
}

fn listed<'a>(body: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    given(body, name).and_then(Value::as_array).into_iter().flatten()
}

/// The members of a map. A folded one was read already, and nothing in it is wrong.
fn mapped<'a>(body: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let map = given(body, name).filter(|map| unfolded(map).is_none());
    map.and_then(Value::as_object).into_iter().flatten()
}

fn item(body: &Value, name: &str) -> Result<Item> {
    given(body, name).map_or(Ok(Item::new()), item_from_json)
}

fn put(body: &Value) -> Result<()> {
    let item = item(body, "Item")?;
    Parameters::read(RequestKind::Write, body)?;
    check_item_size(&item)
}

fn keyed(kind: RequestKind, body: &Value) -> Result<()> {
    check_combination(kind, body)?;
    item(body, "Key")?;
    Parameters::read(kind, body).map(drop)
}

/// ReturnValues of a write that is no update.
fn check_returned(body: &Value) -> Result<()> {
    match given(body, "ReturnValues").and_then(Value::as_str) {
        None | Some("NONE" | "ALL_OLD") => Ok(()),
        Some(_) => Err(ServiceError::request("ReturnValues can only be ALL_OLD or NONE")),
    }
}

fn query(body: &Value) -> Result<()> {
    check_combination(RequestKind::Query, body)?;
    Parameters::read_older(RequestKind::Query, body)?;
    check_start_key(body)?;
    check_selection(body)?;
    Parameters::read(RequestKind::Query, body).map(drop)
}

fn scan(body: &Value) -> Result<()> {
    check_combination(RequestKind::Scan, body)?;
    Parameters::read_older(RequestKind::Scan, body)?;
    check_start_key(body)?;
    segment(body)?;
    check_selection(body)?;
    Parameters::read(RequestKind::Scan, body).map(drop)
}

/// The values of an ExclusiveStartKey. AWS says that the key is invalid, unless a number is wrong, or
/// a set has duplicates.
pub fn check_start_key(body: &Value) -> Result<()> {
    for (_, value) in mapped(body, "ExclusiveStartKey") {
        let Err(error) = AttributeValue::from_json(value) else { continue };
        let is_empty = |set: &Value| set.as_array().is_some_and(Vec::is_empty);
        let of_value = ["N", "NS"].iter().any(|kind| given(value, kind).is_some())
            || ["SS", "BS"].iter().any(|kind| given(value, kind).is_some_and(|set| !is_empty(set)));
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
pub fn segment(body: &Value) -> Result<Option<(u32, u32)>> {
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

fn check_selection(body: &Value) -> Result<()> {
    let Some(select) = given(body, "Select").and_then(Value::as_str) else { return Ok(()) };
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

fn batch_get(body: &Value) -> Result<()> {
    let none = Map::new();
    let asked = given(body, "RequestItems").and_then(Value::as_object).unwrap_or(&none);
    let count: usize = asked.values().map(|of_table| listed(of_table, "Keys").count()).sum();
    if count > BATCH_GET_KEYS_MAX {
        return Err(ServiceError::validation("Too many items requested for the BatchGetItem call"));
    }
    check_one_kind(asked)?;
    for of_table in asked.values() {
        Parameters::read(RequestKind::Get, of_table)?;
        let mut seen: Vec<Item> = Vec::new();
        for key in listed(of_table, "Keys") {
            let key = item_from_json(key)?;
            if seen.contains(&key) {
                return Err(duplicates());
            }
            seen.push(key);
        }
    }
    Ok(())
}

fn duplicates() -> ServiceError {
    ServiceError::validation("Provided list of item keys contains duplicates")
}

fn batch_write(body: &Value) -> Result<()> {
    let requests = |requests: &Value| requests.as_array().map_or(0, Vec::len);
    let count: usize = mapped(body, "RequestItems").map(|(_, of_table)| requests(of_table)).sum();
    if count > BATCH_WRITES_MAX {
        return Err(ServiceError::validation(
            "Too many items requested for the BatchWriteItem call",
        ));
    }
    for (_, of_table) in mapped(body, "RequestItems") {
        let mut deleted: Vec<Item> = Vec::new();
        for request in of_table.as_array().into_iter().flatten() {
            match (given(request, "PutRequest"), given(request, "DeleteRequest")) {
                (Some(put), None) => check_item_size(&item(put, "Item")?)?,
                (None, Some(delete)) => {
                    let key = item(delete, "Key")?;
                    if deleted.contains(&key) {
                        return Err(duplicates());
                    }
                    deleted.push(key);
                }
                (Some(_), Some(_)) | (None, None) => {
                    return Err(ServiceError::validation(
                        "Supplied AttributeValue has more than one datatypes set, must contain \
                         exactly one of the supported datatypes",
                    ));
                }
            }
        }
    }
    Ok(())
}

fn action(action: &Value) -> Result<()> {
    let kinds = ["ConditionCheck", "Put", "Delete", "Update"];
    let mut found = kinds.into_iter().filter_map(|kind| given(action, kind).map(|of| (kind, of)));
    match (found.next(), found.next()) {
        (Some(("Put", parameters)), None) => put(parameters),
        (Some(("Update", parameters)), None) => keyed(RequestKind::Update, parameters),
        (Some((_, parameters)), None) => keyed(RequestKind::Write, parameters),
        (None, _) | (Some(_), Some(_)) => Err(ServiceError::validation(ONE_ACTION)),
    }
}
