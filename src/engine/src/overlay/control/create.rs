//! What CreateTable makes: the description of the new table and its tags. Pure; times and ARNs are
//! given.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::overlay::control::keys::{self, Indexes, KeyOf};
use crate::overlay::control::parameters::Parameters;
use crate::overlay::control::tags;
use crate::overlay::control::throughput::{self, Billing, Stream, index_units, table_units, units};

/// Parameters that are simulated. A table with others would not be the one that is asked for.
const KNOWN: [&str; 13] = [
    "TableName",
    "AttributeDefinitions",
    "KeySchema",
    "LocalSecondaryIndexes",
    "GlobalSecondaryIndexes",
    "BillingMode",
    "ProvisionedThroughput",
    "OnDemandThroughput",
    "StreamSpecification",
    "SSESpecification",
    "TableClass",
    "DeletionProtectionEnabled",
    "Tags",
];

/// Where and when a table is made.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// What stands before a table's name in its ARN.
    pub arn_prefix: String,
    /// Seconds since 1970.
    pub now_s: f64,
    /// The same as a stream's label.
    pub label: String,
    /// Told apart from every other table.
    pub id: String,
}

/// A table that is made.
#[derive(Debug)]
pub struct Creation {
    /// As DescribeTable tells it once it is there.
    pub description: Map<String, Value>,
    pub tags: BTreeMap<String, String>,
}

pub fn create(
    parameters: Parameters<'_>,
    name: &str,
    at: &Circumstances,
) -> Result<Creation, Fault> {
    crate::overlay::control::only(parameters, "CreateTable", &KNOWN)?;
    let billing = throughput::billing(parameters)?.unwrap_or(Billing::Provisioned);
    let of_table = table_units(billing, units(parameters)?)?;
    let definitions = keys::definitions(parameters)?;
    keys::check_table_key_defined(parameters, &definitions)?;
    let key = keys::key(parameters, KeyOf::Table)?;
    let indexes = Indexes::of_new_table(parameters, &key, &definitions)?;
    let mut all = vec![key];
    all.extend(indexes.keys);
    keys::check_used(&all, &definitions)?;

    let arn = format!("{}{name}", at.arn_prefix);
    let mut table = Map::new();
    table.insert("AttributeDefinitions".into(), keys::definitions_to_json(&definitions));
    table.insert("TableName".into(), name.into());
    table.insert("KeySchema".into(), parameters.required("KeySchema")?.clone());
    table.insert("TableStatus".into(), "ACTIVE".into());
    table.insert("CreationDateTime".into(), at.now_s.into());
    table.insert("ProvisionedThroughput".into(), of_table.to_json());
    table.insert("TableSizeBytes".into(), 0.into());
    table.insert("ItemCount".into(), 0.into());
    table.insert("TableArn".into(), arn.clone().into());
    table.insert("TableId".into(), at.id.clone().into());
    if billing == Billing::OnDemand {
        table.insert("BillingModeSummary".into(), throughput::billing_summary(billing, at.now_s));
    }
    if let Some(highest) = throughput::on_demand(parameters, billing)? {
        table.insert("OnDemandThroughput".into(), highest);
    }
    let local = keys::list(parameters, "LocalSecondaryIndexes")?;
    if !local.is_empty() {
        let each = local.iter().map(|index| index_description(index, &arn));
        table.insert("LocalSecondaryIndexes".into(), each.collect());
    }
    let mut global = Vec::new();
    for index in keys::list(parameters, "GlobalSecondaryIndexes")? {
        global.push(global_index(index, billing, &arn)?);
    }
    if !global.is_empty() {
        table.insert("GlobalSecondaryIndexes".into(), global.into());
    }
    if let Some(Stream::On(view)) = throughput::stream(parameters)? {
        table.extend(throughput::stream_members(view, &arn, &at.label));
    }
    if let Some(encryption) = encryption(parameters)? {
        table.insert("SSEDescription".into(), encryption);
    }
    if let Some(class) = throughput::class(parameters)? {
        table.insert("TableClassSummary".into(), json!({"TableClass": class}));
    }
    let protected = throughput::protection(parameters)?.unwrap_or(false);
    table.insert("DeletionProtectionEnabled".into(), protected.into());
    let tags = tags::of_request(parameters)?;
    tags::check_count(&tags)?;
    Ok(Creation { description: table, tags })
}

/// A global index of a table that is billed like this, as a description shows it.
pub fn global_index(index: &Value, billing: Billing, arn: &str) -> Result<Value, Fault> {
    let parameters = Parameters::of(index)?;
    let name = index.get("IndexName").and_then(Value::as_str).unwrap_or_default();
    crate::overlay::control::only(
        parameters,
        "an index",
        &["IndexName", "KeySchema", "Projection", "ProvisionedThroughput", "OnDemandThroughput"],
    )?;
    let units = index_units(billing, name, units(parameters)?)?;
    let mut described = index_description(index, arn);
    described["IndexStatus"] = "ACTIVE".into();
    described["ProvisionedThroughput"] = units.to_json();
    if let Some(highest) = throughput::on_demand(parameters, billing)? {
        described["OnDemandThroughput"] = highest;
    }
    Ok(described)
}

/// What local and global indexes have in common.
fn index_description(index: &Value, table_arn: &str) -> Value {
    let name = index.get("IndexName").and_then(Value::as_str).unwrap_or_default();
    json!({
        "IndexName": name,
        "KeySchema": index.get("KeySchema"),
        "Projection": index.get("Projection"),
        "IndexSizeBytes": 0,
        "ItemCount": 0,
        "IndexArn": format!("{table_arn}/index/{name}"),
    })
}

/// SSESpecification: with the key that DynamoDB keeps, or AWS keeps for the account. Whether one
/// of the account's own can be used is not known here.
fn encryption(parameters: Parameters<'_>) -> Result<Option<Value>, Fault> {
    let Some(given) = parameters.get("SSESpecification") else { return Ok(None) };
    let given = Parameters::of(given)?;
    crate::overlay::control::only(given, "SSESpecification", &["Enabled", "SSEType"])?;
    given.choice("SSEType", &[("KMS", ()), ("AES256", ())], "AES256, KMS")?;
    Ok(given.flag("Enabled")?.then(|| json!({"Status": "ENABLED", "SSEType": "KMS"})))
}

#[cfg(test)]
mod tests;
