//! A dry run: writes stay here, reads are merged with them. Nothing but reads reaches the database.
//!
//! What cannot be simulated exactly is refused with an AccessDeniedException that says so, and
//! becomes a remark of the report; nothing is let through instead.

mod capacity;
mod control;
mod difference;
mod kept;
mod parameters;
mod partiql;
mod read;
pub(crate) mod state;
mod write;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use dm_contract::report::{SecondPass, TableEffect};
use dm_dynamodb::error::ErrorCode;
use dm_dynamodb::request::{self, Request};
use dm_dynamodb::schema::TableSchema;
use dm_dynamodb::value::write_json;
use serde_json::Value;

use crate::answer_members::Members;
use crate::call::Call;
use crate::fault::Fault;
use crate::layers::metering::{self, Metered};
use crate::layers::tally::Tally;
use crate::operation::{Class, Operation, ReadOperation};
use crate::overlay::kept::Keeper;
use crate::overlay::state::entries::State;
use crate::overlay::state::schemas::Schemas;
use crate::overlay::state::store::Room;
use crate::overlay::write::transaction::Tokens;
use crate::tables::{plain_name, tables_named};
use crate::upstream::{ReadOnly, UpstreamCalls};

pub use crate::overlay::difference::{DifferenceError, DifferenceParts, OnePart, Values};
pub use crate::overlay::state::kept_disk::KeptError;

/// The layer of a dry run.
#[derive(Debug)]
pub struct Overlay {
    upstream: ReadOnly,
    tally: Arc<Tally>,
    schemas: Schemas,
    state: Mutex<State>,
    /// Of an embedded database that outlives its process.
    keeper: Option<Keeper>,
    tokens: Mutex<Tokens>,
    /// Held by the one call of the control plane that is worked on.
    control: tokio::sync::Mutex<()>,
    arn_prefix: tokio::sync::OnceCell<String>,
}

impl Overlay {
    /// Over a connection that cannot write.
    pub fn new(upstream: ReadOnly, tally: Arc<Tally>) -> Self {
        let schemas = Schemas::new(upstream.clone(), Arc::clone(&tally));
        Self {
            upstream,
            tally,
            schemas,
            state: Mutex::new(State::new(Room::default())),
            keeper: None,
            tokens: Mutex::default(),
            control: tokio::sync::Mutex::default(),
            arn_prefix: tokio::sync::OnceCell::new(),
        }
    }

    /// The same with a folder of its own for what memory does not hold.
    pub fn in_folder(self, folder: PathBuf) -> Self {
        let room = Room { folder, ..Room::default() };
        Self { state: Mutex::new(State::new(room)), ..self }
    }

    /// Whether it is a database of its own: there is none behind it.
    pub fn is_database(&self) -> bool {
        self.upstream.is_nothing()
    }

    /// The tables of the database that the run has met.
    pub fn upstream_tables(&self, see: impl FnMut(&TableSchema)) {
        self.schemas.for_each_upstream(see);
    }

    /// What was sent so far.
    pub fn calls(&self) -> UpstreamCalls {
        self.upstream.calls()
    }

    /// Why its result cannot be relied on, if so.
    pub fn problem(&self) -> Option<String> {
        self.state().problem()
    }

    /// Items that somebody else changed after the overlay had first looked at them.
    pub fn changed_underneath(&self) -> u64 {
        self.state().count_changed_underneath()
    }

    /// From now on the program runs a second time over what it wrote; what it does is told apart.
    pub fn begin_second_pass(&self) {
        self.state().begin_second_pass();
        // They would make a repetition of what is meant to be done anew.
        *self.tokens.lock().unwrap_or_else(PoisonError::into_inner) = Tokens::default();
    }

    /// What the second pass changed again, if there is one.
    pub fn second_pass(&self) -> Option<SecondPass> {
        self.state().second_pass()
    }

    /// What would change, per table.
    pub fn effects(&self) -> Vec<TableEffect> {
        let mut effects = self.state().effects();
        self.table_changes(&mut effects);
        effects
    }

    /// Answers one call.
    pub async fn handle(&self, call: Call) -> Result<Bytes, Fault> {
        let operation = call.operation;
        if operation.class() == Class::DataWrite {
            let (body, request) = call.into_decoded();
            let answer = self.write(operation, request?, &Value::Object(body)).await?;
            self.save().await?;
            return Ok(Bytes::from(write_json(&answer)));
        }
        let checked = request::check_members(operation, call.body());
        let body = Value::Object(call.into_body());
        let answer = match checked {
            Ok(()) => self.answer(operation, &body).await,
            Err(error) => self.refused_by_both(operation, &body, error.into()).await,
        };
        answer.map_err(|fault| first(operation, &body, fault))
    }

