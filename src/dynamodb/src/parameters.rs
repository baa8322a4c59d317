//! All expressions of a request, or the older parameters in their place.
//!
//! Checks which parameters a request may combine, in DynamoDB's order and with its messages.

use serde_json::{Map, Value};

use crate::error::ServiceError;
use crate::expression::{
    Condition, ExpressionKind, KeyExpression, Placeholders, Projection, Update,
};
use crate::legacy::{self, FilterKind};
use crate::value::string_from_json;

/// Which parameters a request may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// GetItem, one table of BatchGetItem.
    Get,
    /// The Get of a transaction, which has no older parameters.
    TransactGet,
    Write,
    Update,
    /// The Put, Delete and ConditionCheck of a transaction, which have no older parameters.
    TransactWrite,
    /// The Update of a transaction, which has none either.
    TransactUpdate,
    Query,
    Scan,
}

/// What a request's expressions, or its older parameters, ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters {
    pub condition: Option<Condition>,
    /// FilterExpression, ScanFilter or QueryFilter.
    pub filter: Option<Condition>,
    pub key: Option<KeyExpression>,
    pub projection: Option<Projection>,
    pub update: Option<Update>,
}

impl RequestKind {
    /// In the order DynamoDB names them.
    fn expressions(self) -> &'static [ExpressionKind] {
        match self {
            Self::Get | Self::TransactGet => &[ExpressionKind::Projection],
            Self::Write | Self::TransactWrite => &[ExpressionKind::Condition],
            Self::Update | Self::TransactUpdate => {
                &[ExpressionKind::Update, ExpressionKind::Condition]
            }
            Self::Query => {
                &[ExpressionKind::Projection, ExpressionKind::Filter, ExpressionKind::KeyCondition]
            }
            Self::Scan => &[ExpressionKind::Projection, ExpressionKind::Filter],
        }
    }

    /// In the order DynamoDB names them.
    fn older(self) -> &'static [&'static str] {
        match self {
            Self::Get => &["AttributesToGet"],
            Self::TransactGet | Self::TransactWrite | Self::TransactUpdate => &[],
            Self::Write => &["Expected", "ConditionalOperator"],
            Self::Update => &["AttributeUpdates", "Expected", "ConditionalOperator"],
            Self::Query => {
                &["AttributesToGet", "QueryFilter", "ConditionalOperator", "KeyConditions"]
            }
            Self::Scan => &["AttributesToGet", "ScanFilter", "ConditionalOperator"],
        }
    }
}

type Result<T> = std::result::Result<T, ServiceError>;

impl Parameters {
    /// Reads them from a request, or from the part of one that has them.
    pub fn read(kind: RequestKind, request: &Map<String, Value>) -> Result<Self> {
        check_combination(kind, request)?;
        Self::read_combined(kind, request)
    }

    /// Reads them from a request whose parameters were found to go together.
    pub(crate) fn read_combined(kind: RequestKind, request: &Map<String, Value>) -> Result<Self> {
        let mut found = Self::read_older(kind, request)?;
        found.read_expressions(kind, request)?;
        Ok(found)
    }

    /// Reads the older parameters only, and checks that they go together.
    pub(crate) fn read_older(kind: RequestKind, request: &Map<String, Value>) -> Result<Self> {
        let parameter = |name: &str| {
            if kind.older().contains(&name) { present(request, name) } else { None }
        };
        let operator = parameter("ConditionalOperator");
        let filters = [(FilterKind::Query, "QueryFilter"), (FilterKind::Scan, "ScanFilter")];
        let filter = filters.into_iter().find_map(|(kind, name)| {
            parameter(name).map(|json| legacy::filter(kind, json, operator))
        });
        let found = Self {
            filter: filter.transpose()?,
            projection: parameter("AttributesToGet").map(legacy::attributes_to_get).transpose()?,
            update: parameter("AttributeUpdates").map(legacy::attribute_updates).transpose()?,
            condition: parameter("Expected")
                .map(|json| legacy::expected(json, operator))
                .transpose()?,
            key: parameter("KeyConditions").map(legacy::key_conditions).transpose()?,
        };
        if operator.is_some() && found.filter.is_none() && found.condition.is_none() {
            return Err(ServiceError::validation(
                "ConditionalOperator cannot be used without Filter or Expected",
            ));
        }
        Ok(found)
    }

