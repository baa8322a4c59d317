//! What UpdateTable changes in a table's description. Pure; times and ARNs are given.

use std::collections::BTreeMap;

use dm_dynamodb::error::ServiceError;
use dm_dynamodb::request::control::{
    BillingMode, Definitions, Index, IndexChange, KeyOf, Units, UpdateTable, check_global_count,
    check_included, definitions_by_name, index_units, table_units,
};
use dm_dynamodb::schema::{IndexProjection, IndexSchema, TableSchema};
use serde_json::{Map, Value, json};

use crate::overlay::control::create::{Circumstances, definitions_to_json, global_index};
use crate::overlay::control::throughput::{billing_of, billing_summary, stream_members, units_of};
use crate::overlay::control::words::{no_index, one_index_at_once};

type Result<T> = std::result::Result<T, ServiceError>;

#[derive(Debug, Default)]
pub struct Update {
    /// Members of the description that are other ones from now on; null takes one away.
    pub members: Map<String, Value>,
    /// What that means, by what is set, for the report.
    pub settings: BTreeMap<String, String>,
    /// The index that is to be built.
    pub added: Option<String>,
    /// The index that is taken away.
    pub removed: Option<String>,
}

impl Update {
    fn set(&mut self, setting: &str, to: impl Into<String>) {
        self.settings.insert(setting.to_owned(), to.into());
    }
}

/// A call and the table it is about.
struct Call<'a> {
    asked: &'a UpdateTable,
    table: &'a Value,
    schema: &'a TableSchema,
    at: &'a Circumstances,
}

impl Call<'_> {
    fn arn(&self) -> &str {
        self.schema.arn.as_deref().unwrap_or_default()
    }
}

/// What an UpdateTable makes of a table as DescribeTable describes it.
pub fn update(
    asked: &UpdateTable,
    table: &Value,
    schema: &TableSchema,
    at: &Circumstances,
) -> Result<Update> {
    let call = Call { asked, table, schema, at };
    let mut update = Update::default();
    let billing = change_billing(&call, &mut update)?;
    change_indexes(&call, billing, &mut update)?;
    change_stream(&call, &mut update)?;
    if let Some(class) = &asked.class {
        update.members.insert("TableClassSummary".into(), json!({"TableClass": class}));
        update.set("class", class);
    }
    if let Some(protected) = asked.protected {
        update.members.insert("DeletionProtectionEnabled".into(), protected.into());
        update.set("deletion protection", if protected { "on" } else { "off" });
    }
    Ok(update)
}

/// The table's own billing and throughput; how it is billed from now on.
fn change_billing(call: &Call<'_>, update: &mut Update) -> Result<BillingMode> {
    let (before, given) = (billing_of(call.table), call.asked.units);
    let after = call.asked.billing.unwrap_or(before);
    if let Some(highest) = call.asked.highest {
        highest.check(after)?;
        update.set("highest rates", highest.to_json().to_string());
        update.members.insert("OnDemandThroughput".into(), highest.to_json());
    }
    if call.asked.billing.is_none() && given.is_none() {
        return Ok(after);
    }
    // A mode that is asked for and is there already changes nothing and is no error.
    let units = match (after, given) {
        (BillingMode::Provisioned, None) if before == after => units_of(call.table),
        _ => table_units(after, given)?,
    };
    if before == after && given == Some(units_of(call.table)) {
        return Err(ServiceError::validation(format!(
            "The provisioned throughput for the table will not change. The requested value equals \
             the current value. Current ReadCapacityUnits provisioned for the table: {read}. \
             Requested ReadCapacityUnits: {read}. Current WriteCapacityUnits provisioned for the \
             table: {write}. Requested WriteCapacityUnits: {write}. Refer to the Amazon DynamoDB \
             Developer Guide for current limits and how to request higher limits.",
            read = units.read,
            write = units.write,
        )));
    }
    update.members.insert("ProvisionedThroughput".into(), units.to_json());
    if before != after {
        let summary = billing_summary(after, call.at.now_s);
        update.members.insert("BillingModeSummary".into(), summary);
    }
    update.set(
        "billing",
        match after {
            BillingMode::OnDemand => "PAY_PER_REQUEST".to_owned(),
            BillingMode::Provisioned => format!("PROVISIONED {} {}", units.read, units.write),
        },
    );
    Ok(after)
}

