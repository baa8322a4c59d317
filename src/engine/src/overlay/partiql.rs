//! PartiQL: statements carried out on the merged view. Nothing is evaluated or merged here: SELECT
//! becomes pages as Query and Scan have them, writes and checks become [`Write`]s.

mod next_token;
mod select;
mod several;

use std::sync::Arc;

use dm_contract::report::Fidelity;
use dm_dynamodb::error::ServiceError;
use dm_dynamodb::partiql::Statement;
use dm_dynamodb::value::item_to_json;
use serde_json::{Map, Value};

use crate::fault::Fault;
use crate::operation::Operation;
use crate::overlay::Overlay;
use crate::overlay::capacity::CapacityLevel;
use crate::overlay::parameters::Parameters;
use crate::overlay::write::calls::ReturnValues;
use crate::overlay::write::item::Write;
use crate::tables::statement;

impl Overlay {
    /// ExecuteStatement.
    pub async fn execute_statement(&self, body: &Value) -> Result<Value, Fault> {
        let parameters = Parameters::of(body)?;
        match self.parsed(Operation::ExecuteStatement, parameters)? {
            Statement::Select(select) => self.select(select, parameters).await,
            Statement::Exists(_) => Err(exists_alone().into()),
            statement @ (Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_)) => {
                self.write_statement(&statement, parameters).await
            }
        }
    }

    /// The statement of a request, or of a member of a batch or transaction. One that is not understood
    /// may be wrong or not, and the database cannot be asked: it is answered as wrong, and noted.
    fn parsed(
        &self,
        operation: Operation,
        parameters: Parameters<'_>,
    ) -> Result<Statement, ServiceError> {
        let parsed = statement(parameters.get("Statement"), parameters.get("Parameters"));
        if parsed.is_err() {
            let why = "a statement is answered as wrong that the guard does not understand";
            self.tally().remark(operation.name(), Fidelity::Approximate, why);
        }
        parsed
    }

    async fn write_statement(
        &self,
        statement: &Statement,
        parameters: Parameters<'_>,
    ) -> Result<Value, Fault> {
        let level = CapacityLevel::of(parameters)?;
        let table = self.schemas().table_of_items(statement.table()).await?;
        let on_item = statement.on_item(&table.schema)?;
        let returned = ReturnValues::of_statement(on_item.returning);
        let write = Write::of_statement(Arc::clone(&table), on_item, parameters)?;
        let (written, units) = self.write_single(&write).await?;
        let mut answer = Map::new();
        let items = returned.image(&written).iter().map(item_to_json).collect();
        answer.insert("Items".into(), Value::Array(items));
        if let Some(capacity) = units.to_json(&table, level) {
            answer.insert("ConsumedCapacity".into(), capacity);
        }
        Ok(Value::Object(answer))
    }
}

fn exists_alone() -> ServiceError {
    ServiceError::validation("EXISTS can only be used in ExecuteTransaction write requests.")
}