    pub(crate) fn read_expressions(
        &mut self,
        kind: RequestKind,
        request: &Map<String, Value>,
    ) -> Result<()> {
        let text = |expression: ExpressionKind| {
            let allowed = kind.expressions().contains(&expression);
            let json = if allowed { present(request, expression.name()) } else { None };
            json.map(string_from_json).transpose()
        };
        let mut placeholders = Placeholders::from_json(
            present(request, "ExpressionAttributeNames"),
            present(request, "ExpressionAttributeValues"),
        )?;
        if let Some(text) = text(ExpressionKind::Update)? {
            self.update = Some(Update::parse(text, &mut placeholders)?);
        }
        let mut condition = |kind: ExpressionKind| {
            text(kind)?.map(|text| Condition::parse(kind, text, &mut placeholders)).transpose()
        };
        self.condition = condition(ExpressionKind::Condition)?.or(self.condition.take());
        let key = condition(ExpressionKind::KeyCondition)?;
        self.filter = condition(ExpressionKind::Filter)?.or(self.filter.take());
        if let Some(text) = text(ExpressionKind::Projection)? {
            self.projection = Some(Projection::parse(text, &mut placeholders)?);
        }
        placeholders.check_all_used()?;
        // The content of a key condition is checked after everything has been parsed.
        if let Some(condition) = key {
            self.key = Some(KeyExpression::from_condition(condition)?);
        }
        if kind == RequestKind::Query && self.key.is_none() {
            return Err(ServiceError::validation(
                "Either the KeyConditions or KeyConditionExpression parameter must be specified \
                 in the request.",
            ));
        }
        Ok(())
    }
}

fn present<'a>(request: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    request.get(name).filter(|value| !value.is_null())
}

/// What DynamoDB says of a request with older parameters and expressions.
pub fn mixed(older: &[&str], expressions: &[&str]) -> ServiceError {
    ServiceError::request(format!(
        "Can not use both expression and non-expression parameters in the same request: \
         Non-expression parameters: {{{}}} Expression parameters: {{{}}}",
        older.join(", "),
        expressions.join(", ")
    ))
}

/// Refuses a BatchGetItem with the older parameter for one table and the newer for another: all of
/// it is one request (seed 3 of the random programs; so dynoxide's authors saw AWS answer).
pub fn check_one_kind(asked: &Map<String, Value>) -> Result<()> {
    let tables = asked.values().filter_map(Value::as_object);
    let any = |name: &str| tables.clone().any(|of_table| present(of_table, name).is_some());
    let (older, newer) = ("AttributesToGet", ExpressionKind::Projection.name());
    if any(older) && any(newer) {
        return Err(mixed(&[older], &[newer]));
    }
    Ok(())
}

/// Refuses a mixture of old and new, and placeholders without expressions.
pub(crate) fn check_combination(kind: RequestKind, request: &Map<String, Value>) -> Result<()> {
    let here = |name: &&str| present(request, name).is_some();
    let all: Vec<&str> = kind.expressions().iter().map(|kind| kind.name()).collect();
    let expressions: Vec<&str> = all.iter().copied().filter(here).collect();
    // KeyConditions may go with the other expressions.
    let keys_mix = !expressions.contains(&ExpressionKind::KeyCondition.name());
    let older: Vec<&str> = kind
        .older()
        .iter()
        .copied()
        .filter(here)
        .filter(|name| !(keys_mix && *name == "KeyConditions"))
        .collect();
    if !expressions.is_empty() && !older.is_empty() {
        return Err(mixed(&older, &expressions));
    }
    if expressions.is_empty() && here(&"ExpressionAttributeNames") {
        return Err(ServiceError::request(
            "ExpressionAttributeNames can only be specified when using expressions",
        ));
    }
    check_values_have_a_place(kind, &expressions, here(&"ExpressionAttributeValues"))
}

