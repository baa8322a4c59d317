//! Signs a request to the database: SigV4 over a minimal set of headers. The client's own
//! signature was dropped before.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::Full;

use super::UpstreamError;
use crate::operation::Operation;

/// Content type of DynamoDB's only protocol.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// What stands before the operation's name in `X-Amz-Target`.
pub const TARGET_PREFIX: &str = "DynamoDB_20120810.";

/// A signed request, ready to be sent.
pub fn signed_request(
    uri: &Uri,
    region: &str,
    credentials: &Credentials,
    operation: Operation,
    body: Bytes,
    now: SystemTime,
) -> Result<Request<Full<Bytes>>, UpstreamError> {
    let failed = |error: &dyn std::error::Error| UpstreamError::Signing(error.to_string());
    let host = uri.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
    let target = format!("{TARGET_PREFIX}{}", operation.name());

    let identity = credentials.clone().into();
    let mut settings = SigningSettings::default();
    // The body's hash is signed either way; as a header it would only be one more to send.
    settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("dynamodb")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| failed(&error))?
        .into();
    let headers = [
        ("host", host.as_str()),
        ("content-type", CONTENT_TYPE),
        ("x-amz-target", target.as_str()),
    ];
    let signable = SignableRequest::new(
        "POST",
        uri.to_string(),
        headers.into_iter(),
        SignableBody::Bytes(&body),
    )
    .map_err(|error| failed(&error))?;
    let (instructions, _signature) =
        sign(signable, &params).map_err(|error| failed(&error))?.into_parts();

    let mut request = Request::post(uri.clone())
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, CONTENT_TYPE)
        .header("x-amz-target", target)
        .body(Full::new(body))
        .map_err(|error| failed(&error))?;
    for (name, value) in instructions.headers() {
        let mut value = HeaderValue::from_str(value).map_err(|error| failed(&error))?;
        value.set_sensitive(name != "x-amz-date");
        let name = header::HeaderName::from_bytes(name.as_bytes()).map_err(|e| failed(&e))?;
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_the_minimal_set_of_headers_is_signed() {
        let credentials = Credentials::new("AKID", "secret", Some("token".into()), None, "test");
        let request = signed_request(
            &Uri::from_static("https://dynamodb.eu-west-1.amazonaws.com/"),
            "eu-west-1",
            &credentials,
            Operation::GetItem,
            Bytes::from_static(b"{}"),
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        )
        .unwrap();
        let authorization = request.headers()["authorization"].to_str().unwrap();
        assert!(authorization.contains(
            "Credential=AKID/20231114/eu-west-1/dynamodb/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, "
        ));
        assert_eq!(request.headers()["x-amz-security-token"], "token");
        assert_eq!(request.headers()["host"], "dynamodb.eu-west-1.amazonaws.com");
    }
}
