//! What a decision rests on: [`observe`] reads it from the API server; the rest reads it off the
//! objects that were found, without IO and without a clock.

pub mod answers;
pub mod counts;
pub mod dependencies;
pub mod holders;
pub mod indexes;
pub mod namespace;
pub mod news;
pub mod observe;
pub mod occupants;
pub mod owned;
pub mod paging;
pub mod queue;
pub mod recorders;
pub mod references;
pub mod runs;
pub mod sources;
pub mod view;
pub mod waiting;
