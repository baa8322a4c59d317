//! Calls that create, change, delete or list tables and their settings: what they ask for. What
//! AWS checks only once it has found the table is a method of the part that it is about.

mod create;
mod indexes;
mod keys;
mod settings;
mod throughput;
mod update;

use serde_json::{Map, Value};

pub use create::CreateTable;
pub use indexes::{Index, Projection, check_global_count, check_included};
pub use keys::{Definitions, KeyElement, KeyOf, definitions_by_name};
pub use settings::{Tags, UpdateBackups, UpdateTimeToLive, check_tag_count};
pub use throughput::{BillingMode, Highest, Stream, Units, index_units, table_units};
pub use update::{IndexChange, UpdateTable};

use super::members::{count, given, missing, string, text, texts};
use super::model::{Member, Shape};
use super::model_of;
use crate::error::ServiceError;
use crate::operation::{Class, Operation};

type Result<T> = std::result::Result<T, ServiceError>;

/// A call that changes tables or their settings.
#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    CreateTable(Box<CreateTable>),
    UpdateTable(Box<UpdateTable>),
    /// The table as the request names it.
    DeleteTable(String),
    UpdateTimeToLive(UpdateTimeToLive),
    UpdateBackups(UpdateBackups),
    /// TagResource or UntagResource.
    ChangeTags {
        /// The table's ARN.
        resource: String,
        add: Tags,
        /// The keys of tags.
        remove: Vec<String>,
    },
    /// A call with a member that is not known here. The member may change what the others mean, so
    /// only their types and limits are checked.
    Unknown {
        member: String,
        /// The operation or structure that has the member.
        of: &'static str,
    },
}

/// A call that lists tables or tags.
#[derive(Clone, Debug, PartialEq)]
pub enum Listing {
    Tables {
        limit: Option<u32>,
        /// The name after which the list begins.
        start: Option<String>,
    },
    Tags {
        /// The token of the page before.
        token: Option<String>,
    },
}

impl Control {
    /// Whether calls of an operation are decoded.
    pub fn decodes(operation: Operation) -> bool {
        matches!(
            operation,
            Operation::CreateTable
                | Operation::UpdateTable
                | Operation::DeleteTable
                | Operation::UpdateTimeToLive
                | Operation::UpdateContinuousBackups
                | Operation::TagResource
                | Operation::UntagResource
        )
    }

    /// Decodes a call whose types and limits were checked; `None` for other operations.
    pub(super) fn decode(operation: Operation, body: &Map<String, Value>) -> Result<Option<Self>> {
        let (Class::ControlPlaneWrite, Some((_, members))) =
            (operation.class(), model_of(operation))
        else {
            return Ok(None);
        };
        if let Some(unknown) = unknown(operation.name(), members, body) {
            return Ok(Some(unknown));
        }
        Ok(Some(match operation {
            Operation::CreateTable => Self::CreateTable(Box::new(CreateTable::decode(body)?)),
            Operation::UpdateTable => Self::UpdateTable(Box::new(UpdateTable::decode(body)?)),
            Operation::DeleteTable => Self::DeleteTable(string(body, "TableName")),
            Operation::UpdateTimeToLive => Self::UpdateTimeToLive(UpdateTimeToLive::decode(body)?),
            Operation::UpdateContinuousBackups => Self::UpdateBackups(UpdateBackups::decode(body)?),
            // Neither has the other's member: it would be unknown.
            Operation::TagResource | Operation::UntagResource => {
                let is_tag = operation == Operation::TagResource;
                let member = if is_tag { "Tags" } else { "TagKeys" };
                given(body, member).ok_or_else(|| missing(member))?;
                let (add, remove) = (settings::tags(body)?, texts(body, "TagKeys")?);
                Self::ChangeTags { resource: string(body, "ResourceArn"), add, remove }
            }
            _ => return Ok(None),
        }))
    }
}

impl Listing {
    pub(super) fn tables(body: &Map<String, Value>) -> Result<Self> {
        let start = text(body, "ExclusiveStartTableName").map(str::to_owned);
        Ok(Self::Tables { limit: count(body, "Limit")?, start })
    }

    pub(super) fn tags(body: &Map<String, Value>) -> Self {
        Self::Tags { token: text(body, "NextToken").map(str::to_owned) }
    }
}

/// The error that DynamoDB introduces with half a sentence.
fn invalid<T>(message: impl std::fmt::Display) -> Result<T> {
    Err(ServiceError::invalid_parameter(message))
}

/// Finds a member that the model does not have.
fn unknown(
    of: &'static str,
    members: &'static [Member],
    body: &Map<String, Value>,
) -> Option<Control> {
    body.iter().filter(|(_, value)| !value.is_null()).find_map(|(name, value)| {
        match members.iter().find(|member| member.name == name) {
            Some(member) => unknown_in(&member.shape, value),
            None => Some(Control::Unknown { member: name.clone(), of }),
        }
    })
}

fn unknown_in(shape: &'static Shape, value: &Value) -> Option<Control> {
    match (shape, value) {
        (Shape::Structure(kind, members), Value::Object(body)) => unknown(kind, members, body),
        (Shape::List(element, _), Value::Array(values)) => {
            values.iter().find_map(|value| unknown_in(element, value))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
