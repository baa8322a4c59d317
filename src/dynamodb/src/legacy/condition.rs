//! Expected, ScanFilter, QueryFilter and KeyConditions.

use serde_json::{Map, Value};

use super::{Result, constraint, member, structures};
use crate::error::ServiceError;
use crate::expression::{
    Comparator, Condition, KeyClause, KeyExpression, Node, Operand, Path, SortCondition,
};
use crate::value::{AttributeType, AttributeValue, bool_from_json, string_from_json};

/// Which parameter a filter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterKind {
    Scan,
    Query,
}

const OPERATORS: &str = "[IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, \
                         BEGINS_WITH, GE, CONTAINS]";

/// Expected, with ConditionalOperator.
pub fn expected(json: &Value, operator: Option<&Value>) -> Result<Condition> {
    let nodes = structures(json, "ExpectedAttributeValue")?
        .into_iter()
        .map(|(name, structure)| expected_node(name, structure))
        .collect::<Result<Vec<_>>>()?;
    joined(nodes, operator)
}

/// ScanFilter or QueryFilter, with ConditionalOperator.
pub fn filter(kind: FilterKind, json: &Value, operator: Option<&Value>) -> Result<Condition> {
    let parameter = match kind {
        FilterKind::Scan => "scanFilter",
        FilterKind::Query => "queryFilter",
    };
    let nodes = structures(json, "Condition")?
        .into_iter()
        .map(|(name, structure)| {
            let (operator, values) = condition(parameter, name, structure)?;
            node(name, operator, values)
        })
        .collect::<Result<Vec<_>>>()?;
    joined(nodes, operator)
}

pub fn key_conditions(json: &Value) -> Result<KeyExpression> {
    let mut read = KeyExpression::of(Vec::new());
    for (name, structure) in structures(json, "Condition")? {
        let (operator, values) = condition("keyConditions", name, structure)?;
        let name = name.to_owned();
        match key_condition(operator, values) {
            Some(condition) => read.clauses.push(KeyClause { name, condition }),
            // Found wrong when it is held against the keys: DynamoDB looks for the table first.
            None => read.not_indexable.push(name),
        }
    }
    Ok(read)
}

/// None for an operator that no key has.
fn key_condition(operator: &str, values: Vec<AttributeValue>) -> Option<SortCondition> {
    let mut values = values.into_iter();
    match (operator, values.next(), values.next()) {
        ("BETWEEN", Some(low), Some(high)) => Some(SortCondition::Between(low, high)),
        ("BEGINS_WITH", Some(prefix), None) => Some(SortCondition::BeginsWith(prefix)),
        ("NE", ..) => None,
        (_, Some(value), None) => Some(SortCondition::Compare(comparator(operator)?, value)),
        _ => None,
    }
}

fn joined(nodes: Vec<Node>, operator: Option<&Value>) -> Result<Condition> {
    let operator = operator.filter(|json| !json.is_null()).map(string_from_json).transpose()?;
    if let Some(word) = operator {
        if !["AND", "OR"].contains(&word) {
            let what = "Member must satisfy enum value set: [OR, AND]";
            return Err(constraint(&format!("'{word}'"), "conditionalOperator", what));
        }
        if nodes.is_empty() {
            return Err(ServiceError::validation(
                "ConditionalOperator cannot be used without Filter or Expected",
            ));
        }
        if nodes.len() == 1 {
            return Err(ServiceError::validation(
                "ConditionalOperator can only be used when Filter or Expected has two or more \
                 elements",
            ));
        }
    }
    let root = if operator == Some("OR") { Node::Or(nodes) } else { Node::And(nodes) };
    Ok(Condition { root })
}

/// A condition's operator and values, checked as filters and key conditions are.
fn condition<'a>(
    parameter: &str,
    name: &str,
    structure: &'a Map<String, Value>,
) -> Result<(&'a str, Vec<AttributeValue>)> {
    let place = format!("{parameter}.{name}.member.comparisonOperator");
    let Some(operator) = member(structure, "ComparisonOperator") else {
        return Err(constraint("null", &place, "Member must not be null"));
    };
    let operator = string_from_json(operator)?;
    check_operator(operator, &place)?;
    let values = values(structure)?.unwrap_or_default();
    check_count(operator, values.len())?;
    check_same_type(&values)?;
    check_types(operator, &values)?;
    check_bounds(operator, &values)?;
    Ok((operator, values))
}

fn check_types(operator: &str, values: &[AttributeValue]) -> Result<()> {
    match values.iter().find(|value| !fits(operator, value.kind())) {
        None => Ok(()),
        Some(value) => Err(ServiceError::invalid_value(format!(
            "ComparisonOperator {operator} is not valid for {} AttributeValue type",
            value.kind()
        ))),
    }
}

