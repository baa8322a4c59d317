//! Pure core: values, keys, expressions, plan, report, limits. No async, no IO, no clock.
//!
//! What DynamoDB does with one item, without DynamoDB:
//!
//! - [`value`]: [`value::AttributeValue`], [`value::Item`], [`value::Number`]; from and to the wire's
//!   JSON with DynamoDB's checks; sizes.
//! - [`schema`]: [`schema::TableSchema`] from DescribeTable; [`schema::ItemKey`], whose bytes sort as
//!   DynamoDB sorts.
//! - [`expression`]: [`expression::Condition`] (also filters), [`expression::KeyCondition`],
//!   [`expression::Projection`], [`expression::Update`].
//! - [`parameters`]: all expressions of one request at once, or the older parameters ([`legacy`]) in
//!   their place.
//! - [`request`]: what AWS says of a request before it looks for the table.
//! - [`difference`]: what happened between two images of an item.
//! - [`journal`]: what a run did to items, written down before it happens; [`restore`]: how one item is
//!   put back.
//! - [`partiql`]: statements, parsed into the same conditions and updates.
//! - [`idempotency`]: when a request repeats another.
//! - [`identity`]: whether a recorded run was of the same program, database and tables.
//! - [`error`]: [`error::ServiceError`], which becomes the body of an answer.
//!
//! ```
//! use dm_core::expression::{Condition, ExpressionKind, Placeholders, Update};
//! use dm_core::value::{item_from_json, item_to_json};
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
//! # Ok::<(), dm_core::error::ServiceError>(())
//! ```

pub mod control;
pub mod difference;
pub mod error;
pub mod expression;
pub mod glob;
pub mod idempotency;
pub mod identity;
pub mod journal;
pub mod legacy;
pub mod limits;
pub mod parameters;
pub mod partiql;
pub mod plan;
pub mod program_files;
pub mod program_log;
pub mod report;
pub mod request;
pub mod restore;
pub mod restored;
pub mod schema;
pub mod unchanged;
pub mod value;
pub mod verdict;
