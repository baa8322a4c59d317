//! BatchExecuteStatement and ExecuteTransaction: several statements in one request.

use std::collections::HashSet;
use std::sync::Arc;

use dm_dynamodb::error::{CancellationReason, ServiceError};
use dm_dynamodb::expression::Projection;
use dm_dynamodb::partiql::{
    BATCH_STATEMENTS_MAX, Select, Statement, TRANSACTION_STATEMENTS_MAX, check_batch, check_count,
    check_transaction, in_transaction, on_item_in_transaction,
};
use dm_dynamodb::schema::ItemKey;
use dm_dynamodb::value::{Item, item_size, item_to_json};
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::operation::Operation;
use crate::overlay::Overlay;
use crate::overlay::capacity::{Atomicity, CapacityLevel, TransactionUnits, Units};
use crate::overlay::parameters::{Parameters, unexpected};
use crate::overlay::partiql::exists_alone;
use crate::overlay::read::page_request::Shown;
use crate::overlay::state::table::Table;
use crate::overlay::state::table::View;
use crate::overlay::write::calls::{ReturnValues, add_units, insert_capacities};
use crate::overlay::write::item::Write;
use crate::overlay::write::transaction::Get;

/// What one statement of a batch comes to.
enum Member {
    Read { get: Get, consistent: bool },
    Write { write: Write, returned: ReturnValues },
}

/// Why a statement of a batch cannot be carried out. Once its item is known, the answer names the
/// table.
struct Refusal {
    table: Option<String>,
    error: ServiceError,
}

type Used = Vec<(Arc<Table>, Units)>;

impl Member {
    fn item(&self) -> (&Arc<Table>, &ItemKey) {
        match self {
            Self::Read { get, .. } => (&get.table, &get.key),
            Self::Write { write, .. } => (&write.table, &write.key),
        }
    }
}

impl Overlay {
    /// BatchExecuteStatement: each statement for itself, all of them reading or all writing.
    pub async fn execute_batch(&self, body: &Value) -> Result<Value, Fault> {
        let parameters = Parameters::of(body)?;
        let level = CapacityLevel::of(parameters)?;
        let asked = listed(parameters, "Statements", BATCH_STATEMENTS_MAX)?;
        let statements: Vec<_> = asked
            .iter()
            .map(|member| self.parsed(Operation::BatchExecuteStatement, *member))
            .collect();
        check_batch(&statements)?;
        let mut members = Vec::new();
        for (statement, parameters) in statements.into_iter().zip(asked) {
            members.push(self.member(statement, parameters).await?);
        }
        let mut seen = HashSet::new();
        let items = members.iter().filter_map(|member| member.as_ref().ok()).map(Member::item);
        if !items.clone().all(|(table, key)| seen.insert((table.number, key))) {
            return Err(Fault::validation("Provided list of item keys contains duplicates"));
        }
        // Before the first write, so that nothing that fails on the way leaves half a batch.
        let written = members.iter().filter_map(|member| match member {
            Ok(Member::Write { write, .. }) => Some((&write.table, &write.key)),
            Ok(Member::Read { .. }) | Err(_) => None,
        });
        self.look_at_all(written).await?;
        let mut used = Used::new();
        let mut responses = Vec::new();
        for member in members {
            responses.push(match member {
                Err(refusal) => refused(refusal.table.as_deref(), &refusal.error),
                Ok(Member::Read { get, consistent }) => {
                    self.read_member(&get, consistent, &mut used).await?
                }
                Ok(Member::Write { write, returned }) => {
                    self.write_member(&write, returned, &mut used)?
                }
            });
        }
        let mut answer = Map::new();
        answer.insert("Responses".into(), responses.into());
        insert_capacities(&mut answer, &used, level, TransactionUnits::NotOne);
        Ok(Value::Object(answer))
    }

    async fn member(
        &self,
        statement: Result<Statement, ServiceError>,
        parameters: Parameters<'_>,
    ) -> Result<Result<Member, Refusal>, Fault> {
        let unnamed = |error| Ok(Err(Refusal { table: None, error }));
        let statement = match statement {
            Ok(Statement::Exists(_)) => return unnamed(exists_alone()),
            Ok(statement) => statement,
            Err(error) => return unnamed(error),
        };
        let table = match self.schemas().table_of_items(statement.table()).await {
            Ok(table) => table,
            Err(Fault::Service(error)) => return unnamed(error),
            Err(fault) => return Err(fault),
        };
        if let Statement::Select(select) = statement {
            return match select.single_item(&table.schema) {
                Ok(Some(key)) => {
                    let shown = shown(select);
                    let consistent = parameters.flag("ConsistentRead")?;
                    Ok(Ok(Member::Read { get: Get { table, key, shown }, consistent }))
                }
                Ok(None) => {
                    unnamed(ServiceError::validation("Only single item select is supported"))
                }
                Err(error) => unnamed(error),
            };
        }
        let on_item = match statement.on_item(&table.schema) {
            Ok(on_item) => on_item,
            Err(error) => return unnamed(error),
        };
        let returned = ReturnValues::of_statement(on_item.returning);
        match Write::of_statement(Arc::clone(&table), on_item, parameters) {
            Ok(write) => Ok(Ok(Member::Write { write, returned })),
            Err(Fault::Service(error)) => {
                Ok(Err(Refusal { table: Some(table.schema.name.clone()), error }))
            }
            Err(fault) => Err(fault),
        }
    }

