//! What UpdateTable changes in a table's description. Pure; times and ARNs are given.

use std::collections::BTreeMap;

use dm_dynamodb::error::ServiceError;
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::overlay::control::create::{Circumstances, global_index};
use crate::overlay::control::keys::{self, GLOBAL_INDEXES_MAX, Indexes, Key, KeyOf};
use crate::overlay::control::parameters::{Parameters, unexpected};
use crate::overlay::control::throughput::{
    self, Billing, Stream, Units, index_units, table_units, units,
};
use crate::overlay::control::words::{invalid, no_index, one_index_at_once};

/// Parameters that are simulated.
const KNOWN: [&str; 9] = [
    "TableName",
    "AttributeDefinitions",
    "BillingMode",
    "ProvisionedThroughput",
    "OnDemandThroughput",
    "GlobalSecondaryIndexUpdates",
    "StreamSpecification",
    "TableClass",
    "DeletionProtectionEnabled",
];

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
    parameters: Parameters<'a>,
    table: &'a Value,
    arn: &'a str,
    at: &'a Circumstances,
}

/// Refuses what is wrong whatever the table is.
pub fn check(parameters: Parameters<'_>) -> Result<(), ServiceError> {
    let billing = throughput::billing(parameters)?;
    if let (Some(Billing::OnDemand), given @ Some(_)) = (billing, units(parameters)?) {
        table_units(Billing::OnDemand, given)?;
    }
    let updates = keys::list(parameters, "GlobalSecondaryIndexUpdates")?;
    let changes = |name: &str| !["TableName", "AttributeDefinitions"].contains(&name);
    let changes = |name: &str| changes(name) && name != "GlobalSecondaryIndexUpdates";
    if updates.is_empty() && !parameters.names().any(changes) {
        return Err(nothing_to_change());
    }
    let mut names: Vec<&str> = Vec::new();
    for one in updates {
        let mut kinds = ["Update", "Create", "Delete"].into_iter().filter_map(|kind| one.get(kind));
        let Some(index) = kinds.find(|index| !index.is_null()) else {
            return Err(invalid(
                "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, \
                 GlobalSecondaryIndexUpdate.Delete must not be null",
            ));
        };
        let name = index_name(index);
        if names.contains(&name) {
            return Err(invalid(format!(
                "Only one global secondary index update per index is allowed simultaneously. \
                 Index: {name}"
            )));
        }
        names.push(name);
    }
    Ok(())
}

fn nothing_to_change() -> ServiceError {
    ServiceError::validation(
        "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, \
         GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required",
    )
}

/// Of UpdateTable's parameters, for a table as DescribeTable tells it.
pub fn update(
    parameters: Parameters<'_>,
    table: &Value,
    at: &Circumstances,
) -> Result<Update, Fault> {
    crate::overlay::control::only(parameters, "UpdateTable", &KNOWN)?;
    let arn = table.get("TableArn").and_then(Value::as_str).unwrap_or_default();
    let call = Call { parameters, table, arn, at };
    let mut update = Update::default();
    let billing = change_billing(&call, &mut update)?;
    change_indexes(&call, billing, &mut update)?;
    change_stream(&call, &mut update)?;
    if let Some(class) = throughput::class(parameters)? {
        update.members.insert("TableClassSummary".into(), json!({"TableClass": class}));
        update.set("class", class);
    }
    if let Some(protected) = throughput::protection(parameters)? {
        update.members.insert("DeletionProtectionEnabled".into(), protected.into());
        update.set("deletion protection", if protected { "on" } else { "off" });
    }
    if update.members.is_empty() {
        return Err(nothing_to_change().into());
    }
    Ok(update)
}

