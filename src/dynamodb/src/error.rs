//! The errors DynamoDB answers with: their names, their words, and their JSON on the wire.
//!
//! A message goes to the program that sent the request, in DynamoDB's words, which sometimes repeat
//! parts of the request. It must not be logged or put into events: log [`ErrorCode::name`] instead.

use serde_json::{Map, Value, json};

use crate::value::{Item, item_to_json};

/// DynamoDB's name of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The caller may not do this.
    AccessDenied,
    /// A condition was not met.
    ConditionalCheckFailed,
    /// Backups of a table are not there yet.
    ContinuousBackupsUnavailable,
    /// A PartiQL INSERT met an item that exists.
    DuplicateItem,
    /// A token came back with another request.
    IdempotentParameterMismatch,
    /// The signature lacks a part, or its scope cannot be read.
    IncompleteSignature,
    InternalServerError,
    /// The signature is not for this service.
    InvalidSignature,
    /// An item collection of a table with local indexes is full.
    ItemCollectionSizeLimitExceeded,
    /// Too many operations at once on the control plane.
    LimitExceeded,
    /// The request was not signed.
    MissingAuthenticationToken,
    /// More than the table's provisioned throughput.
    ProvisionedThroughputExceeded,
    /// More than the account's throughput.
    RequestLimitExceeded,
    /// The table is in a state that does not allow this.
    ResourceInUse,
    /// No such table or index.
    ResourceNotFound,
    /// The body is not what the service model says.
    Serialization,
    /// No such table, as calls about its backups say.
    TableNotFound,
    /// The service is away.
    ServiceUnavailable,
    /// More than the table's throughput, on demand.
    Throttling,
    /// A transaction was canceled; the reasons say why.
    TransactionCanceled,
    /// Another transaction works on the item.
    TransactionConflict,
    /// The transaction of this token still runs.
    TransactionInProgress,
    /// No such operation.
    UnknownOperation,
    UnrecognizedClient,
    /// The request is wrong.
    Validation,
    /// The request is wrong in itself, whatever the table and the item are: the same error, which
    /// some operations introduce with a count of what was detected.
    RequestValidation,
}

const MODEL: &str = "com.amazonaws.dynamodb.v20120810#";
const SERVICE: &str = "com.amazon.coral.service#";

impl ErrorCode {
    /// The name an SDK sees, such as `ValidationException`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDeniedException",
            Self::ConditionalCheckFailed => "ConditionalCheckFailedException",
            Self::ContinuousBackupsUnavailable => "ContinuousBackupsUnavailableException",
            Self::DuplicateItem => "DuplicateItemException",
            Self::IdempotentParameterMismatch => "IdempotentParameterMismatchException",
            Self::IncompleteSignature => "IncompleteSignatureException",
            Self::InternalServerError => "InternalServerError",
            Self::InvalidSignature => "InvalidSignatureException",
            Self::ItemCollectionSizeLimitExceeded => "ItemCollectionSizeLimitExceededException",
            Self::LimitExceeded => "LimitExceededException",
            Self::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Self::ProvisionedThroughputExceeded => "ProvisionedThroughputExceededException",
            Self::RequestLimitExceeded => "RequestLimitExceeded",
            Self::ResourceInUse => "ResourceInUseException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::Serialization => "SerializationException",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::TableNotFound => "TableNotFoundException",
            Self::Throttling => "ThrottlingException",
            Self::TransactionCanceled => "TransactionCanceledException",
            Self::TransactionConflict => "TransactionConflictException",
            Self::TransactionInProgress => "TransactionInProgressException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::UnrecognizedClient => "UnrecognizedClientException",
            Self::Validation | Self::RequestValidation => "ValidationException",
        }
    }

    /// What stands before the name in `__type`; SDKs cut it off at the `#`.
    fn namespace(self) -> &'static str {
        match self {
            Self::Validation | Self::RequestValidation => "com.amazon.coral.validate#",
            Self::Throttling => "com.amazon.coral.availability#",
            Self::AccessDenied
            | Self::IncompleteSignature
            | Self::InvalidSignature
            | Self::MissingAuthenticationToken
            | Self::Serialization
            | Self::ServiceUnavailable
            | Self::UnknownOperation
            | Self::UnrecognizedClient => SERVICE,
            _ => MODEL,
        }
    }

    /// The name as it is on the wire, in `__type`.
    pub fn full_name(self) -> String {
        format!("{}{}", self.namespace(), self.name())
    }

    /// The HTTP status it is answered with.
    pub fn status(self) -> u16 {
        match self {
            Self::InternalServerError => 500,
            Self::ServiceUnavailable => 503,
            _ => 400,
        }
    }

    /// The code of a cancellation reason (TransactWriteItems) or a batch statement's error that
    /// stands for this error, such as `ConditionalCheckFailed`.
    pub fn short_name(self) -> &'static str {
        match self {
            Self::Validation | Self::RequestValidation => "ValidationError",
            Self::Throttling => "ThrottlingError",
            _ => self.name().trim_end_matches("Exception"),
        }
    }

    /// The message's key: where the service model (or the framework in front of the service)
    /// spells it with a capital.
    fn message_key(self) -> &'static str {
        match self {
            Self::TransactionCanceled
            | Self::Serialization
            | Self::AccessDenied
            | Self::IdempotentParameterMismatch
            | Self::TransactionInProgress => "Message",
            _ => "message",
        }
    }
}

