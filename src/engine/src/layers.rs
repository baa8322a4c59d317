//! The layers between a call and the overlay or the database, in the order in which a call meets
//! them: [`policy`], [`arns`], [`rates`]; [`replay`] around writes; [`apply`] and [`metering`]
//! above the database; [`tally`] and [`outages`] count what became of it.

pub mod apply;
pub mod arns;
pub mod completion;
pub mod metering;
pub mod outages;
pub mod policy;
pub mod rates;
pub mod replay;
pub mod tally;
