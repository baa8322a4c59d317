//! What the target's owner allows: operations and tables. Pure; it neither asks nor sends.

use crate::limits;
use dm_contract::glob;
use dm_contract::plan::{Mode, Policy as PolicyPlan, RunId};
use dm_dynamodb::request::control::Control;
use dm_dynamodb::table_name::plain_name;

use crate::call::Call;
use crate::fault::Fault;
use crate::operation::{Class, Operation};

#[derive(Clone, Debug)]
pub struct Policy {
    plan: PolicyPlan,
    mode: Mode,
    settings: Settings,
}

/// Where a policy is set, as users know it.
#[derive(Clone, Copy, Debug)]
struct Settings {
    tables: &'static str,
    /// Why a call that changes tables is rejected.
    control_plane: &'static str,
}

/// In a cluster: fields of an object.
const FIELDS: Settings = Settings {
    tables: "MigrationTarget spec.policy.tables",
    control_plane: "MigrationTarget spec.policy.controlPlane does not allow it",
};

/// Without one: flags of the command line.
const FLAGS: Settings =
    Settings { tables: "--tables", control_plane: "--control-plane is needed to allow it" };

/// Said of an operation that a dry run would reject all the same.
const NOT_SIMULATED: &str = ", and a dry run does not simulate it";

impl Policy {
    /// The policy of a plan.
    pub fn new(plan: PolicyPlan, run: &RunId, mode: Mode) -> Self {
        // Only runs of a cluster have a namespace.
        let settings = if run.namespace.is_empty() { FLAGS } else { FIELDS };
        Self { plan, mode, settings }
    }

    /// Whether item values may appear in reports.
    pub fn shows_values(&self) -> bool {
        self.plan.show_values
    }

    /// Whether the call may pass: its operation, then each of its tables.
    pub fn check(&self, call: &Call) -> Result<(), Fault> {
        let (operation, field) = (call.operation, self.settings.tables);
        self.check_operation(call)?;
        let tables = call.outline().tables();
        for table in &tables {
            self.check_table(operation, table)?;
        }
        self.check_statements(call)?;
        let names_none = tables.is_empty() && operation.class() == Class::ControlPlaneWrite;
        if names_none && !self.plan.tables.is_empty() {
            return Err(Fault::refused(
                format!(
                    "The guard rejects {}: it names no table that {field} could allow.",
                    operation.name()
                ),
                format!("names no table that {field} could allow"),
            ));
        }
        Ok(())
    }

    /// Statements name their tables in their text. One that is not understood may name any.
    fn check_statements(&self, call: &Call) -> Result<(), Fault> {
        if self.plan.tables.is_empty() {
            return Ok(());
        }
        let (name, field) = (call.operation.name(), self.settings.tables);
        for one in call.statements()? {
            let statement = one.statement.as_ref().map_err(|error| {
                Fault::refused(
                    format!(
                        "The guard rejects {name}: it does not understand the statement, so it \
                         does not know whether {field} allows its table. {}",
                        error.message
                    ),
                    "a statement is not understood",
                )
            })?;
            self.check_table(call.operation, statement.table())?;
        }
        Ok(())
    }

