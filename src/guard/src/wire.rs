//! Translates HTTP requests into calls, and answers into HTTP responses. Denies by default; decides
//! nothing about operations or tables.
//!
//! The order of checks, and answers without a message, are DynamoDB's own as its clients have
//! recorded them: method, content type, JSON, target, signature, body.

mod credential;
mod foreign;
mod response;

use std::io::Read as _;

use crate::limits;
use bytes::Bytes;
use dm_dynamodb::error::{ErrorCode, ServiceError};
use dm_dynamodb::idempotency;
use dm_dynamodb::value::{ParseError, parse_body};
use dm_engine::upstream::{CONTENT_TYPE, TARGET_PREFIX};
use dm_engine::{Answer, Call, Class, Invocation, Operation};
use http::uri::Authority;
use http::{HeaderMap, Method, Version, header, request};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::clients::Clients;
use credential::{Credential, Unsigned};
pub use foreign::ForeignCall;
pub use response::{Body, answered, plain};

/// The content type that hand-made clients and API gateways send.
const PLAIN_JSON: &str = "application/json";

/// What answers to wrong methods, paths and content types hold.
const NOT_FOUND: &[u8] = b"<UnknownOperationException/>\n";

/// Whom and for which database a guard serves.
#[derive(Clone, Debug)]
pub struct Serves {
    /// The region of the database.
    pub region: String,
    /// The regions that requests may be signed for.
    pub signed_for: Regions,
    pub clients: Clients,
}

/// Regions that requests may be signed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regions {
    /// That of the database.
    Its,
    /// Any: an embedded database has no other that a request could be meant for.
    Any,
}

/// A request that does not become a call.
#[derive(Debug)]
pub enum NotACall {
    /// For another service than DynamoDB.
    Foreign(ForeignCall),
    /// Signed for another region, or by a client that is not served.
    Denied(Denied),
    /// Not DynamoDB's protocol, or not an operation of its.
    Wrong(ServiceError),
    /// The same where DynamoDB's answer has no message.
    Bare(ErrorCode),
    /// Another method, path or content type.
    NotFound,
    /// Without a host, with several, or with one that cannot be.
    NoHost,
    /// Larger than the service takes.
    TooLarge,
    /// A health check by a load balancer or a person: the region.
    Ping(String),
}

/// A request that is signed for another region, or by another client.
#[derive(Debug)]
pub struct Denied {
    /// What it asks for.
    pub operation: Operation,
    /// What its client receives.
    pub error: ServiceError,
    /// For the report, in one sentence.
    pub why: String,
}

/// What the head of a request asks for.
#[derive(Debug)]
pub enum Asked {
    /// This, if the body is right.
    Call(Operation),
    /// Nothing that is done, and unless the body is no JSON, this is the answer.
    Refused(NotACall),
}

/// What the head of a request asks for; an error does not depend on the body.
pub fn asked(
    head: &request::Parts,
    has_body: bool,
    serves: &Serves,
) -> std::result::Result<Asked, NotACall> {
    if let Some(foreign) = ForeignCall::recognise(head) {
        return Err(NotACall::Foreign(foreign));
    }
    if head.method == Method::GET && ["/", "/ping"].contains(&head.uri.path()) {
        return Err(NotACall::Ping(serves.region.clone()));
    }
    if !has_host(head) {
        return Err(NotACall::NoHost);
    }
    let is_json = [CONTENT_TYPE, PLAIN_JSON].contains(&content_type(&head.headers));
    if head.method != Method::POST || head.uri.path() != "/" || (has_body && !is_json) {
        return Err(NotACall::NotFound);
    }
    announced_bytes(&head.headers)?;
    let operation = operation(&head.headers);
    Ok(match operation.and_then(|operation| signed_for_us(operation, head, serves)) {
        Ok(operation) => Asked::Call(operation),
        Err(not) => Asked::Refused(not),
    })
}

/// Whether a request says which host it is for: one of HTTP/1.1 must, once (RFC 9112, 3.2).
fn has_host(head: &request::Parts) -> bool {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => head.version < Version::HTTP_11,
        (Some(host), None) => host.to_str().is_ok_and(|host| host.parse::<Authority>().is_ok()),
        (Some(_), Some(_)) => false,
    }
}

