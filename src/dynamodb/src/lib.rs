//! What is true of DynamoDB: values, keys, expressions, requests. No async, no IO, no clock.
//!
//! What DynamoDB does with one item, without DynamoDB:
//!
//! - [`value`]: [`value::AttributeValue`], [`value::Item`], [`value::Number`]; from and to the
//!   wire's JSON with DynamoDB's checks; sizes.
//! - [`schema`]: [`schema::TableSchema`] from DescribeTable; [`schema::ItemKey`], whose bytes sort
//!   as DynamoDB sorts.
//! - [`expression`]: [`expression::Condition`] (also filters), [`expression::KeyCondition`],
//!   [`expression::Projection`], [`expression::Update`].
//! - [`parameters`]: all expressions of one request at once, or the older parameters ([`legacy`])
//!   in their place.
//! - [`operation`]: the operations of the service, and what each may do.
//! - [`request`]: a request, decoded once: what AWS says of it before it looks for the table; and
//!   [`request::Outline`], what a body says of its tables and items whether or not it is right.
//! - [`table_name`]: a table named by name or ARN.
//! - [`item_write`]: one write of one item, and what it makes of an image.
//! - [`difference`]: what happened between two images of an item; [`changed_item`]: its line in a
//!   report.
//! - [`journal`]: what a run did to items, written down before it happens; [`restore`]: how one
//!   item is restored.
//! - [`partiql`]: statements, parsed into the same conditions and updates.
//! - [`idempotency`]: when a request repeats another.
//! - [`error`]: [`error::ServiceError`], which becomes the body of an answer.
//!
//! ```
//! use dm_dynamodb::expression::{Condition, ExpressionKind, Placeholders, Update};
//! use dm_dynamodb::value::{item_from_json, item_to_json};
//! use serde_json::json;
//!
//! let item = item_from_json(&json!({"id": {"S": "a"}, "stock": {"N": "3"}}))?;
//! let values = json!({":one": {"N": "1"}});
//!
//! let mut placeholders = Placeholders::from_json(None, Some(&values))?;
//! let update = Update::parse("SET stock = stock - :one", &mut placeholders)?;
//! let kind = ExpressionKind::Condition;
//! let condition = Condition::parse(kind, "stock >= :one", &mut placeholders)?;
//! placeholders.check_all_used()?;
//!
//! assert!(condition.matches(&item));
//! let outcome = update.apply(&item)?;
//! assert_eq!(item_to_json(&outcome.item)["stock"], json!({"N": "2"}));
//! # Ok::<(), dm_dynamodb::error::ServiceError>(())
//! ```

pub mod changed_item;
pub mod difference;
pub mod error;
pub mod expression;
pub mod idempotency;
pub mod item_write;
pub mod journal;
pub mod legacy;
pub mod operation;
pub mod parameters;
pub mod partiql;
#[cfg(test)]
mod random;
pub mod request;
pub mod restore;
pub mod schema;
pub mod table_name;
pub mod unchanged;
pub mod value;
