//! TransactWriteItems: writes and checks of items, all or none of which are carried out.

use serde_json::{Map, Value};

use super::members::{CapacityLevel, collection_metrics, given, listed};
use super::write::SingleWrite;
use crate::error::ServiceError;
use crate::idempotency::ClientToken;
use crate::item_write::ChangeKind;

type Result<T> = std::result::Result<T, ServiceError>;

/// The parameter that lists the actions.
pub const ACTIONS: &str = "TransactItems";

/// What an action may have; DynamoDB ignores anything else.
pub const ACTION_MEMBERS: [&str; 8] = [
    "TableName",
    "Key",
    "Item",
    "UpdateExpression",
    "ConditionExpression",
    "ExpressionAttributeNames",
    "ExpressionAttributeValues",
    "ReturnValuesOnConditionCheckFailure",
];

/// The kinds of an action, by the member that holds its parameters.
const KINDS: [(&str, ChangeKind); 4] = [
    ("ConditionCheck", ChangeKind::Check),
    ("Put", ChangeKind::Put),
    ("Delete", ChangeKind::Delete),
    ("Update", ChangeKind::Update),
];

#[derive(Clone, Debug, PartialEq)]
pub struct TransactWrite {
    /// Its actions, in its order.
    pub actions: Vec<SingleWrite>,
    pub token: Option<ClientToken>,
    /// How much of its capacity is asked for.
    pub capacity: CapacityLevel,
    /// Whether the sizes of item collections are asked for.
    pub collection_metrics: bool,
}

impl TransactWrite {
    pub(super) fn decode(body: &Map<String, Value>) -> Result<Self> {
        let decode = |action: Result<_>| {
            let (kind, parameters) = one_action(action.map_err(|_| not_one())?)?;
            SingleWrite::action(kind, parameters)
        };
        Ok(Self {
            actions: listed(body, ACTIONS).map(decode).collect::<Result<_>>()?,
            token: ClientToken::of(body, ACTIONS)?,
            capacity: CapacityLevel::of(body),
            collection_metrics: collection_metrics(body),
        })
    }
}

/// The one kind that an action gives, with its parameters.
pub fn one_action(action: &Map<String, Value>) -> Result<(ChangeKind, &Map<String, Value>)> {
    let mut found = KINDS
        .into_iter()
        .filter_map(|(name, kind)| Some((kind, given(action, name)?.as_object()?)));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) | (Some(_), Some(_)) => Err(not_one()),
    }
}

/// What stands for an action that gives none of its kinds, or several.
fn not_one() -> ServiceError {
    ServiceError::validation("TransactItems can only contain one of Check, Put, Update or Delete")
}