/// One error as DynamoDB answers it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}: {message}", code.name())]
pub struct ServiceError {
    pub code: ErrorCode,
    /// DynamoDB's words, for the program that sent the request.
    pub message: String,
    /// What some errors carry beside the message.
    pub extra: Option<Box<Extra>>,
}

/// What some errors carry beside the message.
#[derive(Clone, Debug, PartialEq)]
pub enum Extra {
    /// The item as it was, for `ReturnValuesOnConditionCheckFailure: ALL_OLD`.
    Item(Item),
    /// One reason for each action of a transaction, in their order.
    CancellationReasons(Vec<CancellationReason>),
}

/// Why one action of a transaction did not pass, or that it did.
#[derive(Clone, Debug, PartialEq)]
pub struct CancellationReason {
    /// `None`, `ConditionalCheckFailed`, `ValidationError`, …
    pub code: &'static str,
    /// DynamoDB's words; absent for `None`.
    pub message: Option<String>,
    /// The item as it was, where the action asked for it.
    pub item: Option<Item>,
}

impl CancellationReason {
    /// The action was not the reason.
    pub fn none() -> Self {
        Self { code: "None", message: None, item: None }
    }

    /// The error this action alone would have been answered with.
    pub fn of(error: ServiceError) -> Self {
        let item = match error.extra.map(|extra| *extra) {
            Some(Extra::Item(item)) => Some(item),
            Some(Extra::CancellationReasons(_)) | None => None,
        };
        Self { code: error.code.short_name(), message: Some(error.message), item }
    }

    fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("Code".to_owned(), self.code.into());
        if let Some(item) = &self.item {
            object.insert("Item".to_owned(), item_to_json(item));
        }
        if let Some(message) = &self.message {
            object.insert("Message".to_owned(), message.clone().into());
        }
        Value::Object(object)
    }
}

