//! Answers as HTTP responses: type, length, checksum and id, as DynamoDB sends them.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use dm_engine::Answer;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

/// Bodies of the guard's responses: whole, so that they have a length and no chunks.
pub type Body = Full<Bytes>;

/// The response of an answer, of this content type if it is JSON. The checksum is of the very bytes
/// sent: SDKs that check it send a write again when it is wrong.
pub fn answered(answer: Answer, json: &'static str) -> Response<Body> {
    let Answer { status, body, retry_after_s } = answer;
    let content_type = match body.first() {
        Some(b'<') => "text/xml",
        Some(b'h') => "text/plain",
        Some(_) | None => json,
    };
    let checksum = crc32fast::hash(&body);
    let mut response = Response::new(Full::new(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert("x-amz-crc32", HeaderValue::from(checksum));
    if let Ok(id) = HeaderValue::from_str(&request_id()) {
        headers.insert("x-amzn-requestid", id);
    }
    if status == 413 {
        // As DynamoDB sends it, which answers before it has seen the end of the request.
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if let Some(seconds) = retry_after_s {
        // In milliseconds (AWS SDKs' retry behavior 2.1).
        headers.insert("x-amz-retry-after", HeaderValue::from(u64::from(seconds) * 1000));
    }
    response
}

/// A response outside DynamoDB's protocol.
pub fn plain(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// 52 characters like DynamoDB's: the time of the first answer and a number, told apart from those
/// of the database, which never reach the program.
fn request_id() -> String {
    static BEGIN: LazyLock<String> = LazyLock::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("GUARD{:031X}", since.as_nanos())
    });
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{}{count:016X}", *BEGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_type_checksum_and_id() {
        let response = answered(Answer::ok(Bytes::from_static(b"{}")), "application/json");
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["x-amz-crc32"], "2745614147");
        let id = response.headers()["x-amzn-requestid"].to_str().unwrap();
        assert_eq!(id.len(), 52);
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let other = answered(Answer::ok(Bytes::new()), "application/json");
        assert_ne!(other.headers()["x-amzn-requestid"], id);
    }
}
