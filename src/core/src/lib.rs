//! Pure core: values, keys, expressions, plan, report, limits. No async, no IO, no clock.

pub mod error;
pub mod limits;
pub mod plan;
pub mod report;
pub mod schema;
pub mod value;