fn check_operator(operator: &str, place: &str) -> Result<()> {
    if OPERATORS[1..OPERATORS.len() - 1].split(", ").any(|known| known == operator) {
        return Ok(());
    }
    let what = format!("Member must satisfy enum value set: {OPERATORS}");
    Err(constraint(&format!("'{operator}'"), place, &what))
}

fn values(structure: &Map<String, Value>) -> Result<Option<Vec<AttributeValue>>> {
    let Some(list) = member(structure, "AttributeValueList") else { return Ok(None) };
    let list =
        list.as_array().ok_or_else(|| ServiceError::serialization("Unexpected field type"))?;
    list.iter().map(AttributeValue::from_json).collect::<Result<_>>().map(Some)
}

fn check_count(operator: &str, count: usize) -> Result<()> {
    let fits = match operator {
        "NULL" | "NOT_NULL" => count == 0,
        "BETWEEN" => count == 2,
        "IN" => count > 0,
        _ => count == 1,
    };
    if fits {
        return Ok(());
    }
    Err(ServiceError::invalid_value(format!(
        "Invalid number of argument(s) for the {operator} ComparisonOperator"
    )))
}

fn check_same_type(values: &[AttributeValue]) -> Result<()> {
    let mixed = values.iter().any(|value| value.kind() != values[0].kind());
    if mixed {
        return Err(ServiceError::invalid_value(
            "AttributeValues inside AttributeValueList must be of same type",
        ));
    }
    Ok(())
}

fn check_bounds(operator: &str, values: &[AttributeValue]) -> Result<()> {
    if let ("BETWEEN", [low, high]) = (operator, values)
        && low.order(high).is_some_and(std::cmp::Ordering::is_gt)
    {
        return Err(ServiceError::validation(
            "The BETWEEN condition was provided a range where the lower bound is greater than the \
             upper bound",
        ));
    }
    Ok(())
}

fn fits(operator: &str, kind: AttributeType) -> bool {
    let scalar = matches!(kind, AttributeType::S | AttributeType::N | AttributeType::B);
    match operator {
        "LE" | "LT" | "GE" | "GT" | "IN" | "BETWEEN" => scalar,
        "CONTAINS" | "NOT_CONTAINS" => {
            scalar || matches!(kind, AttributeType::Bool | AttributeType::Null)
        }
        "BEGINS_WITH" => scalar && kind != AttributeType::N,
        _ => true,
    }
}

fn comparator(operator: &str) -> Option<Comparator> {
    Some(match operator {
        "EQ" => Comparator::Eq,
        "NE" => Comparator::Ne,
        "LE" => Comparator::Le,
        "LT" => Comparator::Lt,
        "GE" => Comparator::Ge,
        "GT" => Comparator::Gt,
        _ => return None,
    })
}

/// The operator and its values, whose count was checked, as a node.
fn node(name: &str, operator: &str, values: Vec<AttributeValue>) -> Result<Node> {
    let path = Path::of(name);
    let value = Operand::Path(path.clone());
    let mut values = values.into_iter().map(Operand::Value);
    if operator == "IN" {
        return Ok(Node::In { value, options: values.collect() });
    }
    let wrong_count = || {
        ServiceError::invalid_value(format!(
            "Invalid number of argument(s) for the {operator} ComparisonOperator"
        ))
    };
    Ok(match (operator, values.next(), values.next()) {
        ("NULL", None, None) => Node::NotExists(path),
        ("NOT_NULL", None, None) => Node::Exists(path),
        ("BETWEEN", Some(low), Some(high)) => Node::Between { value, low, high },
        ("BEGINS_WITH", Some(prefix), None) => Node::BeginsWith { value, prefix },
        ("CONTAINS", Some(element), None) => Node::Contains { value, element },
        // Both are false of an attribute that is not there (Alternator's tests, which pass at AWS).
        ("NOT_CONTAINS", Some(element), None) => Node::And(vec![
            Node::Exists(path),
            Node::Not(Box::new(Node::Contains { value, element })),
        ]),
        (_, Some(right), None) => {
            let comparator = comparator(operator).ok_or_else(wrong_count)?;
            Node::Compare { left: value, comparator, right }
        }
        _ => return Err(wrong_count()),
    })
}