    /// The first of some tables, by its name, that may not be touched, and where that is set.
    pub fn excluded<'t>(
        &self,
        tables: impl IntoIterator<Item = &'t String>,
    ) -> Option<(&'t str, &'static str)> {
        let excluded = tables.into_iter().find(|table| !self.allows(table))?;
        Some((excluded, self.settings.tables))
    }

    fn allows(&self, table: &str) -> bool {
        let globs = &self.plan.tables;
        globs.is_empty() || globs.iter().any(|glob| glob::matches(glob, table))
    }

    /// Whether this table may be touched, by its name or ARN.
    fn check_table(&self, operation: Operation, table: &str) -> Result<(), Fault> {
        let (name, field) = (plain_name(table), self.settings.tables);
        if self.allows(name) {
            return Ok(());
        }
        let quoted = quoted(name);
        Err(Fault::refused(
            format!(
                "The guard rejects {} on table {quoted}: {field} does not allow it.",
                operation.name()
            ),
            format!("table {quoted} is not allowed by {field}"),
        ))
    }

    fn check_operation(&self, call: &Call) -> Result<(), Fault> {
        let operation = call.operation;
        let (name, denied) = (operation.name(), self.settings.control_plane);
        match operation.class() {
            Class::AlwaysDenied => Err(Fault::refused(
                format!(
                    "The guard rejects {name}: the database itself would write the items, which \
                     can be neither simulated nor journaled. Write them one by one or in batches."
                ),
                "writes items on the database's side, which can be neither simulated nor journaled",
            )),
            Class::ControlPlaneWrite if lets_data_out(call) => Err(Fault::refused(
                format!(
                    "The guard rejects {name}: it can make data readable outside of the target's \
                     account or region. Do it outside of a migration."
                ),
                "it can make data readable outside of the target's account or region",
            )),
            Class::ControlPlaneWrite if unknown_member(call).is_some() => {
                let member = unknown_member(call).map(quoted).unwrap_or_default();
                Err(Fault::refused(
                    format!(
                        "The guard rejects {name} with {member}: this parameter is not known to \
                         keep the data in the target's account and region. Do it outside of a \
                         migration."
                    ),
                    "a parameter is not known to keep the data in the account and region",
                ))
            }
            // In a dry run too: it must not succeed where the applied run would be denied.
            Class::ControlPlaneWrite if !self.plan.control_plane => {
                let is_foreign = self.mode == Mode::DryRun && !Control::decodes(operation);
                let also = if is_foreign { NOT_SIMULATED } else { "" };
                let why = format!("{denied}{also}");
                Err(Fault::refused(format!("The guard rejects {name}: {why}."), why))
            }
            Class::MetadataRead if operation == Operation::DescribeEndpoints => {
                Err(Fault::refused(
                    "The guard rejects DescribeEndpoints: with its answer the client would bypass \
                     the guard.",
                    "with its answer the client would bypass the guard",
                ))
            }
            Class::ControlPlaneWrite | Class::MetadataRead | Class::DataRead | Class::DataWrite => {
                Ok(())
            }
        }
    }
}

/// Whether a call would export data, replicate it, or let others read it. A permission to change
/// tables is none for this, whoever may grant it.
fn lets_data_out(call: &Call) -> bool {
    let has = |member: &str| call.outline().gives(member);
    match call.operation {
        Operation::CreateGlobalTable
        | Operation::DeleteResourcePolicy
        | Operation::EnableKinesisStreamingDestination
        | Operation::ExportTableToPointInTime
        | Operation::PutResourcePolicy
        | Operation::UpdateGlobalTable => true,
        Operation::CreateTable => has("ResourcePolicy") || has("GlobalTableSourceArn"),
        Operation::UpdateTable => has("ReplicaUpdates") || has("GlobalTableWitnessUpdates"),
        _ => false,
    }
}

/// A parameter of a call that makes or changes a table of which it is not known that it keeps the
/// data where it is. DynamoDB gets new ones; those of today are in the service model (botocore
/// 1.44.8), and the tests name those that are left out.
fn unknown_member(call: &Call) -> Option<&str> {
    let known: &[&str] = match call.operation {
        Operation::CreateTable => &CREATE_MEMBERS,
        Operation::UpdateTable => &UPDATE_MEMBERS,
        Operation::RestoreTableFromBackup | Operation::RestoreTableToPointInTime => {
            &RESTORE_MEMBERS
        }
        _ => return None,
    };
    call.outline().members().find(|member| !known.contains(member))
}

const CREATE_MEMBERS: [&str; 15] = [
    "AttributeDefinitions",
    "BillingMode",
    "DeletionProtectionEnabled",
    "GlobalSecondaryIndexes",
    "KeySchema",
    "LocalSecondaryIndexes",
    "OnDemandThroughput",
    "ProvisionedThroughput",
    "SSESpecification",
    "StreamSpecification",
    "TableClass",
    "TableName",
    "Tags",
    "VectorIndexes",
    "WarmThroughput",
];

const UPDATE_MEMBERS: [&str; 12] = [
    "AttributeDefinitions",
    "BillingMode",
    "DeletionProtectionEnabled",
    "GlobalSecondaryIndexUpdates",
    "OnDemandThroughput",
    "ProvisionedThroughput",
    "SSESpecification",
    "StreamSpecification",
    "TableClass",
    "TableName",
    "VectorIndexUpdates",
    "WarmThroughput",
];