fn operation(headers: &HeaderMap) -> Result<Operation, NotACall> {
    let targets: Vec<_> = headers.get_all("x-amz-target").iter().collect();
    let target = match targets.as_slice() {
        [target] => target.to_str().unwrap_or_default(),
        [] => return Err(NotACall::Bare(ErrorCode::UnknownOperation)),
        _ => {
            let why = "Exactly one X-Amz-Target header is needed.";
            return Err(NotACall::Wrong(ServiceError::new(ErrorCode::UnknownOperation, why)));
        }
    };
    if target.starts_with("DynamoDB_20111205.") {
        let why = "The guard serves DynamoDB_20120810 only, not the version before it.";
        return Err(NotACall::Wrong(ServiceError::new(ErrorCode::UnknownOperation, why)));
    }
    let operation = target.strip_prefix(TARGET_PREFIX).and_then(Operation::named);
    operation.ok_or(NotACall::Bare(ErrorCode::UnknownOperation))
}

/// The operation, if its request is signed for the database behind this guard, by a client that it
/// serves.
fn signed_for_us(
    operation: Operation,
    head: &request::Parts,
    serves: &Serves,
) -> Result<Operation, NotACall> {
    let credential = Credential::of(head)?;
    let denied = |code, message, why| {
        NotACall::Denied(Denied { operation, error: ServiceError::new(code, message), why })
    };
    let ours = &serves.region;
    let foreign = match serves.signed_for {
        Regions::Its => credential.foreign_region(ours),
        Regions::Any => None,
    };
    if let Some(theirs) = foreign {
        let theirs = named(theirs);
        return Err(denied(
            ErrorCode::AccessDenied,
            format!(
                "The guard of this migration serves DynamoDB in {ours} only, and this {} is signed \
                 for the region \"{theirs}\". It was sent to neither. Create the client without a \
                 region: AWS_REGION names this one. A program that works in two regions \
                 needs a migration, and a target, for each.",
                operation.name()
            ),
            format!("signed for another region than the target's: {theirs}"),
        ));
    }
    if !serves.clients.include(credential.access_key()) {
        return Err(denied(
            ErrorCode::UnrecognizedClient,
            format!(
                "The security token included in the request is invalid. The guard of this \
                 migration serves its own program only, which it knows by the access key in \
                 AWS_ACCESS_KEY_ID, and this {} is signed with another one. Create the client \
                 without its own credentials or profile; if it is for another account, the guard \
                 does not reach that.",
                operation.name()
            ),
            "signed with another access key than the run's".into(),
        ));
    }
    Ok(operation)
}

/// A name from a request, for messages: only what a region's name is made of.
fn named(text: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || "-_*,".contains(*c);
    text.chars().filter(plain).take(limits::QUOTED_NAME_BYTES_MAX).collect()
}

impl From<Unsigned> for NotACall {
    fn from(unsigned: Unsigned) -> Self {
        let (code, message) = match unsigned {
            Unsigned::Missing => (
                ErrorCode::MissingAuthenticationToken,
                "Request is missing Authentication Token".to_owned(),
            ),
            Unsigned::Twice => (
                ErrorCode::InvalidSignature,
                "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP \
                 header."
                    .to_owned(),
            ),
            Unsigned::Incomplete(message) => (ErrorCode::IncompleteSignature, message),
            Unsigned::Scope(message) => (ErrorCode::InvalidSignature, message),
        };
        Self::Wrong(ServiceError::new(code, message))
    }
}

/// The content type without its parameters.
fn content_type(headers: &HeaderMap) -> &str {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(first), None) = (types.next(), types.next()) else { return "" };
    first.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

/// The content type of the answer: the request's.
pub fn answered_as(headers: &HeaderMap) -> &'static str {
    if content_type(headers) == CONTENT_TYPE { CONTENT_TYPE } else { PLAIN_JSON }
}

