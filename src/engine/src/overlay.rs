//! A dry run: writes stay here, reads are merged with them. Nothing but reads reaches the database.
//!
//! What cannot be simulated exactly is refused with an AccessDeniedException that says so, and
//! becomes a remark of the report; nothing is let through instead.

mod capacity;
mod control;
mod difference;
mod kept;
mod partiql;
mod read;
pub(crate) mod state;
mod write;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use dm_contract::report::{SecondPass, TableEffect};
use dm_dynamodb::error::ErrorCode;
use dm_dynamodb::request::{Outline, Request};
use dm_dynamodb::schema::TableSchema;
use dm_dynamodb::table_name::plain_name;
use dm_dynamodb::value::write_json;
use parking_lot::{Mutex, MutexGuard};
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

    /// The same with its own folder for what memory does not hold.
    pub fn in_folder(self, folder: PathBuf) -> Self {
        let room = Room { folder, ..Room::default() };
        Self { state: Mutex::new(State::new(room)), ..self }
    }

    /// Whether it is the database itself: there is none behind it.
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

    /// From now on the program runs a second time over what it wrote; what it does is counted
    /// separately.
    pub fn begin_second_pass(&self) {
        self.state().begin_second_pass();
        // They would make a repetition of what is meant to be done again.
        *self.tokens.lock() = Tokens::default();
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

    pub async fn handle(&self, mut call: Call) -> Result<Bytes, Fault> {
        let (operation, read) = (call.operation, call.read.take());
        let class = operation.class();
        let (body, request) = call.into_decoded();
        let body = Value::Object(body);
        match (class, request) {
            (Class::DataWrite, request) => {
                if let Some(read) = read {
                    self.know(read).await?;
                }
                let answer = self.write(operation, request?, &body).await?;
                self.save().await?;
                Ok(Bytes::from(write_json(&answer)))
            }
            // Its items are always those of the overlay, so the database is not asked.
            (_, Err(error)) if operation == Operation::TransactGetItems => Err(error.into()),
            (_, Err(error)) => self.refused_by_both(operation, &body, error.into()).await,
            (_, Ok(request)) => self.answer(operation, request, &body).await,
        }
    }

    /// Carries out a write. Its answer is a promise, so what it is about is saved before it is
    /// given.
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
            Request::Get(_)
            | Request::BatchGet(_)
            | Request::TransactGet(_)
            | Request::Page(_)
            | Request::Control(_)
            | Request::List(_)
            | Request::Other => Err(not_simulated(operation)),
        }
    }

    async fn answer(
        &self,
        operation: Operation,
        request: Request,
        body: &Value,
    ) -> Result<Bytes, Fault> {
        match request {
            Request::Get(get) => self.get_one(get, body).await,
            Request::BatchGet(batch) => self.get_batch(batch, body).await,
            Request::Page(page) => self.page(operation, page, body).await,
            Request::TransactGet(transaction) => {
                Ok(Bytes::from(write_json(&self.transact_get(transaction).await?)))
            }
            Request::Control(asked) => {
                let answer = Box::pin(self.control(asked)).await?;
                self.save().await?;
                Ok(answer)
            }
            Request::List(listing) => Box::pin(self.metadata(operation, Some(listing), body)).await,
            Request::Write(_)
            | Request::BatchWrite(_)
            | Request::TransactWrite(_)
            | Request::Execute(_)
            | Request::ExecuteBatch(_)
            | Request::ExecuteTransaction(_)
            | Request::Other => Box::pin(self.metadata(operation, None, body)).await,
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
        self.state.lock()
    }

    fn count_units(&self, capacity: Option<&Value>) {
        self.tally.read_units(capacity.map_or(0.0, metering::consumed_units));
    }

    /// A read that no write of the program can have changed: the database answers it.
    async fn forward(&self, operation: ReadOperation, body: &Value) -> Result<Bytes, Fault> {
        self.forward_seen(operation, body, |_| {}).await
    }

    /// The same for a caller that looks at the members of the answer.
    async fn forward_seen(
        &self,
        operation: ReadOperation,
        body: &Value,
        see: impl FnOnce(&Members<'_>),
    ) -> Result<Bytes, Fault> {
        let parameters = body.as_object().ok_or_else(metering::not_an_object)?;
        let metered = Metered::new(operation.operation(), parameters);
        let answer = self.upstream.read_as(operation, body, || metered.to_json()).await?;
        let members = Members::of(&answer).ok_or_else(metering::not_an_object)?;
        see(&members);
        Ok(metered.finish(&answer, &members, &self.tally))
    }

    /// Whether the program has changed nothing of a table, so that the database knows all of it.
    async fn is_unchanged(&self, table: &str) -> Result<bool, Fault> {
        let table = self.schemas().table_of_items(table).await?;
        Ok(table.upstream && table.shape == 0 && !self.state().touches(&table)?)
    }

    /// A read that is wrong in our eyes: the database is asked for its words. If it is right in
    /// the database's eyes, it is one that the overlay does not understand, and refused unless the
    /// database knows all of its tables.
    async fn refused_by_both(
        &self,
        operation: Operation,
        body: &Value,
        ours: Fault,
    ) -> Result<Bytes, Fault> {
        let error = match &ours {
            // A wrong type is one for every database.
            Fault::Service(error) if error.code != ErrorCode::Serialization => error,
            _ => return Err(ours),
        };
        let Some(read) = ReadOperation::of(operation) else { return Err(ours) };
        // Of a table that the program has made the database knows nothing, or another one.
        let named = body.as_object().map(|body| Outline::of(operation, body).tables());
        let named = named.unwrap_or_default();
        if named.is_empty() || named.iter().any(|table| self.schemas.is_own(plain_name(table))) {
            return Err(ours);
        }
        match self.upstream.read(read, body).await {
            // AWS does not look for the table of a request that is wrong in itself.
            Err(fault) if fault.is_upstream("ResourceNotFoundException") => return Err(ours),
            answer => answer?,
        };
        let mut unchanged = operation.class() == Class::DataRead;
        for table in named {
            unchanged = unchanged && self.is_unchanged(table).await?;
        }
        if unchanged {
            return self.forward(read, body).await;
        }
        let name = operation.name();
        Err(Fault::refused(
            format!(
                "The guard's dry run cannot simulate this {name}: it finds the request invalid \
                 ({}), and the database accepts it.",
                error.message
            ),
            "the dry run finds a request invalid that the database accepts",
        ))
    }
}

/// Begins the refusal of what is not simulated, which is named next.
const NOT_SIMULATED: &str = "The guard's dry run does not simulate ";

/// Ends it.
const REJECTED: &str = ", so it rejects the call.";

/// What a refusal names as not simulated, if it is such a one.
pub fn not_simulated_in(message: &str) -> Option<&str> {
    message.strip_prefix(NOT_SIMULATED)?.strip_suffix(REJECTED)
}

/// The refusal of an operation that cannot be simulated exactly.
fn not_simulated(operation: Operation) -> Fault {
    let name = operation.name();
    Fault::refused(format!("{NOT_SIMULATED}{name}{REJECTED}"), "a dry run does not simulate it yet")
}
