//! What crosses a process boundary: the plan of a run, its results, the guard's control. No
//! DynamoDB, no async, no IO, no clock. Types that are sent carry a version and have a golden file.
//!
//! - [`plan`]: what a run's pod is to do, from the operator.
//! - [`report`]: the results of guard and program; [`restored`]: the result of a restore.
//! - [`verdict`]: the ledger's answer before a run begins.
//! - [`check`]: what a check of a target found.
//! - [`control`]: limits and pause of a running guard.
//! - [`program_files`]: the digest of a program's files; [`program_log`]: the files of its output.
//! - [`identity`]: whether a recorded run was of the same program, database and tables.
//! - [`part`]: one pod's part of a run that is spread over pods.
//! - [`interpreters`]: what runs a script, by its suffix.
//! - [`addresses`], [`glob`], [`error_chain`], [`limits`], [`sha256`]: what the processes share
//!   otherwise.

pub mod addresses;
pub mod check;
pub mod control;
pub mod error_chain;
pub mod glob;
pub mod identity;
pub mod interpreters;
pub mod limits;
pub mod part;
pub mod plan;
pub mod program_files;
pub mod program_log;
pub mod report;
pub mod restored;
pub mod sha256;
pub mod transform;
pub mod verdict;
pub mod visible;
