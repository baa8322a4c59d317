//! Calls of other services that end here, because the program's `AWS_ENDPOINT_URL` is the guard's
//! address: refused by the service's name, in a form that its SDK can show.

use bytes::Bytes;
use dm_engine::Answer;
use http::{header, request};

use super::credential::signed_service;

/// How a service's SDK reads errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    S3Xml,
    QueryXml,
}

/// A call of another service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignCall {
    /// The service's signing name, such as `s3`, or what could be found instead.
    pub service: String,
    /// The operation, as far as the head of the request names it; else its method.
    pub operation: String,
    form: Form,
}

impl ForeignCall {
    /// Recognises another service by its signature's scope, or by its target.
    pub fn recognise(head: &request::Parts) -> Option<Self> {
        let whole = head.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
        let (target, operation) = match whole.and_then(|target| target.split_once('.')) {
            Some((target, operation)) => (Some(target), Some(operation)),
            None => (None, None),
        };
        // Clients that derive the service from the host find none in an address.
        let scope = signed_service(head).filter(|service| !service.is_empty());
        let service = match (scope.as_deref(), target) {
            (_, Some(target)) if target.starts_with("DynamoDBStreams_") => "streams.dynamodb",
            (Some("dynamodb"), _) | (None, None) => return None,
            (None, Some(target)) if target.starts_with("DynamoDB_") => return None,
            (Some(service), _) => service,
            (None, Some(target)) => target,
        };
        let service = name_of(service);
        let operation = name_of(operation.unwrap_or(head.method.as_str()));
        let content_type = head.headers.get(header::CONTENT_TYPE);
        let form_encoded = content_type.is_some_and(|value| {
            value.as_bytes().starts_with(b"application/x-www-form-urlencoded")
        });
        let form = match service.as_str() {
            "s3" | "s3express" => Form::S3Xml,
            _ if form_encoded => Form::QueryXml,
            _ => Form::Json,
        };
        Some(Self { service, operation, form })
    }

    /// The refusal, in words.
    pub fn message(&self) -> String {
        format!(
            "The guard of this migration serves DynamoDB only and rejected a call of {}. Nothing \
             was sent to that service. Calls of other services cannot be simulated in a dry run, \
             journaled or restored: make them outside of this migration.",
            self.service
        )
    }

    /// The refusal, as the service's SDK reads errors.
    pub fn answer(&self) -> Answer {
        let message = self.message();
        let body = match self.form {
            Form::Json => {
                serde_json::json!({"__type": "AccessDeniedException", "message": message})
                    .to_string()
            }
            Form::S3Xml => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code>\
                 <Message>{message}</Message></Error>"
            ),
            Form::QueryXml => format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
                 <Message>{message}</Message></Error></ErrorResponse>"
            ),
        };
        Answer { status: 403, body: Bytes::from(body), retry_after_s: None }
    }
}

/// Names go into messages: only what names of services and operations are made of.
fn name_of(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c)).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn check(headers: &[(&str, &str)], expected: Option<(&str, Form)>) {
        let mut request = Request::post("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let head = request.body(()).unwrap().into_parts().0;
        let found = ForeignCall::recognise(&head);
        let found = found.as_ref().map(|call| (call.service.as_str(), call.form));
        assert_eq!(found, expected, "{headers:?}");
    }

    #[test]
    fn the_operation_is_named_as_far_as_the_head_names_it() {
        let named = |target: Option<&str>, service: &str| {
            let mut request = Request::put("/bucket/key").header("authorization", signed(service));
            if let Some(target) = target {
                request = request.header("x-amz-target", target);
            }
            let head = request.body(()).unwrap().into_parts().0;
            ForeignCall::recognise(&head).unwrap().operation
        };
        assert_eq!(named(Some("AmazonSQS.SendMessage"), "sqs"), "SendMessage");
        assert_eq!(named(None, "s3"), "PUT");
        assert_eq!(named(Some("AmazonSQS.<b>"), "sqs"), "b");
    }

    fn signed(service: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential=AK/20261201/eu-west-1/{service}/aws4_request, Signed…="
        )
        .replace('…', "")
    }

    #[test]
    fn other_services_are_known_by_scope_or_target() {
        let s3 = signed("s3");
        check(&[("authorization", &s3)], Some(("s3", Form::S3Xml)));
        let sts = signed("sts");
        let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        check(&[("authorization", &sts), form], Some(("sts", Form::QueryXml)));
        let sqs = signed("sqs");
        check(
            &[("authorization", &sqs), ("x-amz-target", "AmazonSQS.SendMessage")],
            Some(("sqs", Form::Json)),
        );
        let dynamodb = signed("dynamodb");
        check(
            &[
                ("authorization", &dynamodb),
                ("x-amz-target", "DynamoDBStreams_20120810.ListStreams"),
            ],
            Some(("streams.dynamodb", Form::Json)),
        );
        check(&[("x-amz-target", "AWSEvents.PutEvents")], Some(("AWSEvents", Form::Json)));
    }

    #[test]
    fn dynamodb_signed_or_not_is_not_foreign() {
        let dynamodb = signed("dynamodb");
        let target = ("x-amz-target", "DynamoDB_20120810.GetItem");
        check(&[("authorization", &dynamodb), target], None);
        check(&[("authorization", &signed("")), target], None);
        check(&[target], None);
        check(&[], None);
    }
}
