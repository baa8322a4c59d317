//! BatchExecuteStatement and ExecuteTransaction: several statements in one request.

use std::collections::HashSet;
use std::sync::Arc;

use dm_dynamodb::error::ServiceError;
use dm_dynamodb::expression::Projection;
use dm_dynamodb::item_write::ItemWrite;
use dm_dynamodb::partiql::{NoItem, Select, Statement, in_transaction, on_item_in_transaction};
use dm_dynamodb::request::{self, ExecuteBatch, ExecuteTransaction, StatementRequest};
use dm_dynamodb::schema::ItemKey;
use dm_dynamodb::value::{Item, item_size, item_to_json};
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::operation::Operation;
use crate::overlay::Overlay;
use crate::overlay::capacity::{Atomicity, TransactionUnits, Units};
use crate::overlay::partiql::exists_alone;
use crate::overlay::read::page_request::Shown;
use crate::overlay::state::table::Table;
use crate::overlay::state::table::View;
use crate::overlay::write::calls::{add_units, insert_capacities};
use crate::overlay::write::item::Write;
use crate::overlay::write::transaction::{Get, Told, all_or_canceled};

/// What one statement of a batch comes to.
enum Member {
    Read { get: Get, consistent: bool },
    Write(Write),
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
            Self::Write(write) => write.place(),
        }
    }
}

impl Overlay {
    /// BatchExecuteStatement: each statement for itself, all of them reading or all writing.
    pub async fn execute_batch(&self, batch: ExecuteBatch) -> Result<Value, Fault> {
        let ExecuteBatch { statements, capacity: level } = batch;
        self.note_unknown(Operation::BatchExecuteStatement, &statements);
        let mut members = Vec::new();
        for one in statements {
            members.push(self.member(one).await?);
        }
        let mut seen = HashSet::new();
        let items = members.iter().filter_map(|member| member.as_ref().ok()).map(Member::item);
        if !items.clone().all(|(table, key)| seen.insert((table.number, key))) {
            return Err(request::duplicate_keys().into());
        }
        // Before the first write, so that nothing that fails on the way leaves half a batch.
        let written = members.iter().filter_map(|member| match member {
            Ok(Member::Write(write)) => Some(write.place()),
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
                Ok(Member::Write(write)) => self.write_member(&write, &mut used)?,
            });
        }
        let mut answer = Map::new();
        answer.insert("Responses".into(), responses.into());
        insert_capacities(&mut answer, &used, level, TransactionUnits::NotOne);
        Ok(Value::Object(answer))
    }

    async fn member(&self, one: StatementRequest) -> Result<Result<Member, Refusal>, Fault> {
        let unnamed = |error| Ok(Err(Refusal { table: None, error }));
        let StatementRequest { statement, consistent, shows_on_failure, .. } = one;
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
                    Ok(Ok(Member::Read { get: Get { table, key, shown }, consistent }))
                }
                Ok(None) => {
                    unnamed(ServiceError::validation("Only single item select is supported"))
                }
                Err(error) => unnamed(error),
            };
        }
        let named = |error| Ok(Err(Refusal { table: Some(table.schema.name.clone()), error }));
        let item = match statement.on_item(&table.schema) {
            Ok(item) => ItemWrite { shows_on_failure, ..item },
            Err(NoItem::Unnamed(error)) => return unnamed(error),
            Err(NoItem::Unfit(error)) => return named(error),
        };
        match item.check_keys(&table.schema) {
            Ok(()) => Ok(Ok(Member::Write(Write { table, item }))),
            Err(error) => named(error),
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

    fn write_member(&self, write: &Write, used: &mut Used) -> Result<Value, Fault> {
        match self.carry_out(write) {
            Ok(written) => {
                add_units(used, &write.table, &written.units);
                Ok(response(&write.table, written.image))
            }
            Err(Fault::Service(error)) => Ok(refused(Some(&write.table.schema.name), &error)),
            Err(fault) => Err(fault),
        }
    }

    /// ExecuteTransaction: all statements or none.
    pub async fn execute_transaction(&self, asked: ExecuteTransaction) -> Result<Value, Fault> {
        let ExecuteTransaction { statements: asked, token, capacity } = asked;
        self.note_unknown(Operation::ExecuteTransaction, &asked);
        let (mut statements, mut tables) = (Vec::new(), Vec::new());
        for one in asked {
            statements.push((one.statement?, one.shows_on_failure));
        }
        for (statement, _) in &statements {
            tables.push(self.schemas().table_of_items(statement.table()).await?);
        }
        if statements.iter().any(|(statement, _)| matches!(statement, Statement::Select(_))) {
            let statements = statements.into_iter().map(|(statement, _)| statement);
            let gets = all_or_canceled(gets(statements, tables)?)?;
            return self.read_together(&gets, capacity).await;
        }
        let mut writes = Vec::new();
        for (at, ((statement, shows_on_failure), table)) in
            statements.into_iter().zip(tables).enumerate()
        {
            let item = on_item_in_transaction(at, statement, &table.schema)?;
            let item = item.and_then(|item| item.check_keys(&table.schema).map(|()| item));
            writes.push(item.map(|item| {
                let item = ItemWrite { shows_on_failure, ..item };
                Write { table, item }
            }));
        }
        let writes = all_or_canceled(writes)?;
        let told = Told { capacity, collections: false };
        let mut answer = self.write_together(&writes, token.as_ref(), told).await?;
        answer.insert("Responses".into(), json!([]));
        Ok(Value::Object(answer))
    }
}

/// What a transaction's SELECTs read. A key that its table cannot hold is a reason for which the
/// transaction is canceled; none at all is the request's error.
fn gets(
    statements: impl Iterator<Item = Statement>,
    tables: Vec<Arc<Table>>,
) -> Result<Vec<Result<Get, ServiceError>>, ServiceError> {
    let mut gets = Vec::new();
    for (at, (statement, table)) in statements.zip(tables).enumerate() {
        // Transactions do not mix, so there are no others.
        let Statement::Select(select) = statement else { continue };
        let Some(key) = select.single_item(&table.schema).transpose() else {
            let why = "Select statements within ExecuteTransaction must specify the primary key in \
                       the where clause.";
            return Err(in_transaction(at, why));
        };
        gets.push(key.map(|key| Get { table, key, shown: shown(select) }));
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
