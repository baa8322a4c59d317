//! The layers around one DynamoDB operation.
//!
//! A [`Call`] goes down through policy and limits to either the overlay (dry run) or the journal's
//! seam and upstream (apply); its [`Answer`] returns the same way. No HTTP server and no flags
//! here.

mod answer_members;
pub mod archive;
pub mod call;
mod error_name;
pub mod fault;
mod fresh_name;
pub mod identity;
mod item_reads;
pub mod journal;
mod layers;
pub mod limits;
mod overlay;
pub mod restore;
mod retry_pacing;
mod stack;
pub mod upstream;

pub use dm_dynamodb::operation;

pub use crate::call::{Answer, Call, Invocation};
pub use crate::fault::Fault;
pub use crate::operation::{Class, Operation, ReadOperation};
pub use crate::overlay::{DifferenceError, DifferenceParts, KeptError, Values};
pub use crate::retry_pacing::{Reach, RetryPacing, Throttle};
pub use crate::stack::{Before, Engine, EngineOptions, OpenError, SecondPassError, Start, Usage};
pub use crate::upstream::{CallTimes, CredentialSource};
