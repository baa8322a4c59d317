//! The language of transforms: migrations that are declared instead of programmed.
//!
//! Pure: no IO, no clock, no database. [`Transform::parse`] checks a declaration once, with every
//! lookup file at hand; [`Transform::evaluate`] then says what becomes of one item; [`write`] turns
//! that into one conditional request. The runner (`dm-runner`) scans and sends.
//!
//! ```
//! use dm_dynamodb::value::{item_from_json, item_to_json};
//! use dm_transform::{Evaluation, Source, Transform};
//! use serde_json::json;
//!
//! let source: Source = serde_json::from_value(json!({
//!     "table": "cars",
//!     "filter": "attribute_not_exists(price) AND weight > 1000",
//!     "set": {"price": "round_to(12 * if_not_exists(horsepower, displacement / 2), 50)"},
//! }))?;
//! let transform = Transform::parse(&source, &Default::default())?;
//! let car = item_from_json(&json!({
//!     "id": {"S": "a"}, "weight": {"N": "3504"}, "displacement": {"N": "307"},
//! }))?;
//! let now = dm_dynamodb::value::Number::ZERO;
//! let Evaluation::Update(after) = transform.evaluate(&car, now)? else { panic!("no update") };
//! assert_eq!(item_to_json(&after)["price"], json!({"N": "1850"}));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ast;
mod condition;
mod convert;
mod error;
mod evaluate;
mod function;
mod hint;
mod json_text;
mod kind;
mod limits;
mod lookup;
#[cfg(test)]
mod mistakes;
mod number;
mod parse;
mod pattern;
mod place;
mod source;
mod statement;
mod text;
mod time;
mod token;
mod transform;
pub mod write;

pub use error::{ItemError, SpecError};
pub use lookup::Files;
pub use source::{DECLARATION_VERSION, Declaration, OnItemError, Source, To};
pub use statement::Statement;
pub use transform::{Evaluation, Transform};