impl ServiceError {
    /// An error that carries a message only.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), extra: None }
    }

    /// The request is wrong.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Validation, message)
    }

    /// The request is wrong in the way DynamoDB introduces with this half sentence.
    pub fn invalid_parameter(message: impl std::fmt::Display) -> Self {
        Self::validation(format!("One or more parameter values were invalid: {message}"))
    }

    /// The request is wrong in itself.
    pub fn request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::RequestValidation, message)
    }

    /// A value of the request is wrong in itself.
    pub fn invalid_value(message: impl std::fmt::Display) -> Self {
        Self::request(format!("One or more parameter values were invalid: {message}"))
    }

    /// The error as those operations tell it that count what they detect.
    #[must_use]
    pub fn counted(self) -> Self {
        if self.code != ErrorCode::RequestValidation {
            return self;
        }
        let message = format!("1 validation error detected: {}", self.message);
        Self { code: ErrorCode::Validation, message, ..self }
    }

    /// The body's JSON is not of the service model's types.
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Serialization, message)
    }

    /// A condition was not met; with the item where the request asked for it.
    pub fn conditional_check_failed(item: Option<Item>) -> Self {
        Self {
            code: ErrorCode::ConditionalCheckFailed,
            message: "The conditional request failed".to_owned(),
            extra: item.map(|item| Box::new(Extra::Item(item))),
        }
    }

    /// A transaction was canceled; one reason for each of its actions.
    pub fn transaction_canceled(reasons: Vec<CancellationReason>) -> Self {
        let codes: Vec<&str> = reasons.iter().map(|reason| reason.code).collect();
        let message = format!(
            "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
            codes.join(", ")
        );
        let extra = Some(Box::new(Extra::CancellationReasons(reasons)));
        Self { code: ErrorCode::TransactionCanceled, message, extra }
    }

    /// The error inside a batch's answer to one of its PartiQL statements.
    pub fn to_statement_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("Code".to_owned(), self.code.short_name().into());
        object.insert("Message".to_owned(), self.message.clone().into());
        if let Some(Extra::Item(item)) = self.extra.as_deref() {
            object.insert("Item".to_owned(), item_to_json(item));
        }
        Value::Object(object)
    }

    /// No such table, as reads and writes of items answer.
    pub fn table_not_found() -> Self {
        Self::new(ErrorCode::ResourceNotFound, "Requested resource not found")
    }

    /// The HTTP status it is answered with.
    pub fn status(&self) -> u16 {
        self.code.status()
    }

    /// The body of the answer.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert(
            "__type".to_owned(),
            json!(format!("{}{}", self.code.namespace(), self.code.name())),
        );
        match self.extra.as_deref() {
            Some(Extra::Item(item)) => {
                object.insert("Item".to_owned(), item_to_json(item));
            }
            Some(Extra::CancellationReasons(reasons)) => {
                let reasons = reasons.iter().map(CancellationReason::to_json).collect();
                object.insert("CancellationReasons".to_owned(), Value::Array(reasons));
            }
            None => {}
        }
        object.insert(self.code.message_key().to_owned(), self.message.clone().into());
        Value::Object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::AttributeValue;

    fn check(error: &ServiceError, expected: &Value) {
        assert_eq!(error.to_json(), *expected);
    }

    #[test]
    fn validation_errors_carry_the_frameworks_namespace() {
        check(
            &ServiceError::validation("no"),
            &json!({"__type": "com.amazon.coral.validate#ValidationException", "message": "no"}),
        );
    }

    #[test]
    fn a_failed_condition_carries_the_item_when_asked_for() {
        let item = Item::from([("a".to_owned(), AttributeValue::S("x".to_owned()))]);
        check(
            &ServiceError::conditional_check_failed(Some(item)),
            &json!({
                "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
                "Item": {"a": {"S": "x"}},
                "message": "The conditional request failed",
            }),
        );
    }

    #[test]
    fn a_cancelled_transaction_lists_its_reasons_in_order() {
        let failed = CancellationReason::of(ServiceError::conditional_check_failed(None));
        let error = ServiceError::transaction_canceled(vec![CancellationReason::none(), failed]);
        check(
            &error,
            &json!({
                "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "CancellationReasons": [
                    {"Code": "None"},
                    {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"},
                ],
                "Message": "Transaction cancelled, please refer cancellation reasons for specific \
                            reasons [None, ConditionalCheckFailed]",
            }),
        );
    }

    #[test]
    fn a_statements_error_in_a_batch_has_its_short_name() {
        let item = Item::from([("a".to_owned(), AttributeValue::S("x".to_owned()))]);
        assert_eq!(
            ServiceError::conditional_check_failed(Some(item)).to_statement_json(),
            json!({
                "Code": "ConditionalCheckFailed",
                "Message": "The conditional request failed",
                "Item": {"a": {"S": "x"}},
            })
        );
    }

    #[test]
    fn reasons_of_other_errors_have_their_short_names() {
        let reason = CancellationReason::of(ServiceError::validation("x"));
        assert_eq!(reason.code, "ValidationError");
        assert_eq!(ErrorCode::DuplicateItem.short_name(), "DuplicateItem");
    }
}