/// The table's own billing and throughput; how it is billed from now on.
fn change_billing(call: &Call<'_>, update: &mut Update) -> Result<Billing, Fault> {
    let before = throughput::billing_of(call.table);
    let asked = throughput::billing(call.parameters)?;
    let given = units(call.parameters)?;
    let after = asked.unwrap_or(before);
    if let Some(highest) = throughput::on_demand(call.parameters, after)? {
        update.set("highest rates", highest.to_string());
        update.members.insert("OnDemandThroughput".into(), highest);
    }
    if asked.is_none() && given.is_none() {
        return Ok(after);
    }
    // A mode that is asked for and is there already changes nothing and is no error.
    let units = match (after, given) {
        (Billing::Provisioned, None) if before == after => Units::of_description(call.table),
        _ => table_units(after, given)?,
    };
    if before == after && given == Some(Units::of_description(call.table)) {
        return Err(ServiceError::validation(format!(
            "The provisioned throughput for the table will not change. The requested value equals \
             the current value. Current ReadCapacityUnits provisioned for the table: {read}. \
             Requested ReadCapacityUnits: {read}. Current WriteCapacityUnits provisioned for the \
             table: {write}. Requested WriteCapacityUnits: {write}. Refer to the Amazon DynamoDB \
             Developer Guide for current limits and how to request higher limits.",
            read = units.read,
            write = units.write,
        ))
        .into());
    }
    update.members.insert("ProvisionedThroughput".into(), units.to_json());
    if before != after {
        let summary = throughput::billing_summary(after, call.at.now_s);
        update.members.insert("BillingModeSummary".into(), summary);
    }
    update.set(
        "billing",
        match after {
            Billing::OnDemand => "PAY_PER_REQUEST".to_owned(),
            Billing::Provisioned => format!("PROVISIONED {} {}", units.read, units.write),
        },
    );
    Ok(after)
}

