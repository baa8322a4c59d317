//! One attempt of a call: signed, sent, its answer read whole and judged.

use std::sync::atomic::Ordering;
use std::time::SystemTime;

use bytes::Bytes;
use dm_contract::error_chain::chain;
use http::{HeaderMap, StatusCode};
use http_body_util::Full;
use tokio::time::Instant;

use crate::error_name::error_name;
use crate::fault::Fault;
use crate::operation::Operation;
use crate::retry_pacing::Reach;
use crate::upstream::pool::ExchangeError;
use crate::upstream::{Access, Upstream, clock, partial};

/// How an attempt ended.
#[derive(Debug)]
pub enum Outcome {
    Answered(Bytes),
    /// With an error that will be the same next time.
    Failed(Fault),
    /// With a request to slow down; nothing was done. The program gets this error in the end.
    Throttled(Fault, Reach),
    /// Nothing was done, and the next attempt may succeed.
    NotCarriedOut(Fault),
    /// Nobody knows whether it was done.
    Unknown(Fault),
}

impl Outcome {
    /// Whether the database itself answered, and was well.
    fn is_answer(&self) -> bool {
        match self {
            Self::Answered(_) | Self::Throttled(..) => true,
            Self::Failed(fault) | Self::NotCarriedOut(fault) => {
                matches!(fault, Fault::Upstream { .. })
            }
            Self::Unknown(_) => false,
        }
    }
}

impl Upstream {
    /// Sends the call once, to be answered by this time at the latest.
    pub async fn attempt(
        &self,
        operation: Operation,
        access: Access,
        body: Bytes,
        until: Instant,
    ) -> Outcome {
        let credentials = match self.credentials.current().await {
            Ok(credentials) => credentials,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no credentials");
                return Outcome::NotCarriedOut(Fault::NotSent(chain(&error)));
            }
        };
        let now = self.clock.now();
        let signed = self.signer.request(&credentials, operation, body, now);
        let request = match signed {
            Ok(request) => request,
            Err(error) => return Outcome::Failed(Fault::NotSent(error.to_string())),
        };
        self.count(access);
        let outcome = self.exchange(request, now, until).await;
        if outcome.is_answer() {
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
        if let Outcome::NotCarriedOut(Fault::Upstream { body, .. }) = &outcome
            && error_name(body).as_deref() == Some("ExpiredTokenException")
        {
            self.credentials.forget(&credentials);
        }
        outcome
    }

    async fn exchange(
        &self,
        request: http::Request<Full<Bytes>>,
        signed_at: SystemTime,
        until: Instant,
    ) -> Outcome {
        let time_max = self.times().attempt.min(until.saturating_duration_since(Instant::now()));
        let response = match self.pool.exchange(request, time_max).await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "no answer");
                let why = chain(&error);
                return match error {
                    ExchangeError::NotSent(_) => Outcome::NotCarriedOut(Fault::NotSent(why)),
                    ExchangeError::Cut(_) | ExchangeError::Late => {
                        Outcome::Unknown(Fault::Unavailable(why))
                    }
                };
            }
        };
        let (head, body) = response.into_parts();
        if !crc_agrees(&head.headers, &body) {
            return Outcome::Unknown(Fault::Unavailable("answer damaged".into()));
        }
        match judge(head.status, body) {
            Outcome::Failed(fault)
                if fault.upstream_name().is_some_and(|name| clock::may_be_of_time(&name))
                    && self.clock.correct(&head.headers, signed_at) =>
            {
                Outcome::NotCarriedOut(fault)
            }
            outcome => outcome,
        }
    }
}

fn crc_agrees(headers: &HeaderMap, body: &[u8]) -> bool {
    let Some(header) = headers.get("x-amz-crc32") else { return true };
    header.to_str().ok().and_then(|text| text.parse().ok()) == Some(crc32fast::hash(body))
}

/// Errors that ask to slow down.
const THROTTLES: [&str; 3] =
    ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"];

/// The error of a transaction of which nothing was carried out.
const CANCELED: &str = "TransactionCanceledException";

/// What an answer says. With a status of 5xx the call may have been carried out, whatever name the
/// error has: a server in front of the database knows no more than that it got no answer.
fn judge(status: StatusCode, body: Bytes) -> Outcome {
    if status == StatusCode::OK {
        return Outcome::Answered(body);
    }
    let name = error_name(&body);
    let status = status.as_u16();
    match (status, name.as_deref()) {
        (500.., Some(_)) => Outcome::Unknown(Fault::Upstream { status, body }),
        (500.., None) => {
            Outcome::Unknown(Fault::Unavailable(format!("status {status} from a proxy")))
        }
        (400..500, Some(name)) if THROTTLES.contains(&name) => {
            Outcome::Throttled(Fault::Throttled, Reach::of(&body))
        }
        (400..500, Some(CANCELED)) if partial::is_throttled_transaction(&body) => {
            let reach = Reach::of(&body);
            Outcome::Throttled(Fault::Upstream { status, body }, reach)
        }
        (400..500, Some("ExpiredTokenException")) => {
            Outcome::NotCarriedOut(Fault::Upstream { status, body })
        }
        (400..500, Some(_)) => Outcome::Failed(Fault::Upstream { status, body }),
        (300..400, _) => Outcome::Failed(Fault::Unavailable(format!(
            "it redirects (status {status}), which is not followed"
        ))),
        _ => Outcome::Failed(Fault::Unavailable(format!(
            "status {status} without an error of DynamoDB's"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &'static str, expected: &str) {
        let outcome =
            judge(StatusCode::from_u16(status).unwrap(), Bytes::from_static(body.as_bytes()));
        let name = format!("{outcome:?}");
        assert!(name.starts_with(expected), "{status} {body}: {name}");
    }

    #[test]
    fn answers_are_judged_by_status_and_error_name() {
        check(200, "{}", "Answered");
        check(400, r#"{"__type":"a#ConditionalCheckFailedException"}"#, "Failed(Upstream");
        check(400, r#"{"__type":"a#ThrottlingException"}"#, "Throttled");
        check(400, r#"{"__type":"a#ProvisionedThroughputExceededException"}"#, "Throttled");
        check(400, r#"{"__type":"a#ExpiredTokenException"}"#, "NotCarriedOut");
        let canceled = r#"{"__type":"a#TransactionCanceledException","CancellationReasons":[
            {"Code":"None"},{"Code":"ThrottlingError"}]}"#;
        check(400, canceled, "Throttled(Upstream");
        let canceled = r#"{"__type":"a#TransactionCanceledException","CancellationReasons":[
            {"Code":"ConditionalCheckFailed"},{"Code":"ThrottlingError"}]}"#;
        check(400, canceled, "Failed(Upstream");
        check(500, r#"{"__type":"a#InternalServerError"}"#, "Unknown");
        check(503, r#"{"__type":"a#ServiceUnavailable"}"#, "Unknown");
        check(503, r#"{"__type":"a#ThrottlingException"}"#, "Unknown");
        check(500, r#"{"__type":"a#ExpiredTokenException"}"#, "Unknown");
        check(502, "<html>", "Unknown");
        check(500, "", "Unknown");
        check(302, "", "Failed(Unavailable");
        check(403, "<html>", "Failed(Unavailable");
    }

    #[test]
    fn a_damaged_answer_is_noticed() {
        let mut headers = HeaderMap::new();
        assert!(crc_agrees(&headers, b"{}"));
        headers.insert("x-amz-crc32", crc32fast::hash(b"{}").to_string().parse().unwrap());
        assert!(crc_agrees(&headers, b"{}"));
        assert!(!crc_agrees(&headers, b"{ }"));
    }
}
