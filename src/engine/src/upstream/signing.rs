//! Signs a request to the database: SigV4 over a minimal set of headers. The client's own
//! signature was dropped before.
//!
//! All requests have one shape, so what is signed is written down here; the key, which is the same
//! all day, is kept. The cryptography is that of aws-sigv4, and the tests hold every signature
//! against the one that it makes from the same request.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE as CONTENT_TYPE_HEADER, HOST};
use http::{HeaderName, HeaderValue, Request, Uri};
use http_body_util::Full;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::operation::Operation;
use crate::upstream::UpstreamError;

/// Content type of DynamoDB's only protocol.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// What stands before the operation's name in `X-Amz-Target`.
pub const TARGET_PREFIX: &str = "DynamoDB_20120810.";

/// Room for a request as it is signed, mostly.
const CANONICAL_BYTES: usize = 512;

/// Headers of a request, and those that hyper adds.
const HEADERS_MAX: usize = 8;

const SERVICE: &str = "dynamodb";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// Signs for one database.
#[derive(Debug)]
pub struct Signer {
    host: HeaderValue,
    region: String,
    key: Mutex<Option<Arc<Key>>>,
    time: Mutex<Option<Time>>,
}

/// The key of a secret for a day.
struct Key {
    secret: String,
    day: String,
    /// What the key is good for.
    scope: String,
    bytes: Vec<u8>,
}

/// A second, as signatures have it.
#[derive(Clone, Debug)]
struct Time {
    second: i64,
    text: Arc<str>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("day", &self.day).finish_non_exhaustive()
    }
}

impl Signer {
    /// For the database at this address, whose path is `/`.
    pub fn new(uri: &Uri, region: String) -> Result<Self, UpstreamError> {
        let host = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let host = HeaderValue::from_str(host).map_err(|error| failed(&error))?;
        Ok(Self { host, region, key: Mutex::default(), time: Mutex::default() })
    }

    pub fn region(&self) -> &str {
        &self.region
    }

    /// A signed request, ready to be sent.
    pub fn request(
        &self,
        credentials: &Credentials,
        operation: Operation,
        body: Bytes,
        now: SystemTime,
    ) -> Result<Request<Full<Bytes>>, UpstreamError> {
        let time = self.time(now)?;
        let key = self.key(credentials, &time, now);
        let target = [TARGET_PREFIX, operation.name()].concat();
        let host = self.host.to_str().map_err(|error| failed(&error))?;
        let token = credentials.session_token();
        let signed = match token {
            Some(_) => "content-type;host;x-amz-date;x-amz-security-token;x-amz-target",
            None => "content-type;host;x-amz-date;x-amz-target",
        };
        let headers = [
            ("content-type", Some(CONTENT_TYPE)),
            ("host", Some(host)),
            ("x-amz-date", Some(&*time)),
            ("x-amz-security-token", token),
            ("x-amz-target", Some(&*target)),
        ];
        // "Create a signed AWS API request" in the IAM user guide: first the request in this form,
        // its headers in the order of their names.
        let mut canonical = String::with_capacity(CANONICAL_BYTES);
        canonical.push_str("POST\n/\n\n");
        for (name, value) in headers.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            for part in [name, ":", value, "\n"] {
                canonical.push_str(part);
            }
        }
        let mut digits = [0; DIGEST_DIGITS];
        for part in ["\n", signed, "\n", digest_of(&body, &mut digits)] {
            canonical.push_str(part);
        }
        let (scope, digest) = (&key.scope, digest_of(canonical.as_bytes(), &mut digits));
        // Put together and not formatted, which takes several times as long.
        let to_sign = [ALGORITHM, "\n", &*time, "\n", scope, "\n", digest].concat();
        let signature = calculate_signature(&key.bytes, to_sign.as_bytes());
        let key_id = credentials.access_key_id();
        let authorization = [
            [ALGORITHM, " Credential=", key_id, "/", scope].concat(),
            [", SignedHeaders=", signed, ", Signature=", &*signature].concat(),
        ]
        .concat();