/// Global indexes: one built or taken away, throughputs of others changed.
fn change_indexes(call: &Call<'_>, billing: Billing, update: &mut Update) -> Result<(), Fault> {
    let described = call.table.get("GlobalSecondaryIndexes").and_then(Value::as_array);
    let mut indexes: Vec<Value> = described.cloned().unwrap_or_default();
    let switched = billing != throughput::billing_of(call.table);
    let asked = keys::list(call.parameters, "GlobalSecondaryIndexUpdates")?;
    let builds = |one: &&Value| ["Create", "Delete"].iter().any(|kind| one[*kind].is_object());
    if asked.iter().filter(builds).count() > 1 {
        return Err(one_index_at_once().into());
    }
    let mut provisioned = Vec::new();
    for one in asked {
        let one = Parameters::of(one)?;
        crate::overlay::control::only(
            one,
            "GlobalSecondaryIndexUpdates",
            &["Create", "Update", "Delete"],
        )?;
        match (one.get("Create"), one.get("Update"), one.get("Delete")) {
            (Some(create), None, None) => {
                add_index(call, billing, create, &mut indexes, update)?;
            }
            (None, Some(change), None) => {
                provisioned.push(change_index(call, billing, change, &mut indexes, update)?);
            }
            (None, None, Some(delete)) => remove_index(call, delete, &mut indexes, update)?,
            _ => {
                return Err(invalid(
                    "Only one global secondary index update per element of \
                     GlobalSecondaryIndexUpdates is allowed",
                )
                .into());
            }
        }
    }
    if switched {
        for index in &mut indexes {
            let name = index_name(index).to_owned();
            if billing == Billing::OnDemand {
                index["ProvisionedThroughput"] = Units::NONE.to_json();
            } else if !provisioned.contains(&name) && update.added.as_ref() != Some(&name) {
                index_units(billing, &name, None)?;
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

fn add_index(
    call: &Call<'_>,
    billing: Billing,
    create: &Value,
    indexes: &mut Vec<Value>,
    update: &mut Update,
) -> Result<(), Fault> {
    if indexes.len() >= GLOBAL_INDEXES_MAX {
        return Err(invalid(format!(
            "GlobalSecondaryIndex count exceeds the per-table limit of {GLOBAL_INDEXES_MAX}"
        ))
        .into());
    }
    let definitions = definitions_with(call, create)?;
    let table_key = keys::key(Parameters::of(call.table)?, KeyOf::Table)?;
    // Checked together with the indexes that are there, whose names and projections count too.
    let mut all = Indexes::of_new_table(
        Parameters::of(&json!({
            "LocalSecondaryIndexes": call.table.get("LocalSecondaryIndexes"),
            "GlobalSecondaryIndexes": (!indexes.is_empty()).then_some(&*indexes),
        }))?,
        &table_key,
        &definitions,
    )?;
    let name = all.add(create, &table_key, false, &definitions)?.to_owned();
    indexes.push(global_index(create, billing, call.arn)?);
    update.members.insert("AttributeDefinitions".into(), keys::definitions_to_json(&definitions));
    update.set(&format!("index {name}"), "added");
    update.added = Some(name);
    Ok(())
}

/// The table's definitions with those of a new index. All attributes of its key must be defined in
/// the request itself, also those that the table has defined; others in it mean nothing.
fn definitions_with(
    call: &Call<'_>,
    create: &Value,
) -> Result<BTreeMap<String, String>, ServiceError> {
    let name = index_name(create);
    let described = ["LocalSecondaryIndexes", "GlobalSecondaryIndexes"];
    let described = described.iter().filter_map(|kind| call.table[*kind].as_array()).flatten();
    if described.map(index_name).any(|other| other == name) {
        return Err(invalid(format!("Index already exists: {name}")));
    }
    let given = keys::definitions(call.parameters)?;
    keys::check_defined(Parameters::of(create)?, &given)?;
    let key = keys::key(Parameters::of(create)?, KeyOf::Global)?;
    let mut definitions = keys::definitions(Parameters::of(call.table)?)?;
    for name in key.names() {
        let kind = &given[name];
        let before = definitions.insert(name.to_owned(), kind.clone());
        if let Some(before) = before.filter(|before| before != kind) {
            return Err(invalid(format!(
                "Attributes cannot be redefined. Please check that your attribute has the same \
                 type as previously defined. Existing schema: \
                 Schema:[SchemaElement: key{{{name}:{before}}}] New schema: \
                 Schema:[SchemaElement: key{{{name}:{kind}}}]"
            )));
        }
    }
    Ok(definitions)
}

fn change_index(
    call: &Call<'_>,
    billing: Billing,
    change: &Value,
    indexes: &mut [Value],
    update: &mut Update,
) -> Result<String, Fault> {
    let change = Parameters::of(change)?;
    crate::overlay::control::only(
        change,
        "a change of an index",
        &["IndexName", "ProvisionedThroughput", "OnDemandThroughput"],
    )?;
    let name = change.required("IndexName")?.as_str().ok_or_else(unexpected)?;
    let index = indexes
        .iter_mut()
        .find(|index| index_name(index) == name)
        .ok_or_else(|| no_index(name, table_name(call.table)))?;
    if let Some(highest) = throughput::on_demand(change, billing)? {
        update.set(&format!("index {name} highest rates"), highest.to_string());
        index["OnDemandThroughput"] = highest;
    } else {
        let units = index_units(billing, name, units(change)?)?;
        update.set(&format!("index {name}"), format!("{} {}", units.read, units.write));
        index["ProvisionedThroughput"] = units.to_json();
    }
    Ok(name.to_owned())
}

fn remove_index(
    call: &Call<'_>,
    delete: &Value,
    indexes: &mut Vec<Value>,
    update: &mut Update,
) -> Result<(), Fault> {
    let delete = Parameters::of(delete)?;
    let name = delete.required("IndexName")?.as_str().ok_or_else(unexpected)?;
    let at = indexes
        .iter()
        .position(|index| index_name(index) == name)
        .ok_or_else(|| no_index(name, table_name(call.table)))?;
    indexes.remove(at);
    // Definitions that only this index used go with it.
    let mut used: Vec<Key> = vec![keys::key(Parameters::of(call.table)?, KeyOf::Table)?];
    let local = call.table.get("LocalSecondaryIndexes").and_then(Value::as_array);
    for index in local.into_iter().flatten().chain(&*indexes) {
        used.push(keys::key(Parameters::of(index)?, KeyOf::Global)?);
    }
    let mut definitions = keys::definitions(Parameters::of(call.table)?)?;
    definitions.retain(|name, _| used.iter().any(|key| key.names().any(|used| used == name)));
    update.members.insert("AttributeDefinitions".into(), keys::definitions_to_json(&definitions));
    update.set(&format!("index {name}"), "removed");
    update.removed = Some(name.to_owned());
    Ok(())
}

fn change_stream(call: &Call<'_>, update: &mut Update) -> Result<(), Fault> {
    let Some(asked) = throughput::stream(call.parameters)? else { return Ok(()) };
    let enabled = call.table.pointer("/StreamSpecification/StreamEnabled");
    match (asked, enabled.and_then(Value::as_bool).unwrap_or(false)) {
        (Stream::On(_), true) => Err(ServiceError::validation(format!(
            "Table already has an enabled stream: TableName: {}",
            table_name(call.table)
        ))
        .into()),
        (Stream::Off, false) => Err(ServiceError::validation(format!(
            "Table has no stream to disable: TableName: {}",
            table_name(call.table)
        ))
        .into()),
        (Stream::On(view), false) => {
            update.members.extend(throughput::stream_members(view, call.arn, &call.at.label));
            update.set("stream", view);
            Ok(())
        }
        (Stream::Off, true) => {
            update.members.insert("StreamSpecification".into(), Value::Null);
            update.set("stream", "off");
            Ok(())
        }
    }
}

fn index_name(index: &Value) -> &str {
    index.get("IndexName").and_then(Value::as_str).unwrap_or_default()
}

fn table_name(table: &Value) -> &str {
    table.get("TableName").and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
