//! CreateTable, UpdateTable and DeleteTable in a dry run.

use std::collections::BTreeSet;
use std::sync::Arc;

use dm_dynamodb::error::ServiceError;
use dm_dynamodb::request::control::{CreateTable, UpdateTable};
use dm_dynamodb::request::no_table;
use dm_dynamodb::schema::TableSchema;
use dm_dynamodb::table_name::plain_name;
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::operation::Operation;
use crate::overlay::Overlay;
use crate::overlay::control::changed_settings::differs;
use crate::overlay::control::create::create;
use crate::overlay::control::set_members;
use crate::overlay::control::update::update;
use crate::overlay::control::words::{in_use, table_exists};
use crate::overlay::state::table::{Shape, Table};

impl Overlay {
    pub async fn create_table(&self, asked: CreateTable) -> Result<Value, Fault> {
        let name = plain_name(&asked.table);
        let members = create(&asked, &self.circumstances(name).await?);
        match self.schemas().table(name).await {
            Ok(_) => return Err(table_exists(name).into()),
            Err(fault) if is_not_found(&fault) => {}
            Err(fault) => return Err(fault),
        }
        let mut answer = Value::Object(members.clone());
        let schema = understood(&answer)?;
        let shape = Shape { members, tags: Some(asked.tags), ..Shape::default() };
        {
            // Nobody writes an item of a table that is not kept yet.
            let mut state = self.state();
            self.schemas().create(schema, shape);
            self.keep_table(&mut state, name)?;
            state.table_created(name);
        }
        set_status(&mut answer, "CREATING", "CREATING");
        Ok(json!({"TableDescription": answer}))
    }

    pub async fn update_table(&self, asked: &UpdateTable) -> Result<Value, Fault> {
        let name = plain_name(&asked.table);
        let table = self.table_to_change(Operation::UpdateTable, name).await?;
        let mut description = self.description(name).await?;
        check_active(name, &description)?;
        let at = self.circumstances(name).await?;
        let update = update(asked, &description, &understood(&description)?, &at)?;
        let before = description.clone();
        let going = update.removed.as_deref();
        let going = indexes(&mut description).find(|i| i["IndexName"].as_str() == going).cloned();
        if let Some(described) = description.as_object_mut() {
            set_members(described, &update.members);
        }
        let mut unbuilt: BTreeSet<String> = table.unbuilt.clone();
        if let Some(removed) = &update.removed {
            unbuilt.remove(removed);
        }
        // An index of a table that lies in the database would have to be built from all its items.
        unbuilt.extend(update.added.clone().filter(|_| table.upstream));
        let reshaped = update.added.is_some() || update.removed.is_some();
        let next = Arc::new(Table {
            schema: understood(&description)?,
            number: table.number,
            shape: table.shape + u32::from(reshaped),
            upstream: table.upstream,
            unbuilt,
            awaited: true.into(),
        });
        {
            let mut state = self.state();
            if reshaped {
                state.reshape(&next)?;
            }
            let changed = self.schemas().change(next, ("table", before), |shape, began| {
                shape.members.extend(update.members);
                shape.settings.extend(update.settings);
                shape.settings.retain(|setting, _| differs(setting, began, &description));
            });
            self.keep_table(&mut state, name)?;
            if changed {
                state.table_changed(name);
            }
        }
        let added = update.added.as_deref();
        set_status(&mut description, "UPDATING", "ACTIVE");
        for index in indexes(&mut description) {
            if index["IndexName"].as_str() == added {
                index["IndexStatus"] = "CREATING".into();
            }
        }
        if let Some(mut going) = going {
            going["IndexStatus"] = "DELETING".into();
            let left = description["GlobalSecondaryIndexes"].as_array_mut();
            let mut shown = left.map(std::mem::take).unwrap_or_default();
            shown.push(going);
            description["GlobalSecondaryIndexes"] = shown.into();
        }
        Ok(json!({"TableDescription": description}))
    }

    pub async fn delete_table(&self, name: &str) -> Result<Value, Fault> {
        let table = self.table_to_change(Operation::DeleteTable, name).await?;
        let mut description = self.description(name).await?;
        check_active(name, &description)?;
        if description["DeletionProtectionEnabled"].as_bool() == Some(true) {
            return Err(ServiceError::validation(format!(
                "Resource cannot be deleted as it is currently protected against deletion. Disable \
                 deletion protection first. Table: {name}"
            ))
            .into());
        }
        {
            let mut state = self.state();
            state.drop_table(&table)?;
            self.schemas().delete(&table);
            state.table_deleted(name);
        }
        set_status(&mut description, "DELETING", "DELETING");
        Ok(json!({"TableDescription": description}))
    }

    /// A table that is there, or the words of the control plane that it is not.
    pub async fn table_to_change(
        &self,
        operation: Operation,
        name: &str,
    ) -> Result<Arc<Table>, Fault> {
        match self.schemas().table(name).await {
            Err(fault) if is_not_found(&fault) => Err(no_table(operation, name).into()),
            found => found,
        }
    }
}

fn is_not_found(fault: &Fault) -> bool {
    matches!(fault,
        Fault::Service(error) if error.code == dm_dynamodb::error::ErrorCode::ResourceNotFound)
}

/// Somebody else may be changing a table of the database.
fn check_active(name: &str, description: &Value) -> Result<(), Fault> {
    match description["TableStatus"].as_str() {
        Some("ACTIVE") | None => Ok(()),
        Some(status) => Err(in_use(name, status).into()),
    }
}

fn understood(description: &Value) -> Result<TableSchema, Fault> {
    TableSchema::from_json(description).map_err(|error| {
        Fault::refused(
            format!("The guard's dry run does not understand the table that is asked for: {error}"),
            "a table that is asked for is not understood",
        )
    })
}

fn set_status(description: &mut Value, table: &str, index: &str) {
    description["TableStatus"] = table.into();
    for described in indexes(description) {
        described["IndexStatus"] = index.into();
    }
}

fn indexes(description: &mut Value) -> impl Iterator<Item = &mut Value> {
    let indexes = description.get_mut("GlobalSecondaryIndexes").and_then(Value::as_array_mut);
    indexes.into_iter().flatten()
}