/// Whether what was read of a body could be a request at all.
pub fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// Bytes that the body may have, by its head. A larger body is rejected unread.
pub fn announced_bytes(headers: &HeaderMap) -> Result<usize, NotACall> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let inflates = headers.contains_key(header::CONTENT_ENCODING);
    match announced.and_then(|text| text.parse::<usize>().ok()) {
        Some(bytes) if bytes > limits::REQUEST_BODY_BYTES_MAX => Err(NotACall::TooLarge),
        Some(bytes) if !inflates => Ok(bytes),
        Some(_) | None => Ok(limits::REQUEST_BODY_BYTES_MAX),
    }
}

/// The call of a request read whole and inflated.
pub fn call(operation: Operation, headers: &HeaderMap, body: &Bytes) -> Result<Call, NotACall> {
    let parameters =
        parse_body(body, limits::REQUEST_TREE_BYTES_MAX).map_err(|error| match error {
            ParseError::NoObject => NotACall::Bare(ErrorCode::Serialization),
            ParseError::TooMany => serialization("The request has too many members."),
        })?;
    let invocation = invocation(operation, headers, &parameters);
    Ok(Call::new(operation, parameters).with_invocation(invocation))
}

fn serialization(why: &str) -> NotACall {
    NotACall::Wrong(ServiceError::serialization(why))
}

/// A body without its compression.
pub fn inflated(headers: &HeaderMap, body: Bytes) -> Result<Bytes, NotACall> {
    let encoding = match headers.get(header::CONTENT_ENCODING) {
        None => return Ok(body),
        Some(encoding) => encoding.to_str().unwrap_or_default().trim().to_ascii_lowercase(),
    };
    let decoder: Box<dyn std::io::Read + '_> = match encoding.as_str() {
        "" | "identity" => return Ok(body),
        "gzip" => Box::new(flate2::read::MultiGzDecoder::new(body.as_ref())),
        "deflate" => Box::new(flate2::read::ZlibDecoder::new(body.as_ref())),
        _ => return Err(serialization("The known Content-Encodings are gzip and deflate.")),
    };
    let bytes_max = limits::REQUEST_BODY_INFLATED_BYTES_MAX;
    let mut inflated = Vec::new();
    decoder
        .take(bytes_max as u64 + 1)
        .read_to_end(&mut inflated)
        .map_err(|_| serialization(&format!("The request's body is not {encoding}.")))?;
    if inflated.len() > bytes_max { Err(NotACall::TooLarge) } else { Ok(Bytes::from(inflated)) }
}

/// Reads are not remembered: doing them again does no harm, and their answers are large.
fn invocation(
    operation: Operation,
    headers: &HeaderMap,
    parameters: &Map<String, Value>,
) -> Option<Invocation> {
    if operation.class() != Class::DataWrite {
        return None;
    }
    let id = headers.get("amz-sdk-invocation-id")?.to_str().ok()?;
    if id.is_empty() || id.len() > limits::INVOCATION_ID_BYTES_MAX {
        return None;
    }
    let digest = idempotency::digest_of_call(operation.name(), parameters);
    Some(Invocation { id: id.to_owned(), digest })
}