    async fn read_member(
        &self,
        get: &Get,
        consistent: bool,
        used: &mut Used,
    ) -> Result<Value, Fault> {
        let item = self.item_now(&get.table, &get.key).await?;
        self.tally().items_read(&get.table.schema.name, item.is_some().into());
        let view = View { table: &get.table, index: None };
        let bytes = item.as_ref().map_or(0, item_size);
        add_units(used, &get.table, &Units::of_read(view, bytes, consistent, Atomicity::Single));
        Ok(response(&get.table, item.map(|item| get.shown.of(&item))))
    }

    fn write_member(
        &self,
        write: &Write,
        returned: ReturnValues,
        used: &mut Used,
    ) -> Result<Value, Fault> {
        match self.carry_out(write) {
            Ok((written, units)) => {
                add_units(used, &write.table, &units);
                Ok(response(&write.table, returned.image(&written)))
            }
            Err(Fault::Service(error)) => Ok(refused(Some(&write.table.schema.name), &error)),
            Err(fault) => Err(fault),
        }
    }

    /// ExecuteTransaction: all statements or none.
    pub async fn execute_transaction(&self, body: &Value) -> Result<Value, Fault> {
        let parameters = Parameters::of(body)?;
        parameters.token()?;
        let level = CapacityLevel::of(parameters)?;
        let asked = listed(parameters, STATEMENTS, TRANSACTION_STATEMENTS_MAX)?;
        let statements: Vec<Statement> = asked
            .iter()
            .map(|member| self.parsed(Operation::ExecuteTransaction, *member))
            .collect::<Result<_, _>>()?;
        check_transaction(&statements)?;
        let mut tables = Vec::new();
        for statement in &statements {
            tables.push(self.schemas().table_of_items(statement.table()).await?);
        }
        if statements.iter().any(|statement| matches!(statement, Statement::Select(_))) {
            let gets = gets(statements, tables)?;
            return self.read_together(&gets, level).await;
        }
        let (mut writes, mut reasons) = (Vec::new(), Vec::new());
        for (at, ((statement, table), parameters)) in
            statements.iter().zip(tables).zip(asked).enumerate()
        {
            let on_item = on_item_in_transaction(at, statement, &table.schema)?;
            match on_item
                .map_err(Fault::from)
                .and_then(|on_item| Write::of_statement(table, on_item, parameters))
            {
                Ok(write) => {
                    writes.push(write);
                    reasons.push(CancellationReason::none());
                }
                Err(Fault::Service(error)) => reasons.push(CancellationReason::of(error)),
                Err(fault) => return Err(fault),
            }
        }
        if writes.len() < statements.len() {
            return Err(ServiceError::transaction_canceled(reasons).into());
        }
        let mut answer = self.write_together(parameters, STATEMENTS, &writes).await?;
        answer.insert("Responses".into(), json!([]));
        Ok(Value::Object(answer))
    }
}

/// The parameter that lists a transaction's statements.
const STATEMENTS: &str = "TransactStatements";

fn listed<'a>(
    parameters: Parameters<'a>,
    name: &str,
    at_most: usize,
) -> Result<Vec<Parameters<'a>>, Fault> {
    let listed = parameters.required(name)?.as_array().ok_or_else(unexpected)?;
    check_count(listed.len(), name, at_most)?;
    Ok(listed.iter().map(Parameters::of).collect::<Result<_, _>>()?)
}

fn gets(statements: Vec<Statement>, tables: Vec<Arc<Table>>) -> Result<Vec<Get>, ServiceError> {
    let mut gets = Vec::new();
    for (at, (statement, table)) in statements.into_iter().zip(tables).enumerate() {
        // Transactions do not mix, so there are no others.
        let Statement::Select(select) = statement else { continue };
        let key = select.single_item(&table.schema)?.ok_or_else(|| {
            in_transaction(
                at,
                "Select statements within ExecuteTransaction must specify the primary key in the \
                 where clause.",
            )
        })?;
        gets.push(Get { table, key, shown: shown(select) });
    }
    Ok(gets)
}

/// In batches and transactions, a place in a document is returned as a projection does, in its
/// document. This is not documented; DynamoDB Local does it.
fn shown(select: Select) -> Shown {
    Shown::projected(select.list.map(Projection::of))
}

fn response(table: &Table, item: Option<Item>) -> Value {
    let mut response = json!({"TableName": table.schema.name});
    if let Some(item) = item {
        response["Item"] = item_to_json(&item);
    }
    response
}

fn refused(table: Option<&str>, error: &ServiceError) -> Value {
    let mut response = json!({"Error": error.to_statement_json()});
    if let Some(table) = table {
        response["TableName"] = table.into();
    }
    response
}
