//! Requests that are wrong in themselves, whatever their table is: AWS answers these before it looks
//! for the table. The overlay and the journal answer in its place, and so must check in its order.

use dm_dynamodb::error::{ErrorCode, ServiceError};
use dm_dynamodb::request;
use serde_json::{Map, Value};

use crate::fault::Fault;
use crate::operation::Operation;

/// Checks types and limits of all members of a request.
pub fn check_members(operation: Operation, body: &Map<String, Value>) -> Result<(), ServiceError> {
    request::check_members(operation.name(), body)
}

/// What AWS answers to a request that came to this fault here. Costs as much as reading the request
/// again, so only requests that fail are looked at twice.
pub fn first(operation: Operation, body: &Value, fault: Fault) -> Fault {
    if !may_come_later(&fault) {
        return fault;
    }
    request::check(operation.name(), body).err().map_or(fault, Fault::Service)
}

/// Whether AWS finds what is wrong with a request itself before it finds this. What was found while the
/// item was being looked at is told of requests that were right.
fn may_come_later(fault: &Fault) -> bool {
    match fault {
        Fault::Service(error) => matches!(
            error.code,
            ErrorCode::Validation
                | ErrorCode::RequestValidation
                | ErrorCode::Serialization
                | ErrorCode::ResourceNotFound
        ),
        Fault::Upstream { .. } => fault.is_upstream("ResourceNotFoundException"),
        Fault::Refused { .. }
        | Fault::Throttled
        | Fault::NotJournalled(_)
        | Fault::NotSent(_)
        | Fault::Unavailable(_) => false,
    }
}