impl From<NotACall> for Answer {
    fn from(not: NotACall) -> Self {
        let (status, body) = match not {
            NotACall::Wrong(error) | NotACall::Denied(Denied { error, .. }) => {
                (error.status(), Bytes::from(error.to_json().to_string()))
            }
            NotACall::Bare(code) => {
                let body = serde_json::json!({ "__type": code.full_name() });
                (code.status(), Bytes::from(body.to_string()))
            }
            NotACall::NoHost => (400, Bytes::new()),
            NotACall::NotFound => (404, Bytes::from_static(NOT_FOUND)),
            NotACall::TooLarge => (413, Bytes::from_static(
                br#"{"__type":"com.amazon.coral.service#RequestEntityTooLargeException","message":"The request is larger than 16 MB."}"#,
            )),
            NotACall::Foreign(foreign) => return foreign.answer(),
            NotACall::Ping(region) => {
                (200, Bytes::from(format!("healthy: dynamodb.{region}.amazonaws.com ")))
            }
        };
        Self { status, body, retry_after_s: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use std::io::Write as _;

    fn head(headers: &[(&str, &str)]) -> request::Parts {
        let mut request = Request::post("/").header("host", "x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    const JSON: (&str, &str) = ("content-type", CONTENT_TYPE);
    const KEY: &str = "DM0123456789";

    fn serves() -> Serves {
        let clients = Clients::With(crate::clients::AccessKey::new(KEY));
        Serves { region: "eu-west-1".into(), signed_for: Regions::Its, clients }
    }

    fn signed(key: &str, region: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential={key}/20261201/{region}/dynamodb/aws4_request, \
             SignedHeaders=host, Signature=0"
        )
    }

    /// What a signed request with a body asks for, or why it is refused.
    fn look(method: &str, path: &str, headers: &[(&str, &str)]) -> Result<Operation, String> {
        let mut request = Request::builder().method(method).uri(path).header("date", "now");
        request = request.header("host", "localhost:8000");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let head = request.body(()).unwrap().into_parts().0;
        match asked(&head, true, &serves()) {
            Ok(Asked::Call(operation)) => Ok(operation),
            Ok(Asked::Refused(not)) | Err(not) => {
                let answer = Answer::from(not);
                Err(format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)))
            }
        }
    }

    fn check(headers: &[(&str, &str)], expected: Result<Operation, &str>) {
        let ours = signed(KEY, "eu-west-1");
        let all: Vec<_> = headers.iter().copied().chain([("authorization", &*ours)]).collect();
        let found = look("POST", "/", &all);
        match (&found, expected) {
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{headers:?} {found}"),
            (found, expected) => assert_eq!(*found, expected.map_err(str::to_owned), "{headers:?}"),
        }
    }

    #[test]
    fn one_known_target_and_the_right_content_type_are_let_in() {
        let target = |value| ("x-amz-target", value);
        let typed = |value| ("content-type", value);
        let get = target("DynamoDB_20120810.GetItem");
        for content_type in [
            CONTENT_TYPE,
            "application/x-amz-json-1.0; charset=utf-8",
            "application/json",
            " application/json ; charset=utf-8",
        ] {
            check(&[typed(content_type), get], Ok(Operation::GetItem));
        }
        for content_type in ["application/x-amz-json-1.1", "application/jsonp", "text/plain", ""] {
            check(&[typed(content_type), get], Err("404 <UnknownOperationException/>\n"));
        }
        check(&[get], Err("404 "));
        check(&[JSON, JSON, get], Err("404 "));
        let bare = r#"400 {"__type":"com.amazon.coral.service#UnknownOperationException"}"#;
        check(&[JSON], Err(bare));
        check(&[JSON, target("DynamoDB_20120810.getitem")], Err(bare));
        check(&[JSON, target("DynamoDB_20120810.GetItem,DynamoDB_20120810.PutItem")], Err(bare));
        check(&[JSON, target("DynamoDB_20111205.GetItem")], Err("DynamoDB_20120810 only"));
        check(&[JSON, get, target("DynamoDB_20120810.PutItem")], Err("Exactly one X-Amz-Target"));
    }

    #[test]
    fn other_methods_and_paths_are_not_found_and_a_look_is_answered() {
        for (method, path) in
            [("PUT", "/"), ("DELETE", "/"), ("HEAD", "/"), ("OPTIONS", "/"), ("POST", "/x")]
        {
            assert_eq!(
                look(method, path, &[JSON]).unwrap_err(),
                "404 <UnknownOperationException/>\n"
            );
        }
        for path in ["/", "/ping"] {
            let healthy = "200 healthy: dynamodb.eu-west-1.amazonaws.com ";
            assert_eq!(look("GET", path, &[]).unwrap_err(), healthy);
        }
    }

    #[test]
    fn clients_of_another_region_or_key_are_refused_by_name() {
        let target = ("x-amz-target", "DynamoDB_20120810.PutItem");
        let refusal = |key: &str, region: &str| {
            look("POST", "/", &[JSON, target, ("authorization", &signed(key, region))]).unwrap_err()
        };
        let other = refusal(KEY, "us-east-1");
        for part in ["400 ", "AccessDeniedException", "PutItem", "eu-west-1", "\\\"us-east-1\\\""] {
            assert!(other.contains(part), "{part}: {other}");
        }
        // AWS looks at the scope first.
        assert!(refusal("AKIAOTHER", "us-east-1").contains("AccessDeniedException"));
        let stranger = refusal("AKIAOTHER", "eu-west-1");
        for part in ["400 ", "UnrecognizedClientException", "AWS_ACCESS_KEY_ID"] {
            assert!(stranger.contains(part), "{part}: {stranger}");
        }
        assert!(!stranger.contains("AKIAOTHER"));
        assert_eq!(
            look("POST", "/", &[JSON, target]).unwrap_err(),
            r#"400 {"__type":"com.amazon.coral.service#MissingAuthenticationTokenException","message":"Request is missing Authentication Token"}"#
        );
    }

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        Bytes::from(encoder.finish().unwrap())
    }

