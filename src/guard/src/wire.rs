//! Between HTTP and calls: what is let in, and how answers look. Denies by default; decides nothing
//! about operations or tables.

mod foreign;
mod response;

use std::io::Read as _;

use bytes::Bytes;
use dm_core::error::{ErrorCode, ServiceError};
use dm_core::limits;
use dm_engine::upstream::{CONTENT_TYPE, TARGET_PREFIX};
use dm_engine::{Answer, Call, Class, Invocation, Operation};
use http::{HeaderMap, Method, header, request};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

pub use foreign::ForeignCall;
pub use response::{Body, answered, plain};

/// A request that does not become a call.
#[derive(Debug)]
pub enum NotACall {
    /// For another service than DynamoDB.
    Foreign(ForeignCall),
    /// Not DynamoDB's protocol, or not an operation of its.
    Wrong(ServiceError),
    /// Larger than the service takes.
    TooLarge,
    /// A load balancer's or a person's look at whether somebody is there.
    Ping,
}

/// What the head of a request asks for.
pub fn operation(head: &request::Parts) -> Result<Operation, NotACall> {
    if let Some(foreign) = ForeignCall::recognise(head) {
        return Err(NotACall::Foreign(foreign));
    }
    let targets: Vec<_> = head.headers.get_all("x-amz-target").iter().collect();
    if head.method == Method::GET && targets.is_empty() && head.uri.path() == "/" {
        return Err(NotACall::Ping);
    }
    let unknown =
        |why: &str| NotACall::Wrong(ServiceError::new(ErrorCode::UnknownOperation, why.to_owned()));
    if head.method != Method::POST || head.uri.path() != "/" {
        return Err(unknown("DynamoDB's operations are POST requests to /."));
    }
    let [target] = targets.as_slice() else {
        return Err(unknown("Exactly one X-Amz-Target header is needed."));
    };
    if !is_json_1_0(&head.headers) {
        return Err(unknown(
            "Exactly one Content-Type header, application/x-amz-json-1.0, is needed.",
        ));
    }
    target
        .to_str()
        .ok()
        .and_then(|target| target.strip_prefix(TARGET_PREFIX))
        .and_then(Operation::named)
        .ok_or_else(|| unknown("No such operation of DynamoDB_20120810 is known to the guard."))
}

fn is_json_1_0(headers: &HeaderMap) -> bool {
    let types: Vec<_> = headers.get_all(header::CONTENT_TYPE).iter().collect();
    let [content_type] = types.as_slice() else { return false };
    let essence = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(CONTENT_TYPE)
}

/// How many bytes the body may have, as far as the head tells; too many are refused unread.
pub fn announced_bytes(headers: &HeaderMap) -> Result<usize, NotACall> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let inflates = headers.contains_key(header::CONTENT_ENCODING);
    match announced.and_then(|text| text.parse::<usize>().ok()) {
        Some(bytes) if bytes > limits::REQUEST_BODY_BYTES_MAX => Err(NotACall::TooLarge),
        Some(bytes) if !inflates => Ok(bytes),
        Some(_) | None => Ok(limits::REQUEST_BODY_BYTES_MAX),
    }
}

/// The call of a request read whole.
pub fn call(operation: Operation, headers: &HeaderMap, body: Bytes) -> Result<Call, NotACall> {
    let body = inflated(headers, body)?;
    let parameters: Map<String, Value> = serde_json::from_slice(&body)
        .map_err(|_| serialization("The request's body is not a JSON object."))?;
    let invocation = invocation(operation, headers, &body);
    Ok(Call { operation, body: parameters, invocation })
}

fn serialization(why: &str) -> NotACall {
    NotACall::Wrong(ServiceError::serialization(why))
}

fn inflated(headers: &HeaderMap, body: Bytes) -> Result<Bytes, NotACall> {
    let encoding = match headers.get(header::CONTENT_ENCODING) {
        None => return Ok(body),
        Some(encoding) => encoding.to_str().unwrap_or_default().trim().to_ascii_lowercase(),
    };
    match encoding.as_str() {
        "" | "identity" => return Ok(body),
        "gzip" => {}
        _ => return Err(serialization("The only known Content-Encoding is gzip.")),
    }
    let bytes_max = limits::REQUEST_BODY_INFLATED_BYTES_MAX;
    let mut inflated = Vec::new();
    flate2::read::MultiGzDecoder::new(body.as_ref())
        .take(bytes_max as u64 + 1)
        .read_to_end(&mut inflated)
        .map_err(|_| serialization("The request's body is not gzip."))?;
    if inflated.len() > bytes_max { Err(NotACall::TooLarge) } else { Ok(Bytes::from(inflated)) }
}

