//! Query and Scan: a page of the items of a table or an index.

use serde_json::{Map, Value};

use super::members::{CapacityLevel, count, flag, given, mapped, text};
use crate::error::ServiceError;
use crate::expression::{Condition, KeyExpression, Projection};
use crate::parameters::{Parameters, RequestKind, check_combination};
use crate::value::{AttributeValue, item_from_json, whole_from_json};

type Result<T> = std::result::Result<T, ServiceError>;

/// A Query or a Scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The table as the request names it.
    pub table: String,
    /// The index, if one is read.
    pub index: Option<String>,
    /// The partition that a Query reads, and the range in it.
    pub key: Option<KeyExpression>,
    /// Whether a Query reads from the first sort key to the last.
    pub forward: bool,
    /// The segment that a Scan reads, and how many there are.
    pub segment: Option<(u32, u32)>,
    /// Which of the items read are returned.
    pub filter: Option<Condition>,
    /// How messages name the filter.
    pub filter_name: &'static str,
    /// What is returned of each item.
    pub projection: Option<Projection>,
    /// Select, where the request gives it.
    pub select: Option<Select>,
    /// How many items are evaluated at most.
    pub limit: Option<u32>,
    /// The key after which the page begins.
    pub start: Option<Value>,
    /// Whether the latest state is read.
    pub consistent: bool,
    /// How much of its capacity is asked for.
    pub capacity: CapacityLevel,
}

/// What a page returns of its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    All,
    /// What the index holds.
    Projected,
    /// What a projection lists.
    Specific,
    /// Only how many there are.
    Count,
}

impl Page {
    pub(super) fn query(body: &Map<String, Value>) -> Result<Self> {
        Self::with(RequestKind::Query, body)
    }

    pub(super) fn scan(body: &Map<String, Value>) -> Result<Self> {
        Self::with(RequestKind::Scan, body)
    }

    fn with(kind: RequestKind, body: &Map<String, Value>) -> Result<Self> {
        check_combination(kind, body)?;
        let mut parameters = Parameters::read_older(kind, body)?;
        check_start_key(body)?;
        let segment = if kind == RequestKind::Scan { segment(body)? } else { None };
        // Scan does not count what it detects here.
        let counted = if kind == RequestKind::Query { "1 validation error detected: " } else { "" };
        let wrong = |wrong| ServiceError::validation(format!("{counted}{wrong}"));
        let select = select(body).map_err(wrong)?;
        parameters.read_expressions(kind, body)?;
        let Parameters { filter, key, projection, .. } = parameters;
        let older = given(body, "QueryFilter").is_some();
        Ok(Self {
            table: text(body, "TableName").unwrap_or_default().to_owned(),
            index: text(body, "IndexName").map(str::to_owned),
            key,
            forward: given(body, "ScanIndexForward").is_none() || flag(body, "ScanIndexForward")?,
            segment,
            filter,
            filter_name: if older { "QueryFilter" } else { "Filter Expression" },
            projection,
            select,
            limit: count(body, "Limit")?,
            start: given(body, "ExclusiveStartKey").cloned(),
            consistent: flag(body, "ConsistentRead")?,
            capacity: CapacityLevel::of(body),
        })
    }
}

/// Checks the values of an ExclusiveStartKey. AWS says that the key is invalid, unless a number is
/// wrong, or a set has duplicates.
fn check_start_key(body: &Map<String, Value>) -> Result<()> {
    let has = |value: &Value, kind: &str| value.get(kind).is_some_and(|given| !given.is_null());
    let is_empty = |set: &Value| set.as_array().is_some_and(Vec::is_empty);
    for (_, value) in mapped(body, "ExclusiveStartKey") {
        let Err(error) = AttributeValue::from_json(value) else { continue };
        let of_value = ["N", "NS"].iter().any(|kind| has(value, kind))
            || ["SS", "BS"].iter().any(|kind| has(value, kind) && !is_empty(&value[kind]));
        return Err(if of_value {
            error
        } else {
            let message = format!("The provided starting key is invalid: {}", error.message);
            ServiceError { message, ..error }
        });
    }
    // What is not a value by itself may still be too deep or too large as a key.
    given(body, "ExclusiveStartKey").map_or(Ok(()), |key| item_from_json(key).map(drop))
}

fn segment(body: &Map<String, Value>) -> Result<Option<(u32, u32)>> {
    let number = |name: &str| {
        let number = whole_from_json(given(body, name)?)?;
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

/// Select, if it goes with the parameter that lists attributes, and with an index.
fn select(body: &Map<String, Value>) -> std::result::Result<Option<Select>, String> {
    let Some(word) = text(body, "Select") else { return Ok(None) };
    let projection = ["ProjectionExpression", "AttributesToGet"];
    let projection = projection.into_iter().find(|name| given(body, name).is_some());
    let of_index = given(body, "IndexName").is_some();
    let shown = if word == "COUNT" { "only the Count" } else { word };
    match (word, projection) {
        ("SPECIFIC_ATTRIBUTES", None) => {
            Err("Must specify the AttributesToGet or ProjectionExpression when choosing to get \
                 SPECIFIC_ATTRIBUTES"
                .into())
        }
        ("SPECIFIC_ATTRIBUTES", Some(_)) => Ok(Some(Select::Specific)),
        (_, Some(projection)) => {
            Err(format!("Cannot specify the {projection} when choosing to get {shown}"))
        }
        ("ALL_PROJECTED_ATTRIBUTES", None) if !of_index => {
            Err("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName".into())
        }
        ("ALL_PROJECTED_ATTRIBUTES", None) => Ok(Some(Select::Projected)),
        ("COUNT", None) => Ok(Some(Select::Count)),
        (_, None) => Ok(Some(Select::All)),
    }
}