        let mut request = Request::new(Full::new(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = Uri::from_static("/");
        let headers = request.headers_mut();
        headers.reserve(HEADERS_MAX);
        headers.insert(HOST, self.host.clone());
        headers.insert(CONTENT_TYPE_HEADER, HeaderValue::from_static(CONTENT_TYPE));
        headers.insert(TARGET, value(target)?);
        headers.insert(DATE, HeaderValue::from_str(&time).map_err(|error| failed(&error))?);
        headers.insert(AUTHORIZATION, secret(value(authorization)?));
        if let Some(token) = credentials.session_token() {
            headers.insert(TOKEN, secret(value(token.to_owned())?));
        }
        Ok(request)
    }

    /// The second of a time, written once for all requests in it.
    fn time(&self, now: SystemTime) -> Result<Arc<str>, UpstreamError> {
        let now = jiff::Timestamp::try_from(now).map_err(|error| failed(&error))?;
        let mut kept = self.time.lock();
        if let Some(time) = kept.as_ref().filter(|time| time.second == now.as_second()) {
            return Ok(Arc::clone(&time.text));
        }
        let text: Arc<str> = now.strftime("%Y%m%dT%H%M%SZ").to_string().into();
        *kept = Some(Time { second: now.as_second(), text: Arc::clone(&text) });
        Ok(text)
    }

    /// The key of these credentials for the day of a time, made again when either is another.
    fn key(&self, credentials: &Credentials, time: &str, now: SystemTime) -> Arc<Key> {
        let (wanted, day) = (credentials.secret_access_key(), time.get(..8).unwrap_or_default());
        let mut kept = self.key.lock();
        if let Some(key) = kept.as_ref().filter(|key| key.day == day && key.secret == wanted) {
            return Arc::clone(key);
        }
        let bytes = generate_signing_key(wanted, now, &self.region, SERVICE).as_ref().to_vec();
        let scope = format!("{day}/{}/{SERVICE}/aws4_request", self.region);
        let (secret, day) = (wanted.to_owned(), day.to_owned());
        let key = Arc::new(Key { secret, day, scope, bytes });
        *kept = Some(Arc::clone(&key));
        key
    }
}

/// Digits of a SHA-256 digest.
const DIGEST_DIGITS: usize = 64;

/// The SHA-256 digest of bytes, written into these digits.
fn digest_of<'d>(bytes: &[u8], digits: &'d mut [u8; DIGEST_DIGITS]) -> &'d str {
    // A digest has half as many bytes as digits, and digits are ASCII.
    let _ = hex::encode_to_slice(Sha256::digest(bytes), digits);
    str::from_utf8(digits).unwrap_or_default()
}

fn value(text: String) -> Result<HeaderValue, UpstreamError> {
    HeaderValue::try_from(text).map_err(|error| failed(&error))
}

fn secret(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

fn failed(error: &dyn std::error::Error) -> UpstreamError {
    UpstreamError::Signing(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sigv4::http_request::{
        PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign,
    };
    use aws_sigv4::sign::v4::SigningParams;
    use std::time::Duration;

    const URI: &str = "https://dynamodb.eu-west-1.amazonaws.com/";

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn credentials(secret: &str, token: Option<&str>) -> Credentials {
        Credentials::new("AKID", secret, token.map(Into::into), None, "test")
    }

    /// What aws-sigv4 makes of the headers of a request that we have signed.
    fn by_the_library(
        request: &Request<Full<Bytes>>,
        credentials: &Credentials,
        body: &[u8],
        now: SystemTime,
    ) -> String {
        let identity = credentials.clone().into();
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        let params = SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name("dynamodb")
            .time(now)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let headers = ["host", "content-type", "x-amz-target"]
            .map(|name| (name, request.headers()[name].to_str().unwrap()));
        let signable = SignableRequest::new(
            "POST",
            format!("https://{}/", request.headers()["host"].to_str().unwrap()),
            headers.into_iter(),
            SignableBody::Bytes(body),
        )
        .unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let found = instructions.headers().find(|(name, _)| *name == "authorization");
        found.unwrap().1.to_owned()
    }

    #[test]
    fn signatures_are_those_of_the_library_whatever_is_kept_meanwhile() {
        for uri in [URI, "http://127.0.0.1:8000/"] {
            let signer = Signer::new(&Uri::from_static(uri), "eu-west-1".into()).unwrap();
            for (secret, token, seconds, body) in [
                ("first", None, 1_700_000_000, "{}"),
                ("first", None, 1_700_000_001, r#"{"TableName":"cars"}"#),
                ("first", Some("a/token+of=some"), 1_700_000_001, ""),
                // The last second of a day, and the next one's first.
                ("first", None, 1_700_006_399, "{}"),
                ("first", None, 1_700_006_400, "{}"),
                ("second", None, 1_700_006_400, "{}"),
                ("first", None, 951_782_400, "{}"),
            ] {
                let credentials = credentials(secret, token);
                let request = signer
                    .request(&credentials, Operation::GetItem, Bytes::from(body), at(seconds))
                    .unwrap();
                let ours = request.headers()["authorization"].to_str().unwrap();
                let theirs = by_the_library(&request, &credentials, body.as_bytes(), at(seconds));
                assert_eq!(ours, theirs, "{uri} {secret} {seconds}");
            }
        }
    }

    #[test]
    fn only_the_minimal_set_of_headers_is_signed_and_secrets_are_not_shown() {
        let credentials = credentials("secret", Some("token"));
        let signer = Signer::new(&Uri::from_static(URI), "eu-west-1".into()).unwrap();
        let request = signer
            .request(&credentials, Operation::GetItem, Bytes::from_static(b"{}"), at(1_700_000_000))
            .unwrap();
        let authorization = request.headers()["authorization"].to_str().unwrap();
        assert!(authorization.contains(
            "Credential=AKID/20231114/eu-west-1/dynamodb/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, "
        ));
        assert_eq!(request.headers()["x-amz-security-token"], "token");
        assert_eq!(request.headers()["x-amz-date"], "20231114T221320Z");
        assert_eq!(request.headers()["host"], "dynamodb.eu-west-1.amazonaws.com");
        for shown in [format!("{signer:?}"), format!("{request:?}")] {
            assert!(!shown.contains("secret") && !shown.contains("AKID"), "{shown}");
            assert!(!shown.contains("\"token\""), "{shown}");
        }
    }
}