    fn zlib(bytes: &[u8]) -> Bytes {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        Bytes::from(encoder.finish().unwrap())
    }

    #[test]
    fn a_compressed_body_is_inflated_up_to_the_bound() {
        type Coding = fn(&[u8]) -> Bytes;
        let codings = [("gzip", gzip as Coding), ("Deflate", zlib)];
        for (name, coded) in codings {
            let headers = head(&[("content-encoding", name)]).headers;
            let read = |body| call(Operation::GetItem, &headers, &inflated(&headers, body)?);
            assert_eq!(read(coded(br#"{"a":1}"#)).unwrap().body()["a"], 1);
            let bomb = coded(&vec![b' '; limits::REQUEST_BODY_INFLATED_BYTES_MAX + 1]);
            assert!(matches!(read(bomb), Err(NotACall::TooLarge)));
            let cut = coded(br#"{"a":1}"#);
            for wrong in [cut.slice(..cut.len() - 1), Bytes::from_static(b"{}")] {
                assert!(matches!(read(wrong), Err(NotACall::Wrong(_))), "{name}");
            }
        }
        let unknown = head(&[("content-encoding", "br")]).headers;
        assert!(inflated(&unknown, Bytes::from_static(b"{}")).is_err());
    }

    #[test]
    fn a_body_that_is_no_object_is_a_serialization_error() {
        let headers = HeaderMap::new();
        let deep = "[".repeat(1_000_000);
        for body in ["", "[]", "{", "1", "{\"a\":\"\u{0}\"}", deep.as_str()] {
            let read = call(Operation::GetItem, &headers, &Bytes::from(body.to_owned()));
            assert!(matches!(read, Err(NotACall::Bare(_))), "{}", &body[..body.len().min(20)]);
        }
        let not_utf8 = Bytes::from_static(b"{\"a\":\"\xff\"}");
        assert!(call(Operation::GetItem, &headers, &not_utf8).is_err());
    }

    #[test]
    fn only_writes_have_an_invocation_and_it_is_bound_to_the_bodys_value() {
        let headers = head(&[("amz-sdk-invocation-id", "i")]).headers;
        let read = |operation, body: &'static [u8]| {
            call(operation, &headers, &Bytes::from_static(body)).unwrap().invocation
        };
        assert_eq!(read(Operation::GetItem, b"{}"), None);
        assert_eq!(read(Operation::PutItem, b"{}"), read(Operation::PutItem, b"{}"));
        let put = |body| read(Operation::PutItem, body);
        assert_eq!(put(b"{}"), put(b"{ }"));
        assert_eq!(
            put(br#"{"TableName":"t","Item":{"id":{"N":"1"}}}"#),
            put(br#"{"Item":{"id":{"N":"1.0"}},"TableName":"t"}"#)
        );
        assert_ne!(put(b"{}"), put(br#"{"TableName":"t"}"#));
        assert_ne!(read(Operation::PutItem, b"{}"), read(Operation::DeleteItem, b"{}"));
    }
}