/// Of RestoreTableFromBackup and RestoreTableToPointInTime.
const RESTORE_MEMBERS: [&str; 13] = [
    "BackupArn",
    "BillingModeOverride",
    "GlobalSecondaryIndexOverride",
    "LocalSecondaryIndexOverride",
    "OnDemandThroughputOverride",
    "ProvisionedThroughputOverride",
    "RestoreDateTime",
    "SSESpecificationOverride",
    "SourceTableArn",
    "SourceTableName",
    "TargetTableName",
    "UseLatestRestorableTime",
    "VectorIndexOverride",
];

/// A name from a request, cut to a bearable length, for a message.
fn quoted(name: &str) -> String {
    let cut: String = name.chars().take(limits::QUOTED_BYTES_MAX).collect();
    format!("{cut:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn refusal(plan: &PolicyPlan, operation: Operation, body: Value) -> Option<String> {
        let Value::Object(body) = body else { unreachable!() };
        let call = Call::new(operation, body);
        match Policy::new(plan.clone(), &run("shop"), Mode::Apply).check(&call) {
            Ok(()) => None,
            Err(Fault::Refused { message, .. }) => Some(message),
            Err(other) => Some(format!("not a refusal: {other}")),
        }
    }

    fn run(namespace: &str) -> RunId {
        RunId { namespace: namespace.into(), name: "m".into(), uid: "u".into(), number: 1 }
    }

    fn plan(tables: &[&str], control_plane: bool) -> PolicyPlan {
        let tables = tables.iter().map(ToString::to_string).collect();
        PolicyPlan { tables, control_plane, show_values: false, ..PolicyPlan::default() }
    }

    #[test]
    fn a_denial_names_operation_table_and_the_field_that_would_allow_it() {
        let message =
            refusal(&plan(&["cars"], false), Operation::PutItem, json!({"TableName": "bikes"}))
                .unwrap();
        for part in ["PutItem", "\"bikes\"", "MigrationTarget spec.policy.tables"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn without_a_cluster_a_denial_names_the_flag() {
        let message = |mode, operation, table: &str| {
            let policy = Policy::new(plan(&["cars"], false), &run(""), mode);
            let Value::Object(body) = json!({"TableName": table}) else { unreachable!() };
            match policy.check(&Call::new(operation, body)) {
                Err(Fault::Refused { message, .. }) => message,
                other => panic!("{other:?}"),
            }
        };
        let denied = message(Mode::DryRun, Operation::PutItem, "bikes");
        assert!(denied.contains(": --tables does not allow it"), "{denied}");
        let denied = message(Mode::DryRun, Operation::DeleteTable, "cars");
        assert!(denied.ends_with(": --control-plane is needed to allow it."), "{denied}");
        // The flag alone would lead to the next rejection.
        let denied = message(Mode::DryRun, Operation::CreateBackup, "cars");
        assert!(denied.ends_with("to allow it, and a dry run does not simulate it."), "{denied}");
        let denied = message(Mode::Apply, Operation::CreateBackup, "cars");
        assert!(denied.ends_with(": --control-plane is needed to allow it."), "{denied}");
    }

    #[test]
    fn every_table_of_a_batch_is_checked_and_arns_are_names() {
        let allowed = plan(&["cars"], false);
        let arn = "arn:aws:dynamodb:eu-west-1:1:table/cars";
        let get = |tables: Value| refusal(&allowed, Operation::BatchGetItem, tables);
        assert_eq!(get(json!({"RequestItems": {"cars": {}, arn: {}}})), None);
        assert!(get(json!({"RequestItems": {"cars": {}, "bikes": {}}})).is_some());
    }

    #[test]
    fn statements_are_checked_by_the_table_in_their_text() {
        let allowed = plan(&["cars"], false);
        let execute =
            |text: &str| refusal(&allowed, Operation::ExecuteStatement, json!({"Statement": text}));
        assert_eq!(execute("SELECT * FROM cars"), None);
        assert_eq!(execute("DELETE FROM \"cars\" WHERE id = 'a'"), None);
        assert!(execute("DELETE FROM bikes WHERE id = 'a'").is_some());
        assert!(execute("FROB cars").is_some());
        let both = json!({"Statements": [
            {"Statement": "SELECT * FROM cars WHERE id = 'a'"},
            {"Statement": "INSERT INTO bikes VALUE {'id': ?}", "Parameters": [{"S": "a"}]},
        ]});
        assert!(refusal(&allowed, Operation::BatchExecuteStatement, both).is_some());
    }

    #[test]
    fn control_plane_writes_need_their_field_and_bulk_writes_never_pass() {
        let create = json!({"TableName": "new"});
        let check = |plan: &PolicyPlan, operation| refusal(plan, operation, create.clone());
        assert!(check(&plan(&[], false), Operation::CreateTable).is_some());
        assert_eq!(check(&plan(&[], true), Operation::CreateTable), None);
        assert!(check(&plan(&["old"], true), Operation::CreateTable).is_some());
        assert!(check(&plan(&[], true), Operation::ImportTable).is_some());
        assert!(check(&plan(&[], true), Operation::StartBulkPutItems).is_some());
        assert_eq!(check(&plan(&[], false), Operation::DescribeTable), None);
        assert!(check(&plan(&[], true), Operation::DescribeEndpoints).is_some());
    }

    #[test]
    fn a_permission_for_tables_is_none_to_let_data_out() {
        let check = |operation, more: Value, refused: bool| {
            let mut body = json!({"TableName": "cars"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let found = refusal(&plan(&["cars"], true), operation, body);
            assert_eq!(found.is_some(), refused, "{operation:?} {more}: {found:?}");
        };
        for operation in [
            Operation::CreateGlobalTable,
            Operation::DeleteResourcePolicy,
            Operation::EnableKinesisStreamingDestination,
            Operation::ExportTableToPointInTime,
            Operation::PutResourcePolicy,
            Operation::UpdateGlobalTable,
        ] {
            check(operation, json!({}), true);
        }
        check(Operation::CreateTable, json!({"ResourcePolicy": "{}"}), true);
        check(Operation::CreateTable, json!({"ResourcePolicy": null}), false);
        let replica = json!({"ReplicaUpdates": [{"Create": {"RegionName": "us-east-1"}}]});
        check(Operation::UpdateTable, replica, true);
        check(Operation::UpdateTable, json!({"GlobalTableWitnessUpdates": []}), true);
        check(Operation::UpdateTable, json!({"BillingMode": "PAY_PER_REQUEST"}), false);
        check(Operation::CreateBackup, json!({"BackupName": "b"}), false);
        let source = json!({"GlobalTableSourceArn": "arn:aws:dynamodb:r:444455556666:table/cars"});
        check(Operation::CreateTable, source, true);
    }

    /// Members of the service model (botocore 1.44.8) that are on no list, and those of tomorrow.
    #[test]
    fn a_parameter_that_is_on_no_list_is_refused_by_name() {
        let check = |operation: Operation, members: &[&str]| {
            let name = if operation.creates_table() && operation != Operation::CreateTable {
                "TargetTableName"
            } else {
                "TableName"
            };
            for other in members.iter().copied().chain(["MembersOfTomorrow"]) {
                let body = json!({name: "cars", other: "x"});
                let found = refusal(&plan(&["cars"], true), operation, body).expect(other);
                let let_out = found.contains("outside of the target's account");
                assert!(let_out || found.contains(other), "{found}");
                let absent = json!({name: "cars", other: null});
                assert_eq!(refusal(&plan(&["cars"], true), operation, absent), None);
            }
        };
        check(
            Operation::CreateTable,
            &["GlobalTableSettingsReplicationMode", "GlobalTableSourceArn", "ResourcePolicy"],
        );
        check(
            Operation::UpdateTable,
            &[
                "DisassociationProtectionEnabled",
                "GlobalTableSettingsReplicationMode",
                "GlobalTableWitnessUpdates",
                "MultiRegionConsistency",
                "ReplicaUpdates",
            ],
        );
        check(Operation::RestoreTableFromBackup, &[]);
        check(Operation::RestoreTableToPointInTime, &[]);
    }
}