fn check_values_have_a_place(
    kind: RequestKind,
    expressions: &[&str],
    has_values: bool,
) -> Result<()> {
    let with_values: Vec<&str> = kind
        .expressions()
        .iter()
        .filter(|kind| **kind != ExpressionKind::Projection)
        .map(|kind| kind.name())
        .collect();
    let used = with_values.iter().any(|name| expressions.contains(name));
    if !has_values || used || with_values.is_empty() {
        return Ok(());
    }
    Err(ServiceError::request(format!(
        "ExpressionAttributeValues can only be specified when using expressions: {} {} null",
        with_values.join(" and "),
        if with_values.len() > 1 { "are" } else { "is" }
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[allow(clippy::needless_pass_by_value)] // reads better with json! literals
    fn check(kind: RequestKind, request: Value, expected: &str) {
        let shown = match Parameters::read(kind, request.as_object().unwrap()) {
            Ok(found) => {
                let parts = [
                    ("condition", found.condition.is_some()),
                    ("filter", found.filter.is_some()),
                    ("key", found.key.is_some()),
                    ("projection", found.projection.is_some()),
                    ("update", found.update.is_some()),
                ];
                let names = parts.into_iter().filter(|(_, found)| *found).map(|(name, _)| name);
                names.collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.message,
        };
        assert_eq!(shown, expected, "{request}");
    }

    #[test]
    fn old_and_new_are_read_into_the_same() {
        use RequestKind::{Get, Query, Scan, Update, Write};
        check(Get, json!({}), "");
        check(Get, json!({"ProjectionExpression": "a"}), "projection");
        check(Get, json!({"AttributesToGet": ["a"]}), "projection");
        check(Write, json!({"ConditionExpression": "attribute_exists(a)"}), "condition");
        check(Write, json!({"Expected": {"a": {"Exists": false}}}), "condition");
        check(Update, json!({"UpdateExpression": "REMOVE a"}), "update");
        let remove = json!({"a": {"Action": "DELETE"}});
        check(Update, json!({"AttributeUpdates": remove}), "update");
        check(Scan, json!({"FilterExpression": "a = b"}), "filter");
        check(Scan, json!({"ScanFilter": {"a": {"ComparisonOperator": "NULL"}}}), "filter");
        let keys = json!({"p": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]}});
        check(Query, json!({"KeyConditions": keys}), "key");
        check(Query, json!({"KeyConditions": keys, "FilterExpression": "a = b"}), "filter key");
        check(
            Query,
            json!({
                "KeyConditionExpression": "p = :p", "ProjectionExpression": "#a",
                "ExpressionAttributeNames": {"#a": "a"},
                "ExpressionAttributeValues": {":p": {"S": "a"}},
            }),
            "key projection",
        );
    }

    #[test]
    fn old_and_new_do_not_mix() {
        let mixed = |older: &str, expressions: &str| {
            format!(
                "Can not use both expression and non-expression parameters in the same request: \
                 Non-expression parameters: {{{older}}} Expression parameters: {{{expressions}}}"
            )
        };
        check(
            RequestKind::Update,
            json!({"UpdateExpression": "", "AttributeUpdates": {}, "Expected": {}}),
            &mixed("AttributeUpdates, Expected", "UpdateExpression"),
        );
        check(
            RequestKind::Query,
            json!({
                "KeyConditions": {}, "KeyConditionExpression": "", "AttributesToGet": [],
                "ProjectionExpression": "",
            }),
            &mixed(
                "AttributesToGet, KeyConditions",
                "ProjectionExpression, KeyConditionExpression",
            ),
        );
    }

    #[test]
    fn placeholders_need_expressions() {
        check(
            RequestKind::Get,
            json!({"ExpressionAttributeNames": {"#a": "a"}}),
            "ExpressionAttributeNames can only be specified when using expressions",
        );
        check(
            RequestKind::Write,
            json!({"ExpressionAttributeValues": {":a": {"S": "a"}}}),
            "ExpressionAttributeValues can only be specified when using expressions: \
             ConditionExpression is null",
        );
        check(
            RequestKind::Query,
            json!({"ProjectionExpression": "a", "ExpressionAttributeValues": {}}),
            "ExpressionAttributeValues can only be specified when using expressions: \
             FilterExpression and KeyConditionExpression are null",
        );
    }

    #[test]
    fn parts_are_looked_at_in_dynamodbs_order() {
        check(
            RequestKind::Update,
            json!({"UpdateExpression": "", "ConditionExpression": ""}),
            "Invalid UpdateExpression: The expression can not be empty;",
        );
        check(
            RequestKind::Query,
            json!({"KeyConditionExpression": "contains(a, b)", "FilterExpression": ""}),
            "Invalid FilterExpression: The expression can not be empty;",
        );
        check(
            RequestKind::Query,
            json!({"KeyConditionExpression": "contains(a, b)"}),
            "Invalid operator used in KeyConditionExpression: contains",
        );
        check(
            RequestKind::Query,
            json!({}),
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the \
             request.",
        );
        check(
            RequestKind::Scan,
            json!({"FilterExpression": 1}),
            "NUMBER_VALUE cannot be converted to String",
        );
    }
}
