//! PartiQL: statements carried out on the merged view. Nothing is evaluated or merged here: SELECT
//! becomes pages as Query and Scan have them, writes and checks become [`Write`]s.

mod next_token;
mod select;
mod several;

use dm_dynamodb::error::ServiceError;
use dm_dynamodb::item_write::ItemWrite;
use dm_dynamodb::partiql::Statement;
use dm_dynamodb::request::{Execute, StatementRequest};
use dm_dynamodb::value::item_to_json;
use serde_json::{Map, Value};

use crate::fault::Fault;
use crate::operation::Operation;
use crate::overlay::Overlay;
use crate::overlay::partiql::select::Asked;
use crate::overlay::write::item::Write;

impl Overlay {
    pub async fn execute_statement(&self, execute: Execute, body: &Value) -> Result<Value, Fault> {
        self.note_unknown(Operation::ExecuteStatement, std::slice::from_ref(&execute.one));
        let Execute { one, limit, capacity } = execute;
        let (item, table) = match one.statement? {
            Statement::Select(select) => {
                let asked = Asked { consistent: one.consistent, limit, capacity };
                return self.select(select, asked, body).await;
            }
            Statement::Exists(_) => return Err(exists_alone().into()),
            statement @ (Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_)) => {
                let table = self.schemas().table_of_items(statement.table()).await?;
                (statement.on_item(&table.schema).map_err(ServiceError::from)?, table)
            }
        };
        item.check_keys(&table.schema)?;
        let item = ItemWrite { shows_on_failure: one.shows_on_failure, ..item };
        let write = Write { table, item };
        let written = self.write_single(&write).await?;
        let mut answer = Map::new();
        let items = written.image.iter().map(item_to_json).collect();
        answer.insert("Items".into(), Value::Array(items));
        if let Some(capacity) = written.units.to_json(&write.table, capacity) {
            answer.insert("ConsumedCapacity".into(), capacity);
        }
        Ok(Value::Object(answer))
    }

    fn note_unknown(&self, operation: Operation, statements: &[StatementRequest]) {
        if statements.iter().any(|one| one.statement.is_err()) {
            self.tally().unknown_statements(operation);
        }
    }
}

fn exists_alone() -> ServiceError {
    ServiceError::validation("EXISTS can only be used in ExecuteTransaction write requests.")
}