/// Reads are not remembered: doing them again does no harm, and their answers are large.
fn invocation(operation: Operation, headers: &HeaderMap, body: &[u8]) -> Option<Invocation> {
    if operation.class() != Class::DataWrite {
        return None;
    }
    let id = headers.get("amz-sdk-invocation-id")?.to_str().ok()?;
    if id.is_empty() || id.len() > limits::INVOCATION_ID_BYTES_MAX {
        return None;
    }
    let mut hasher = Sha256::new();
    hasher.update(operation.name().as_bytes());
    hasher.update([0]);
    hasher.update(body);
    Some(Invocation { id: id.to_owned(), digest: hasher.finalize().into() })
}

impl From<NotACall> for Answer {
    fn from(not: NotACall) -> Self {
        match not {
            NotACall::Wrong(error) => Self {
                status: error.status(),
                body: Bytes::from(error.to_json().to_string()),
                retry_after_s: None,
            },
            NotACall::TooLarge => Self {
                status: 413,
                body: Bytes::from_static(
                    br#"{"__type":"com.amazon.coral.service#RequestEntityTooLargeException","message":"The request is larger than 16 MB."}"#,
                ),
                retry_after_s: None,
            },
            NotACall::Foreign(foreign) => foreign.answer(),
            NotACall::Ping => Self::ok(Bytes::from_static(b"{}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use std::io::Write as _;

    fn head(headers: &[(&str, &str)]) -> request::Parts {
        let mut request = Request::post("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    const JSON: (&str, &str) = ("content-type", CONTENT_TYPE);

    fn check(headers: &[(&str, &str)], expected: Option<Operation>) {
        let found = operation(&head(headers));
        match (found, expected) {
            (Ok(found), Some(expected)) => assert_eq!(found, expected),
            (Err(NotACall::Wrong(error)), None) => {
                assert_eq!(error.code, ErrorCode::UnknownOperation, "{headers:?}");
            }
            (found, expected) => panic!("{headers:?}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn one_known_target_and_the_right_content_type_are_let_in() {
        let target = |value| ("x-amz-target", value);
        check(&[JSON, target("DynamoDB_20120810.GetItem")], Some(Operation::GetItem));
        check(
            &[
                ("content-type", "application/x-amz-json-1.0; charset=utf-8"),
                target("DynamoDB_20120810.Scan"),
            ],
            Some(Operation::Scan),
        );
        check(&[JSON], None);
        check(&[JSON, target("DynamoDB_20111205.GetItem")], None);
        check(&[JSON, target("DynamoDB_20120810.getitem")], None);
        check(&[JSON, target("DynamoDB_20120810.GetItem,DynamoDB_20120810.PutItem")], None);
        check(
            &[JSON, target("DynamoDB_20120810.GetItem"), target("DynamoDB_20120810.PutItem")],
            None,
        );
        check(&[target("DynamoDB_20120810.GetItem")], None);
        check(&[("content-type", "application/json"), target("DynamoDB_20120810.GetItem")], None);
    }

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        Bytes::from(encoder.finish().unwrap())
    }

    #[test]
    fn a_compressed_body_is_inflated_up_to_the_bound() {
        let headers = head(&[("content-encoding", "gzip")]).headers;
        let read = |body| call(Operation::GetItem, &headers, body);
        assert_eq!(read(gzip(br#"{"a":1}"#)).unwrap().body["a"], 1);
        let bomb = gzip(&vec![b' '; limits::REQUEST_BODY_INFLATED_BYTES_MAX + 1]);
        assert!(matches!(read(bomb), Err(NotACall::TooLarge)));
        assert!(matches!(read(Bytes::from_static(b"{}")), Err(NotACall::Wrong(_))));
    }

    #[test]
    fn a_body_that_is_no_object_is_a_serialization_error() {
        let headers = HeaderMap::new();
        let deep = "[".repeat(1_000_000);
        for body in ["", "[]", "{", "1", "{\"a\":\"\u{0}\"}", deep.as_str()] {
            let read = call(Operation::GetItem, &headers, Bytes::from(body.to_owned()));
            assert!(matches!(read, Err(NotACall::Wrong(_))), "{}", &body[..body.len().min(20)]);
        }
        let not_utf8 = Bytes::from_static(b"{\"a\":\"\xff\"}");
        assert!(call(Operation::GetItem, &headers, not_utf8).is_err());
    }

    #[test]
    fn only_writes_have_an_invocation_and_it_is_bound_to_the_body() {
        let headers = head(&[("amz-sdk-invocation-id", "i")]).headers;
        let read = |operation, body: &'static [u8]| {
            call(operation, &headers, Bytes::from_static(body)).unwrap().invocation
        };
        assert_eq!(read(Operation::GetItem, b"{}"), None);
        assert_eq!(read(Operation::PutItem, b"{}"), read(Operation::PutItem, b"{}"));
        assert_ne!(read(Operation::PutItem, b"{}"), read(Operation::PutItem, b"{ }"));
        assert_ne!(read(Operation::PutItem, b"{}"), read(Operation::DeleteItem, b"{}"));
    }
}
