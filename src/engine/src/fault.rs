//! Why a call was not carried out: DynamoDB's own errors, the guard's refusals, the database's
//! answers passed on. Each becomes an answer in DynamoDB's form.

use bytes::Bytes;
use dm_dynamodb::error::{ErrorCode, ServiceError};

use crate::call::Answer;
use crate::error_name::{TRANSACTION_IN_PROGRESS, error_name};

/// Why a call was not carried out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// DynamoDB's own error, found by the guard.
    #[error("answered with {}", .0.code.name())]
    Service(#[from] ServiceError),
    /// The guard does not allow the call, or cannot simulate it. It becomes a remark.
    #[error("refused: {why}")]
    Refused {
        /// For the program: what to do about it.
        message: String,
        /// For the report, in one sentence, without names from the request.
        why: String,
    },
    /// The database's error, as it came.
    #[error("the database answered with status {status}")]
    Upstream { status: u16, body: Bytes },
    /// The database asked to slow down for longer than the guard can hold a request.
    #[error("the database throttles")]
    Throttled,
    /// The run's own limits, or a pause, have held the request for as long as its client may wait.
    #[error("the run's limits or a pause held it")]
    Limited,
    /// The guard stops, and has not sent it.
    #[error("the guard is stopping")]
    Stopping,
    /// The journal's entry could not be made durable in time, so the write was not sent.
    #[error("not journaled: {0}")]
    NotJournaled(String),
    /// The request could not be sent: no connection, no credentials.
    #[error("the database could not be reached: {0}")]
    NotSent(String),
    /// The database did not answer, or not in DynamoDB's protocol. A write may have been carried
    /// out.
    #[error("the database did not answer: {0}")]
    Unavailable(String),
}

impl Fault {
    /// A parameter is wrong; the message is DynamoDB's.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::Service(ServiceError::validation(message))
    }

    /// A call that the guard rejects; `why` is for the report.
    pub fn refused(message: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), why: why.into() }
    }

    /// Whether this answer alone says that the call was not carried out. A status of 5xx, no
    /// answer, and a token's transaction that still runs do not, whatever else the answer says.
    pub fn is_certain(&self) -> bool {
        match self {
            Self::Upstream { status, .. } => {
                *status < 500 && !self.is_upstream(TRANSACTION_IN_PROGRESS)
            }
            Self::Service(_)
            | Self::Refused { .. }
            | Self::Throttled
            | Self::Limited
            | Self::Stopping
            | Self::NotJournaled(_)
            | Self::NotSent(_) => true,
            Self::Unavailable(_) => false,
        }
    }

    /// The name of the database's error, if it is one.
    pub fn upstream_name(&self) -> Option<String> {
        match self {
            Self::Upstream { body, .. } => error_name(body),
            Self::Service(_)
            | Self::Refused { .. }
            | Self::Throttled
            | Self::Limited
            | Self::Stopping
            | Self::NotJournaled(_)
            | Self::NotSent(_)
            | Self::Unavailable(_) => None,
        }
    }

    /// Whether it is the database's error of this name.
    pub fn is_upstream(&self, name: &str) -> bool {
        self.upstream_name().as_deref() == Some(name)
    }
}

impl Fault {
    /// Whether the database does not take the request, or an action of a transaction.
    pub fn is_refusal(&self) -> bool {
        let Self::Upstream { body, .. } = self else { return false };
        match error_name(body).as_deref() {
            Some("ValidationException") => true,
            Some("TransactionCanceledException") => {
                let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
                let reasons = body.get("CancellationReasons").and_then(serde_json::Value::as_array);
                let code = |reason: &serde_json::Value| reason.get("Code").cloned();
                reasons.into_iter().flatten().any(|r| code(r) == Some("ValidationError".into()))
            }
            _ => false,
        }
    }
}

impl From<Fault> for Answer {
    fn from(fault: Fault) -> Self {
        let error = match fault {
            Fault::Upstream { status, body } => {
                return Self { status, body, retry_after_s: None };
            }
            Fault::Service(error) => error,
            Fault::Refused { message, .. } => ServiceError::new(ErrorCode::AccessDenied, message),
            Fault::Throttled => ServiceError::new(
                ErrorCode::ProvisionedThroughputExceeded,
                "The database throttles, and the guard has waited for it as long as it can.",
            ),
            Fault::Limited => ServiceError::new(
                ErrorCode::ProvisionedThroughputExceeded,
                "The rate limits of the run, or a pause, have held this request for as long as the \
                 guard can hold one. Nothing was sent.",
            ),
            Fault::Stopping => ServiceError::new(
                ErrorCode::InternalServerError,
                "The guard is stopping, and has not sent this request.",
            ),
            Fault::NotJournaled(why) => ServiceError::new(
                ErrorCode::ProvisionedThroughputExceeded,
                format!(
                    "The guard has not sent this write, because it could not journal it: {why}"
                ),
            ),
            Fault::NotSent(message) => ServiceError::new(
                ErrorCode::InternalServerError,
                format!("The guard could not send this request to the database: {message}"),
            ),
            Fault::Unavailable(message) => ServiceError::new(
                ErrorCode::InternalServerError,
                format!("The guard got no answer from the database: {message}"),
            ),
        };
        let throttled = error.code == ErrorCode::ProvisionedThroughputExceeded;
        Self {
            status: error.status(),
            body: Bytes::from(error.to_json().to_string()),
            retry_after_s: throttled.then_some(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_database_is_passed_on_as_it_came() {
        let body =
            Bytes::from_static(br#"{"__type":"x#ResourceNotFoundException","Message":"no"}"#);
        let fault = Fault::Upstream { status: 400, body: body.clone() };
        assert!(fault.is_upstream("ResourceNotFoundException"));
        assert!(!fault.is_upstream("ValidationException"));
        let answer = Answer::from(fault);
        assert_eq!((answer.status, answer.body), (400, body));
    }

    #[test]
    fn an_answer_is_certain_unless_the_write_may_have_been_carried_out() {
        let check = |fault: Fault, certain| assert_eq!(fault.is_certain(), certain, "{fault:?}");
        let upstream = |status, name: &str| Fault::Upstream {
            status,
            body: Bytes::from(format!(r#"{{"__type":"x#{name}"}}"#)),
        };
        check(upstream(400, "ConditionalCheckFailedException"), true);
        check(upstream(400, TRANSACTION_IN_PROGRESS), false);
        check(upstream(500, "ValidationException"), false);
        check(upstream(503, "ThrottlingException"), false);
        check(Fault::Throttled, true);
        check(Fault::Limited, true);
        check(Fault::Stopping, true);
        check(Fault::NotSent("refused".into()), true);
        check(Fault::Unavailable("cut".into()), false);
    }

    #[test]
    fn a_refusal_is_an_access_denied_that_sdks_do_not_retry() {
        let answer = Answer::from(Fault::refused("no: see spec.policy", "not allowed"));
        assert_eq!(answer.status, 400);
        assert!(answer.is_final());
        assert_eq!(error_name(&answer.body).as_deref(), Some("AccessDeniedException"));
    }

    #[test]
    fn a_throttle_carries_the_time_to_come_back_and_is_not_remembered() {
        let answer = Answer::from(Fault::Throttled);
        assert_eq!(answer.retry_after_s, Some(1));
        assert!(!answer.is_final());
    }
}
