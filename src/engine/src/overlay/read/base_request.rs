//! The requests for the database's items of a merged page.

use dm_dynamodb::expression::{Comparator, SortCondition};
use dm_dynamodb::value::AttributeValue;
use serde_json::{Map, Value};

use crate::overlay::read::page_request::{PageRequest, Range};
use crate::overlay::state::direction::Direction;

/// The request for the database's items: whole, unfiltered, so that they can be judged here.
pub fn base_request(page: &PageRequest) -> Map<String, Value> {
    let mut request = Map::new();
    request.insert("TableName".into(), page.table.schema.name.clone().into());
    request.insert("ReturnConsumedCapacity".into(), "TOTAL".into());
    if let Some(index) = page.view().index_schema() {
        request.insert("IndexName".into(), index.name.clone().into());
        let select = if page.fetches { "ALL_ATTRIBUTES" } else { "ALL_PROJECTED_ATTRIBUTES" };
        request.insert("Select".into(), select.into());
    }
    if page.consistent {
        request.insert("ConsistentRead".into(), true.into());
    }
    match &page.range {
        Range::Scan(None) => {}
        Range::Scan(Some((segment, total))) => {
            request.insert("Segment".into(), (*segment).into());
            request.insert("TotalSegments".into(), (*total).into());
        }
        Range::Query(condition, direction) => {
            request.insert("ScanIndexForward".into(), (*direction == Direction::Forward).into());
            ask_for_partition(condition.partition(), &mut request);
            for (at, (name, sort)) in condition.sort().enumerate() {
                ask_for_sort(at, name, sort, &mut request);
            }
        }
    }
    request
}

fn ask_for_partition(partition: &[(String, AttributeValue)], request: &mut Map<String, Value>) {
    let (mut clauses, mut names, mut values) = (Vec::new(), Map::new(), Map::new());
    for (at, (name, value)) in partition.iter().enumerate() {
        clauses.push(format!("#p{at} = :p{at}"));
        names.insert(format!("#p{at}"), name.clone().into());
        values.insert(format!(":p{at}"), value.to_json());
    }
    request.insert("KeyConditionExpression".into(), clauses.join(" AND ").into());
    request.insert("ExpressionAttributeNames".into(), names.into());
    request.insert("ExpressionAttributeValues".into(), values.into());
}

fn ask_for_sort(at: usize, name: &str, sort: &SortCondition, request: &mut Map<String, Value>) {
    let name_key = format!("#k{at}");
    let (low, high) = (format!(":k{at}"), format!(":l{at}"));
    let (clause, values) = match sort {
        SortCondition::Compare(comparator, value) => {
            (format!("{name_key} {} {low}", symbol(*comparator)), vec![(low, value)])
        }
        SortCondition::Between(from, to) => {
            (format!("{name_key} BETWEEN {low} AND {high}"), vec![(low, from), (high, to)])
        }
        SortCondition::BeginsWith(prefix) => {
            (format!("begins_with({name_key}, {low})"), vec![(low, prefix)])
        }
    };
    let expression = request.get("KeyConditionExpression").and_then(Value::as_str);
    let expression = format!("{} AND {clause}", expression.unwrap_or_default());
    request.insert("KeyConditionExpression".into(), expression.into());
    request["ExpressionAttributeNames"][&name_key] = name.into();
    for (key, value) in values {
        request["ExpressionAttributeValues"][&key] = value.to_json();
    }
}

fn symbol(comparator: Comparator) -> &'static str {
    match comparator {
        Comparator::Eq => "=",
        Comparator::Ne => "<>",
        Comparator::Lt => "<",
        Comparator::Le => "<=",
        Comparator::Gt => ">",
        Comparator::Ge => ">=",
    }
}
/// Asks for the items of a partition from a sort key on. Ranges have no gaps, so those that come
/// are in range until the first that is not.
pub fn ask_from(
    partition: &[(String, AttributeValue)],
    name: &str,
    operator: &str,
    value: &AttributeValue,
    request: &mut Map<String, Value>,
) {
    ask_for_partition(partition, request);
    let expression = request.get("KeyConditionExpression").and_then(Value::as_str);
    let expression = format!("{} AND #s {operator} :s", expression.unwrap_or_default());
    request.insert("KeyConditionExpression".into(), expression.into());
    request["ExpressionAttributeNames"]["#s"] = name.into();
    request["ExpressionAttributeValues"][":s"] = value.to_json();
}
