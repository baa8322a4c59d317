//! Tests: engine and guard against a real database, DynamoDB Local by default.
//!
//! `DYNAMODB_ENDPOINT` names it; `cargo xtask test` starts one. Each suite of cases runs against
//! the database itself, through a guard in apply mode, and through guards in dry run.

// A test may panic, and so may its helpers; futures of tests live on the test's own stack.
#![allow(clippy::unwrap_used, clippy::large_futures)]
// Short helpers that are called with literals, and types that a test builds once.
#![allow(
    clippy::needless_pass_by_value,
    clippy::option_option,
    clippy::format_collect,
    clippy::large_enum_variant
)]

mod absence;
mod archive;
mod batch_capacity;
mod bed;
mod cases;
mod cli;
mod cli_edges;
mod cli_journal;
mod cli_report;
mod control;
mod credentials;
mod differential;
mod fault_matrix;
mod faults;
mod front;
mod guard;
mod hostile;
mod identity;
mod interrupted;
mod item_limits;
mod journal;
mod journal_ahead;
mod journal_effects;
mod journal_errors;
mod journal_speed;
mod journal_units;
mod journal_writer;
mod kill;
mod kill_ahead;
mod kill_parts;
mod kill_transform;
mod local;
mod memory;
mod overlay_report;
mod pages;
mod part_processes;
mod partiql;
mod parts;
mod pod;
mod processes;
mod read_while_changed;
mod readme;
mod restore;
mod restore_cli;
mod scan_positions;
mod sdk;
mod sdks;
mod shorthand;
mod single_table;
mod suite;
mod table_lock;
mod table_names;
mod tables_changed;
mod target_check;
mod tls;
mod transform;
mod transform_batches;
mod transform_cli;
mod transform_held;
mod transform_items;
mod transform_retry;
mod transform_throttled;
mod transform_unsure;
mod wrong_requests;