    /// Carries out a write. Its answer is a promise, so what it is about is saved before it is given.
    async fn write(
        &self,
        operation: Operation,
        request: Request,
        body: &Value,
    ) -> Result<Value, Fault> {
        match request {
            Request::Write(write) => self.write_one(write).await,
            Request::BatchWrite(batch) => self.write_batch(batch).await,
            Request::TransactWrite(transaction) => self.transact_write(transaction).await,
            // Boxed: their futures hold a whole plan.
            Request::Execute(one) => Box::pin(self.execute_statement(one, body)).await,
            Request::ExecuteBatch(batch) => Box::pin(self.execute_batch(batch)).await,
            Request::ExecuteTransaction(transaction) => {
                Box::pin(self.execute_transaction(transaction)).await
            }
            Request::Other => Err(not_simulated(operation)),
        }
    }

    async fn answer(&self, operation: Operation, body: &Value) -> Result<Bytes, Fault> {
        match operation {
            Operation::GetItem => self.get_one(body).await,
            Operation::BatchGetItem => self.get_batch(body).await,
            Operation::Query | Operation::Scan => self.page(operation, body).await,
            Operation::TransactGetItems => {
                Ok(Bytes::from(write_json(&self.transact_get(body).await?)))
            }
            _ => match (operation.class(), ReadOperation::of(operation)) {
                (Class::MetadataRead, Some(read)) => Box::pin(self.metadata(read, body)).await,
                (Class::ControlPlaneWrite, _) => {
                    let answer = Box::pin(self.control(operation, body)).await?;
                    self.save().await?;
                    Ok(answer)
                }
                _ => Err(not_simulated(operation)),
            },
        }
    }

    fn upstream(&self) -> &ReadOnly {
        &self.upstream
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// The entries. Never held over an await.
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in the middle of a change could leave places without their entry; they are then
        // found damaged, and the call fails.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_units(&self, capacity: Option<&Value>) {
        self.tally.read_units(capacity.map_or(0.0, metering::consumed_units));
    }

    /// A read that no write of the program can have changed: the database answers it.
    async fn forward(&self, operation: ReadOperation, body: &Value) -> Result<Bytes, Fault> {
        let metered = Metered::new(operation.operation(), body.clone());
        let answer = self.upstream.read(operation, metered.body()).await?;
        let members = Members::of(&answer).ok_or_else(metering::not_an_object)?;
        Ok(metered.finish(&answer, &members, &self.tally))
    }

    /// A read that is wrong in our eyes: the database is asked for its words. If it is right in
    /// the database's eyes, it is one that the overlay does not understand, and refused.
    async fn refused_by_both(
        &self,
        operation: Operation,
        body: &Value,
        ours: Fault,
    ) -> Result<Bytes, Fault> {
        let ours = first(operation, body, ours);
        let error = match &ours {
            // A wrong type is one for every database.
            Fault::Service(error) if error.code != ErrorCode::Serialization => error,
            _ => return Err(ours),
        };
        let Some(read) = ReadOperation::of(operation) else { return Err(ours) };
        // Of a table that the program has made the database knows nothing, or another one.
        let named = body.as_object().map(tables_named).unwrap_or_default();
        if named.is_empty() || named.iter().any(|table| self.schemas.is_own(plain_name(table))) {
            return Err(ours);
        }
        match self.upstream.read(read, body).await {
            // AWS does not look for the table of a request that is wrong in itself.
            Err(fault) if fault.is_upstream("ResourceNotFoundException") => return Err(ours),
            answer => answer?,
        };
        let name = operation.name();
        Err(Fault::refused(
            format!(
                "The guard's dry run cannot simulate this {name}: it takes the request for wrong \
                 ({}), and the database does not.",
                error.message
            ),
            "the dry run takes a request for wrong that the database accepts",
        ))
    }
}

/// The refusal of an operation that cannot be simulated exactly.
fn not_simulated(operation: Operation) -> Fault {
    let name = operation.name();
    Fault::refused(
        format!(
            "The guard's dry run does not simulate {name} yet, and lets nothing through that it \
             cannot simulate."
        ),
        "a dry run does not simulate it yet",
    )
}

/// What AWS answers to a read that came to this fault here: it checks a request before it looks for
/// the table.
fn first(operation: Operation, body: &Value, fault: Fault) -> Fault {
    let may_come_later = match &fault {
        Fault::Service(error) => matches!(
            error.code,
            ErrorCode::Validation
                | ErrorCode::RequestValidation
                | ErrorCode::Serialization
                | ErrorCode::ResourceNotFound
        ),
        fault => fault.is_upstream("ResourceNotFoundException"),
    };
    let body = body.as_object().filter(|_| may_come_later);
    let error = body.and_then(|body| Request::decode(operation, body).err());
    error.map_or(fault, Fault::Service)
}
