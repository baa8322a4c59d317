//! The layers around one DynamoDB operation.
//!
//! A [`Call`] goes down through policy and limits to either the overlay (dry run) or the journal's
//! seam and upstream (apply); its [`Answer`] comes back up. No HTTP server and no flags here.

mod answer_members;
mod apply;
pub mod archive;
mod arns;
pub mod call;
mod earlier;
pub mod fault;
mod hex;
pub mod identity;
pub mod journal;
pub mod ledger;
pub mod limits;
mod metering;
pub mod operation;
mod outages;
mod overlay;
pub mod policy;
mod rates;
mod replay;
pub mod restore;
mod stack;
pub mod table_lock;
mod tables;
mod tally;
mod to_its_end;
pub mod upstream;

pub use call::{Answer, Call, Invocation};
pub use fault::Fault;
pub use operation::{Class, Operation, ReadOperation};
pub use overlay::{DifferenceError, DifferenceParts, Values};
pub use stack::{Engine, OpenError, SecondPassError, Start};
pub use upstream::{CallTimes, CredentialSource};
