//! What CreateTable makes: the description of the new table. Pure; times and ARNs are given.

use dm_dynamodb::request::control::{
    BillingMode, CreateTable, Definitions, Index, KeyElement, Units,
};
use dm_dynamodb::table_name::plain_name;
use serde_json::{Map, Value, json};

use crate::overlay::control::throughput;

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

/// The table as DescribeTable describes it once it is there.
pub fn create(asked: &CreateTable, at: &Circumstances) -> Map<String, Value> {
    let name = plain_name(&asked.table);
    let arn = format!("{}{name}", at.arn_prefix);
    let mut table = Map::new();
    table.insert("AttributeDefinitions".into(), definitions_to_json(&asked.definitions));
    table.insert("TableName".into(), name.into());
    table.insert("KeySchema".into(), key_to_json(&asked.key));
    table.insert("TableStatus".into(), "ACTIVE".into());
    table.insert("CreationDateTime".into(), at.now_s.into());
    table.insert("ProvisionedThroughput".into(), asked.units.to_json());
    table.insert("TableSizeBytes".into(), 0.into());
    table.insert("ItemCount".into(), 0.into());
    table.insert("TableArn".into(), arn.clone().into());
    table.insert("TableId".into(), at.id.clone().into());
    if asked.billing == BillingMode::OnDemand {
        let summary = throughput::billing_summary(asked.billing, at.now_s);
        table.insert("BillingModeSummary".into(), summary);
    }
    if let Some(highest) = asked.highest {
        table.insert("OnDemandThroughput".into(), highest.to_json());
    }
    if !asked.local.is_empty() {
        let each = asked.local.iter().map(|index| index_description(index, &arn));
        table.insert("LocalSecondaryIndexes".into(), each.collect());
    }
    if !asked.global.is_empty() {
        let each = asked.global.iter().map(|index| global_index(index, &arn));
        table.insert("GlobalSecondaryIndexes".into(), each.collect());
    }
    if let Some(view) = &asked.stream {
        table.extend(throughput::stream_members(view, &arn, &at.label));
    }
    if asked.encrypted {
        table.insert("SSEDescription".into(), json!({"Status": "ENABLED", "SSEType": "KMS"}));
    }
    if let Some(class) = &asked.class {
        table.insert("TableClassSummary".into(), json!({"TableClass": class}));
    }
    table.insert("DeletionProtectionEnabled".into(), asked.protected.into());
    table
}

/// A global index as a description shows it.
pub fn global_index(index: &Index, arn: &str) -> Value {
    let mut described = index_description(index, arn);
    described["IndexStatus"] = "ACTIVE".into();
    described["ProvisionedThroughput"] = index.units.unwrap_or(Units::NONE).to_json();
    if let Some(highest) = index.highest {
        described["OnDemandThroughput"] = highest.to_json();
    }
    described
}

/// What local and global indexes have in common.
fn index_description(index: &Index, table_arn: &str) -> Value {
    json!({
        "IndexName": index.name,
        "KeySchema": key_to_json(&index.key),
        "Projection": index.projection.to_json(),
        "IndexSizeBytes": 0,
        "ItemCount": 0,
        "IndexArn": format!("{table_arn}/index/{}", index.name),
    })
}

fn key_to_json(key: &[KeyElement]) -> Value {
    key.iter().map(KeyElement::to_json).collect()
}

/// Attribute definitions as a description lists them.
pub fn definitions_to_json(definitions: &Definitions) -> Value {
    let mut listed = Vec::new();
    for (name, kind) in definitions {
        let kind = kind.attribute_type().as_str();
        listed.push(json!({"AttributeName": name, "AttributeType": kind}));
    }
    listed.into()
}

#[cfg(test)]
mod tests;
