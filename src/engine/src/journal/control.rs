//! Calls that change tables themselves. They have no image, so no restore undoes them; but as any
//! write they have the lock of their table, an entry in the ledger and one in the journal, which a
//! restore and its preview name.

use std::collections::BTreeSet;

use bytes::Bytes;
use dm_dynamodb::request;

use crate::call::Call;
use crate::fault::Fault;
use crate::journal::{Journal, Settlement};
use crate::operation::Operation;
use crate::tables::{plain_name, tables_named};

impl Journal {
    /// Carries out a call that creates, changes or deletes tables.
    pub(in crate::journal) async fn change_tables(&self, call: Call) -> Result<Bytes, Fault> {
        // In one order, so that two who want several never wait for each other.
        let named: BTreeSet<&str> = tables_named(call.body()).into_iter().map(plain_name).collect();
        let tables: Vec<String> = named.into_iter().map(str::to_owned).collect();
        // Before the locks, whose names are the tables': what cannot be a name is the program's
        // mistake, and not the archive's.
        call.request().map_err(Clone::clone)?;
        tables.iter().try_for_each(|table| request::check_table_name(table))?;
        // First: a run that gives way must not keep a table from the one that goes on.
        self.hold_presence(&tables).await?;
        let writer = self.writer().await?;
        for table in &tables {
            self.tables.hold(table).await?;
        }
        let operation = call.operation;
        let sequence = writer.append_control(operation.name(), tables.clone()).await?;
        let answer = self.send(operation, call.into_body()).await;
        match &answer {
            Ok(_) => {
                writer.settle(sequence, Settlement::Written);
                if operation == Operation::DeleteTable {
                    tables.iter().for_each(|table| self.effects.table_deleted(table));
                }
            }
            Err(fault) if fault.is_certain() => writer.settle(sequence, Settlement::Refused),
            Err(_) => {}
        }
        self.images.forget_tables();
        answer
    }
}