/// One member of Expected, which has an older form yet: Value and Exists.
fn expected_node(name: &str, structure: &Map<String, Value>) -> Result<Node> {
    let invalid = |what: String| Err(ServiceError::invalid_value(what));
    let value = member(structure, "Value").map(AttributeValue::from_json).transpose()?;
    let exists = member(structure, "Exists").map(bool_from_json).transpose()?;
    let list = values(structure)?;
    if list.is_some() && value.is_some() {
        return invalid(format!(
            "Value and AttributeValueList cannot be used together for Attribute: {name}"
        ));
    }
    let Some(operator) = member(structure, "ComparisonOperator") else {
        if list.is_some() {
            return invalid(format!(
                "AttributeValueList can only be used with a ComparisonOperator for Attribute: \
                 {name}"
            ));
        }
        return match (exists, value) {
            (Some(false), None) => Ok(Node::NotExists(Path::of(name))),
            (Some(false), Some(_)) => {
                invalid(format!("Value cannot be used when Exists is false for Attribute: {name}"))
            }
            (_, Some(value)) => node(name, "EQ", vec![value]),
            (exists, None) => invalid(format!(
                "Value must be provided when Exists is {} for Attribute: {name}",
                if exists.is_some() { "true" } else { "null" }
            )),
        };
    };
    let operator = string_from_json(operator)?;
    check_operator(operator, &format!("expected.{name}.member.comparisonOperator"))?;
    if exists.is_some() {
        return invalid(format!(
            "Exists and ComparisonOperator cannot be used together for Attribute: {name}"
        ));
    }
    let needs_none = matches!(operator, "NULL" | "NOT_NULL");
    if !needs_none && list.is_none() && value.is_none() {
        return invalid(format!(
            "Value or AttributeValueList must be used with ComparisonOperator: {operator} for \
             Attribute: {name}"
        ));
    }
    let values: Vec<_> = list.unwrap_or_default().into_iter().chain(value).collect();
    check_count(operator, values.len())?;
    check_same_type(&values)?;
    check_types(operator, &values)?;
    check_bounds(operator, &values)?;
    node(name, operator, values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{KeyAttribute, KeySchema, KeyType};
    use crate::value::item_from_json;
    use serde_json::json;

    fn shown(found: Result<Condition>) -> String {
        let item = item_from_json(&json!({
            "n": {"N": "5"}, "s": {"S": "hello"}, "set": {"SS": ["a"]}, "a.b": {"BOOL": true},
        }));
        match found {
            Ok(condition) => condition.matches(&item.unwrap()).to_string(),
            Err(error) => error.message,
        }
    }

    #[allow(clippy::needless_pass_by_value)] // reads better with json! literals
    fn check(filters: Value, operator: Option<&str>, expected: &str) {
        let operator = operator.map(|word| json!(word));
        let found = filter(FilterKind::Scan, &filters, operator.as_ref());
        assert_eq!(shown(found), expected, "{filters}");
    }

    #[allow(clippy::needless_pass_by_value)] // reads better with json! literals
    fn check_expected(json: Value, outcome: &str) {
        assert_eq!(shown(expected(&json, None)), outcome, "{json}");
    }

    #[test]
    fn every_operator_is_translated() {
        for (name, operator, values, expected) in [
            ("n", "EQ", json!([{"N": "5.0"}]), "true"),
            ("n", "NE", json!([{"N": "5"}]), "false"),
            ("none", "NE", json!([{"N": "5"}]), "true"),
            ("n", "LT", json!([{"N": "6"}]), "true"),
            ("n", "LE", json!([{"N": "5"}]), "true"),
            ("n", "GT", json!([{"N": "5"}]), "false"),
            ("n", "GE", json!([{"N": "5"}]), "true"),
            ("n", "BETWEEN", json!([{"N": "1"}, {"N": "5"}]), "true"),
            ("n", "IN", json!([{"N": "1"}, {"N": "5"}]), "true"),
            ("n", "NULL", json!([]), "false"),
            ("none", "NULL", json!([]), "true"),
            ("n", "NOT_NULL", json!(null), "true"),
            ("s", "BEGINS_WITH", json!([{"S": "he"}]), "true"),
            ("s", "CONTAINS", json!([{"S": "ell"}]), "true"),
            ("set", "CONTAINS", json!([{"S": "a"}]), "true"),
            ("set", "NOT_CONTAINS", json!([{"S": "a"}]), "false"),
            ("none", "NOT_CONTAINS", json!([{"S": "a"}]), "false"),
            ("a.b", "EQ", json!([{"BOOL": true}]), "true"),
        ] {
            let structure = json!({"ComparisonOperator": operator, "AttributeValueList": values});
            check(json!({name: structure}), None, expected);
        }
    }

    #[test]
    fn several_are_joined_as_the_operator_says() {
        let two = json!({
            "n": {"ComparisonOperator": "NULL"},
            "s": {"ComparisonOperator": "NOT_NULL"},
        });
        check(two.clone(), None, "false");
        check(two.clone(), Some("AND"), "false");
        check(two, Some("OR"), "true");
        check(json!({}), None, "true");
        check(
            json!({}),
            Some("OR"),
            "ConditionalOperator cannot be used without Filter or Expected",
        );
        check(
            json!({"n": {"ComparisonOperator": "NULL"}}),
            Some("OR"),
            "ConditionalOperator can only be used when Filter or Expected has two or more elements",
        );
    }

    #[test]
    fn filters_that_make_no_sense_are_refused() {
        let invalid = "One or more parameter values were invalid: ";
        for (operator, values, expected) in [
            ("EQ", json!([]), "Invalid number of argument(s) for the EQ ComparisonOperator"),
            (
                "NULL",
                json!([{"S": "a"}]),
                "Invalid number of argument(s) for the NULL ComparisonOperator",
            ),
            (
                "IN",
                json!([{"S": "a"}, {"N": "1"}]),
                "AttributeValues inside AttributeValueList must be of same type",
            ),
            (
                "LT",
                json!([{"BOOL": true}]),
                "ComparisonOperator LT is not valid for BOOL AttributeValue type",
            ),
            (
                "CONTAINS",
                json!([{"SS": ["a"]}]),
                "ComparisonOperator CONTAINS is not valid for SS AttributeValue type",
            ),
            (
                "BEGINS_WITH",
                json!([{"N": "1"}]),
                "ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type",
            ),
        ] {
            let structure = json!({"ComparisonOperator": operator, "AttributeValueList": values});
            check(json!({"a": structure}), None, &format!("{invalid}{expected}"));
        }
        check(
            json!({"a": {"ComparisonOperator": "BETWEEN",
                "AttributeValueList": [{"N": "2"}, {"N": "1"}]}}),
            None,
            "The BETWEEN condition was provided a range where the lower bound is greater than the \
             upper bound",
        );
        check(
            json!({"a": {}}),
            None,
            "1 validation error detected: Value null at 'scanFilter.a.member.comparisonOperator' \
             failed to satisfy constraint: Member must not be null",
        );
    }

    #[test]
    fn expected_has_an_older_form() {
        check_expected(json!({"n": {"Value": {"N": "5"}}}), "true");
        check_expected(json!({"n": {"Exists": true, "Value": {"N": "6"}}}), "false");
        check_expected(json!({"none": {"Exists": false}}), "true");
        check_expected(json!({"n": {"ComparisonOperator": "GT", "Value": {"N": "1"}}}), "true");
        let invalid = "One or more parameter values were invalid: ";
        for (structure, expected) in [
            (json!({}), "Value must be provided when Exists is null for Attribute: a"),
            (
                json!({"Exists": true}),
                "Value must be provided when Exists is true for Attribute: a",
            ),
            (
                json!({"Exists": false, "Value": {"S": "x"}}),
                "Value cannot be used when Exists is false for Attribute: a",
            ),
            (
                json!({"AttributeValueList": [], "Value": {"S": "x"}}),
                "Value and AttributeValueList cannot be used together for Attribute: a",
            ),
            (
                json!({"AttributeValueList": []}),
                "AttributeValueList can only be used with a ComparisonOperator for Attribute: a",
            ),
            (
                json!({"ComparisonOperator": "EQ", "Exists": true}),
                "Exists and ComparisonOperator cannot be used together for Attribute: a",
            ),
            (
                json!({"ComparisonOperator": "EQ"}),
                "Value or AttributeValueList must be used with ComparisonOperator: EQ for \
                 Attribute: a",
            ),
        ] {
            check_expected(json!({"a": structure}), &format!("{invalid}{expected}"));
        }
    }

    #[test]
    fn key_conditions_take_only_what_an_index_can_answer() {
        let found = key_conditions(&json!({
            "p": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]},
            "s": {"ComparisonOperator": "BEGINS_WITH", "AttributeValueList": [{"S": "b"}]},
        }));
        assert_eq!(found.unwrap().clauses.len(), 2);
        let attribute = |name: &str| KeyAttribute { name: name.into(), kind: KeyType::S };
        let keys = KeySchema { partition: vec![attribute("p")], sort: vec![attribute("s")] };
        let words = "Attempted conditional constraint is not an indexable operation";
        for operator in ["NE", "NULL", "CONTAINS"] {
            let values = if operator == "NULL" { json!([]) } else { json!([{"S": "a"}]) };
            let structure = json!({"ComparisonOperator": operator, "AttributeValueList": values});
            let said = |conditions: Value| {
                key_conditions(&conditions).unwrap().for_keys(&keys).unwrap_err().message
            };
            assert_eq!(said(json!({"p": structure})), words, "{operator}");
            let missed = "Query condition missed key schema element: p";
            assert_eq!(said(json!({"z": structure})), missed, "{operator}");
            assert_eq!(said(json!({"s": structure})), missed, "{operator}");
        }
    }
}
