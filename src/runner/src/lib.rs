//! Runs a transform over an engine: a scan in many segments, one pool of writers, checkpoints.
//!
//! Each request goes through the engine like a program's, so policy, limits, overlay, journal,
//! metering and progress need nothing here. What becomes of an item is `dm-transform`'s to say.

mod batch;
mod beginning;
mod change;
mod checkpoint;
mod going;
mod limits;
mod occupied;
mod page;
mod position;
mod queue;
mod rate;
mod request;
mod run;
mod saving;
mod scan;
mod segments;
mod split;
mod tables;
mod tally;
mod visits;

pub use beginning::recall;
pub use checkpoint::Checkpoints;
pub use limits::SECOND_PASS_LATER_S;
pub use request::RequestError;
pub use run::{Settings, run};
pub use split::Share;
