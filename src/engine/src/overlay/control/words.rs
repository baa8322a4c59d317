//! The words in which DynamoDB refuses calls of the control plane. They are for the program, which
//! may print or match them.

use dm_dynamodb::error::{ErrorCode, ServiceError};

/// A call on an index that is not there.
pub fn no_index(name: &str, table: &str) -> ServiceError {
    ServiceError::new(
        ErrorCode::ResourceNotFound,
        format!("Requested resource not found: Index: {name} of table: {table} not found"),
    )
}

/// A table is to be created, and is there.
pub fn table_exists(name: &str) -> ServiceError {
    ServiceError::new(ErrorCode::ResourceInUse, format!("Table already exists: {name}"))
}

/// A table is being created, changed or deleted by somebody else.
pub fn in_use(name: &str, status: &str) -> ServiceError {
    ServiceError::new(
        ErrorCode::ResourceInUse,
        format!(
            "Attempt to change a resource which is still in use: Table: {name} is in the state \
             {status}"
        ),
    )
}

/// More than one index is to be built or removed at once.
pub fn one_index_at_once() -> ServiceError {
    ServiceError::new(
        ErrorCode::LimitExceeded,
        "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously \
         per table",
    )
}