/// Global indexes: one built or taken away, throughputs of others changed.
fn change_indexes(call: &Call<'_>, billing: BillingMode, update: &mut Update) -> Result<()> {
    let described = call.table.get("GlobalSecondaryIndexes").and_then(Value::as_array);
    let mut indexes: Vec<Value> = described.cloned().unwrap_or_default();
    let switched = billing != billing_of(call.table);
    let asked = &call.asked.indexes;
    let builds = |change: &&IndexChange| !matches!(change, IndexChange::Update { .. });
    if asked.iter().filter(builds).count() > 1 {
        return Err(one_index_at_once());
    }
    for change in asked {
        match change {
            IndexChange::Create(index) => add_index(call, billing, index, &mut indexes, update)?,
            IndexChange::Update { name, units, highest } => {
                let index = described_index(call, &mut indexes, name)?;
                if let Some(highest) = highest {
                    highest.check(billing)?;
                    let rates = highest.to_json();
                    update.set(&format!("index {name} highest rates"), rates.to_string());
                    index["OnDemandThroughput"] = rates;
                } else {
                    let units = index_units(billing, name, *units)?;
                    update.set(&format!("index {name}"), format!("{} {}", units.read, units.write));
                    index["ProvisionedThroughput"] = units.to_json();
                }
            }
            IndexChange::Delete(name) => {
                described_index(call, &mut indexes, name)?;
                indexes.retain(|index| index["IndexName"] != **name);
                remove_definitions(call, name, update);
            }
        }
    }
    if switched {
        for index in &mut indexes {
            let name = index["IndexName"].as_str().unwrap_or_default();
            if billing == BillingMode::OnDemand {
                index["ProvisionedThroughput"] = Units::NONE.to_json();
            } else if !asked.iter().any(|change| change.name() == name) {
                index_units(billing, name, None)?;
            }
        }
    }
    if !asked.is_empty() || (switched && !indexes.is_empty()) {
        let none = indexes.is_empty();
        let indexes = if none { Value::Null } else { indexes.into() };
        update.members.insert("GlobalSecondaryIndexes".into(), indexes);
    }
    Ok(())
}

fn described_index<'i>(
    call: &Call<'_>,
    indexes: &'i mut [Value],
    name: &str,
) -> Result<&'i mut Value> {
    let found = indexes.iter_mut().find(|index| index["IndexName"] == name);
    found.ok_or_else(|| no_index(name, &call.schema.name))
}

fn add_index(
    call: &Call<'_>,
    billing: BillingMode,
    index: &Index,
    indexes: &mut Vec<Value>,
    update: &mut Update,
) -> Result<()> {
    check_global_count(indexes.len() + 1)?;
    let definitions = definitions_with(call, index)?;
    index.projection.check()?;
    let included = |index: &IndexSchema| match &index.projection {
        IndexProjection::Include(names) => names.len(),
        IndexProjection::All | IndexProjection::KeysOnly => 0,
    };
    let before: usize = call.schema.indexes.iter().map(included).sum();
    check_included(before + index.projection.included.len())?;
    index.check_throughput(billing)?;
    indexes.push(global_index(index, call.arn()));
    update.members.insert("AttributeDefinitions".into(), definitions_to_json(&definitions));
    update.set(&format!("index {}", index.name), "added");
    update.added = Some(index.name.clone());
    Ok(())
}

/// The table's definitions with those of a new index. All attributes of its key must be defined in
/// the request itself, also those that the table has defined; others in it mean nothing.
fn definitions_with(call: &Call<'_>, index: &Index) -> Result<Definitions> {
    if call.schema.index(&index.name).is_some() {
        let name = &index.name;
        return Err(ServiceError::invalid_parameter(format!("Index already exists: {name}")));
    }
    let given = definitions_by_name(&call.asked.definitions)?;
    index.check_key(KeyOf::Global, &given)?;
    let mut definitions = call.schema.attribute_types.clone();
    for element in &index.key {
        let (name, kind) = (&element.name, given[&element.name]);
        let before = definitions.insert(name.clone(), kind);
        if let Some(before) = before.filter(|before| *before != kind) {
            let [before, kind] = [before, kind].map(|kind| kind.attribute_type().as_str());
            return Err(ServiceError::invalid_parameter(format!(
                "Attributes cannot be redefined. Please check that your attribute has the same \
                 type as previously defined. Existing schema: \
                 Schema:[SchemaElement: key{{{name}:{before}}}] New schema: \
                 Schema:[SchemaElement: key{{{name}:{kind}}}]"
            )));
        }
    }
    Ok(definitions)
}

/// Removes the definitions that only a removed index used.
fn remove_definitions(call: &Call<'_>, name: &str, update: &mut Update) {
    let left = call.schema.indexes.iter().filter(|index| index.name != name);
    let keys: Vec<_> = left.map(|index| &index.keys).chain([&call.schema.keys]).collect();
    let mut definitions = call.schema.attribute_types.clone();
    definitions.retain(|name, _| keys.iter().any(|key| key.contains(name)));
    update.members.insert("AttributeDefinitions".into(), definitions_to_json(&definitions));
    update.set(&format!("index {name}"), "removed");
    update.removed = Some(name.to_owned());
}

fn change_stream(call: &Call<'_>, update: &mut Update) -> Result<()> {
    let Some(asked) = &call.asked.stream else { return Ok(()) };
    let enabled = call.table.pointer("/StreamSpecification/StreamEnabled");
    let name = &call.schema.name;
    match (asked.view()?, enabled.and_then(Value::as_bool).unwrap_or(false)) {
        (Some(_), true) => Err(ServiceError::validation(format!(
            "Table already has an enabled stream: TableName: {name}"
        ))),
        (None, false) => Err(ServiceError::validation(format!(
            "Table has no stream to disable: TableName: {name}"
        ))),
        (Some(view), false) => {
            update.members.extend(stream_members(view, call.arn(), &call.at.label));
            update.set("stream", view);
            Ok(())
        }
        (None, true) => {
            update.members.insert("StreamSpecification".into(), Value::Null);
            update.set("stream", "off");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
