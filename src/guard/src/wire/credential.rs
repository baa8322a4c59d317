//! Who signed a request, and for which region and service: the credential scope of AWS's
//! signatures, version 4, in the Authorization header or in the query. The signature itself is not
//! verified: the guard signs again.

use std::borrow::Cow;

use http::{header, request};

/// The algorithm of signatures for several regions; its scope names none (SigV4A).
const SEVERAL_REGIONS: &str = "AWS4-ECDSA-P256-SHA256";

/// The header with the regions of such a signature.
const REGION_SET: &str = "x-amz-region-set";

/// What the header, or the query, needs to have beside each other. The credential is the first.
const IN_HEADER: [&str; 3] = ["Credential", "Signature", "SignedHeaders"];
const IN_QUERY: [&str; 5] =
    ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"];

/// A credential: `KEY/20261201/eu-west-1/dynamodb/aws4_request`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential<'a> {
    text: Cow<'a, str>,
    /// Regions of a signature for several.
    several: Option<&'a str>,
}

/// Why a request has no credential, in the order in which AWS looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// It is not signed at all, or in another way than version 4.
    Missing,
    /// It is signed in the header and in the query.
    Twice,
    /// Part of the signature is missing; AWS's words.
    Incomplete(String),
    /// The scope is not one of version 4; AWS's words.
    Scope(String),
}

impl<'a> Credential<'a> {
    /// The credential of a request.
    pub fn of(head: &'a request::Parts) -> Result<Self, Unsigned> {
        let mut headers = head.headers.get_all(header::AUTHORIZATION).iter();
        let authorization = headers.next().map(|value| value.to_str().unwrap_or_default());
        let in_query = parameter(head, "X-Amz-Algorithm");
        let (algorithm, text) = match (authorization, in_query) {
            (Some(_), Some(_)) => return Err(Unsigned::Twice),
            (Some(_), None) if headers.next().is_some() => return Err(Unsigned::Twice),
            (Some(header), None) if header.trim_start().starts_with("AWS4-") => {
                of_header(head, header.trim_start())?
            }
            (Some(_) | None, None) => return Err(Unsigned::Missing),
            (None, Some(algorithm)) => of_query(head, algorithm)?,
        };
        let text = match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim_end_matches('/')),
            Cow::Owned(text) => Cow::Owned(text.trim_end_matches('/').to_owned()),
        };
        let several = (algorithm == SEVERAL_REGIONS).then(|| {
            head.headers.get(REGION_SET).and_then(|set| set.to_str().ok()).unwrap_or_default()
        });
        let elements = text.split('/').count();
        if elements != if several.is_some() { 4 } else { 5 } {
            return Err(Unsigned::Incomplete(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term, got '{text}'"
            )));
        }
        let term = text.rsplit('/').next().unwrap_or_default();
        if term != "aws4_request" {
            return Err(Unsigned::Scope(format!(
                "Credential should be scoped with a valid terminator: 'aws4_request', not \
                 '{term}'. "
            )));
        }
        Ok(Self { text, several })
    }

    pub fn access_key(&self) -> &str {
        self.text.split('/').next().unwrap_or_default()
    }

    /// The region that it names, if it differs from this one.
    pub fn foreign_region(&self, ours: &str) -> Option<&str> {
        if let Some(set) = self.several {
            let ours = |region: &str| [ours, "*"].contains(&region.trim());
            return (!set.split(',').any(ours)).then_some(set);
        }
        self.text.split('/').nth(2).filter(|region| *region != ours)
    }
}

/// The service that a request is signed for, whether or not the rest of the signature is there.
pub fn signed_service(head: &request::Parts) -> Option<Cow<'_, str>> {
    let authorization =
        head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let of_header = authorization.and_then(|header| members(header)[0]).map(Cow::Borrowed);
    let credential = of_header.or_else(|| parameter(head, "X-Amz-Credential"))?;
    let service = |credential: &str| {
        let mut parts = credential.rsplit('/');
        let service = (parts.next() == Some("aws4_request")).then(|| parts.next())??;
        Some(service.to_owned())
    };
    service(&credential).map(Cow::Owned)
}

fn of_header<'a>(
    head: &request::Parts,
    header: &'a str,
) -> Result<(Cow<'a, str>, Cow<'a, str>), Unsigned> {
    let members = members(header);
    let lacks = IN_HEADER.iter().zip(members).filter(|(_, value)| value.is_none());
    let lacks =
        lacks.map(|(name, _)| format!("Authorization header requires '{name}' parameter. "));
    let mut why = lacks.collect::<Vec<_>>().concat();
    if !head.headers.contains_key("x-amz-date") && !head.headers.contains_key(header::DATE) {
        why +=
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ";
    }
    let algorithm = header.split([' ', ',']).next().unwrap_or_default();
    match members[0] {
        Some(credential) if why.is_empty() => {
            Ok((Cow::Borrowed(algorithm), Cow::Borrowed(credential)))
        }
        Some(_) | None => Err(Unsigned::Incomplete(format!("{why}Authorization={header}"))),
    }
}

fn of_query<'a>(
    head: &'a request::Parts,
    algorithm: Cow<'a, str>,
) -> Result<(Cow<'a, str>, Cow<'a, str>), Unsigned> {
    let has = |name: &str| parameter(head, name).is_some_and(|value| !value.is_empty());
    let lacks = IN_QUERY.iter().filter(|name| !has(name));
    let lacks = lacks.map(|name| format!("AWS query-string parameters must include '{name}'. "));
    let why = lacks.collect::<Vec<_>>().concat();
    match parameter(head, "X-Amz-Credential") {
        Some(credential) if why.is_empty() => Ok((algorithm, credential)),
        Some(_) | None => {
            Err(Unsigned::Incomplete(why + "Re-examine the query-string parameters."))
        }
    }
}

/// The members of [`IN_HEADER`] that have a value in an Authorization header: `Name=value`, after
/// commas or blanks.
fn members(header: &str) -> [Option<&str>; IN_HEADER.len()] {
    let mut found = [None; IN_HEADER.len()];
    // One character at a time: a search for either of two is several times slower.
    for member in header.split(' ').flat_map(|part| part.split(',')).skip(1) {
        let Some((name, value)) = member.split_once('=') else { continue };
        if let Some(at) = IN_HEADER.iter().position(|wanted| *wanted == name)
            && !value.is_empty()
        {
            found[at].get_or_insert(value);
        }
    }
    found
}

/// A parameter of the query, decoded.
fn parameter<'a>(head: &'a request::Parts, name: &str) -> Option<Cow<'a, str>> {
    let pairs = head.uri.query()?.split('&');
    let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| decoded(value))
}

/// Resolves `%2F` and the like. What is not UTF-8 is no credential of anybody.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| after.get(..2)).flatten();
        let escaped = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    Cow::Owned(String::from_utf8(bytes).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn head(path: &str, headers: &[(&str, &str)]) -> request::Parts {
        let mut request = Request::post(path).header("x-amz-date", "20261201T000000Z");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn check(path: &str, headers: &[(&str, &str)], expected: Result<(&str, Option<&str>), &str>) {
        let head = head(path, headers);
        let found = Credential::of(&head);
        match (&found, expected) {
            (Ok(found), Ok(expected)) => {
                assert_eq!((found.access_key(), found.foreign_region("eu-west-1")), expected);
            }
            (Err(found), Err(expected)) => {
                assert!(format!("{found:?}").contains(expected), "{found:?}");
            }
            (found, expected) => panic!("{path} {headers:?}: {found:?}, expected {expected:?}"),
        }
    }

    fn signed(algorithm: &str, credential: &str) -> String {
        format!("{algorithm} Credential={credential}, SignedHeaders=host, Signature=0")
    }

    #[test]
    fn key_and_region_are_read_from_the_header() {
        let of = |credential: &str| signed("AWS4-HMAC-SHA256", credential);
        for (credential, expected) in [
            ("AK/20261201/eu-west-1/dynamodb/aws4_request", Ok(("AK", None))),
            ("AK/20261201/eu-west-1/dynamodb/aws4_request/", Ok(("AK", None))),
            ("AK/20261201/us-east-1/dynamodb/aws4_request", Ok(("AK", Some("us-east-1")))),
            ("AK/20261201/EU-WEST-1/dynamodb/aws4_request", Ok(("AK", Some("EU-WEST-1")))),
            ("AK/20261201/local/dynamodb/aws4_request", Ok(("AK", Some("local")))),
            ("AK/20261201//dynamodb/aws4_request", Ok(("AK", Some("")))),
            ("a/b/c/d", Err("exactly 5 slash-delimited elements")),
            ("a/b/c/d/e", Err("valid terminator: 'aws4_request', not 'e'")),
        ] {
            check("/", &[("authorization", &of(credential))], expected);
        }
        // Without blanks, as some clients write it.
        let tight = of("AK/1/eu-west-1/dynamodb/aws4_request").replace(", ", ",");
        check("/", &[("authorization", &tight)], Ok(("AK", None)));
    }

    #[test]
    fn a_signature_for_several_regions_names_them_in_a_header_of_its_own() {
        let of = signed(SEVERAL_REGIONS, "AK/20261201/dynamodb/aws4_request");
        for (regions, expected) in [
            ("eu-west-1", None),
            ("us-east-1, eu-west-1", None),
            ("*", None),
            ("us-*", Some("us-*")),
            ("us-east-1", Some("us-east-1")),
        ] {
            let headers = [("authorization", of.as_str()), (REGION_SET, regions)];
            check("/", &headers, Ok(("AK", expected)));
        }
        check("/", &[("authorization", &of)], Ok(("AK", Some(""))));
    }

    #[test]
    fn a_query_is_a_signature_too() {
        let query = |scope: &str| {
            format!(
                "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={scope}\
                 &X-Amz-Date=d&X-Amz-SignedHeaders=host&X-Amz-Signature=0"
            )
        };
        let ours = query("AK%2F20261201%2Feu-west-1%2Fdynamodb%2Faws4_request");
        check(&ours, &[], Ok(("AK", None)));
        check(&query("AK/1/us-east-1/dynamodb/aws4_request"), &[], Ok(("AK", Some("us-east-1"))));
        check(&ours, &[("authorization", "X")], Err("Twice"));
        check("/?X-Amz-Credential=a", &[], Err("Missing"));
        check("/?X-Amz-Algorithm", &[], Err("must include 'X-Amz-Algorithm'. AWS query-string"));
        assert_eq!(signed_service(&head(&ours, &[])).as_deref(), Some("dynamodb"));
    }

    #[test]
    fn what_is_missing_is_named_as_aws_names_it() {
        check("/", &[], Err("Missing"));
        check("/", &[("authorization", "AWS4")], Err("Missing"));
        check("/", &[("authorization", "Bearer AK")], Err("Missing"));
        check(
            "/",
            &[("authorization", "AWS4- Signature=b, Credential=a")],
            Err("Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4- \
             Signature=b, Credential=a"),
        );
        let ours = signed("AWS4-HMAC-SHA256", "AK/1/eu-west-1/dynamodb/aws4_request");
        check("/", &[("authorization", &ours), ("authorization", &ours)], Err("Twice"));
        let undated = Request::post("/").header("authorization", &ours).body(()).unwrap();
        let undated = undated.into_parts().0;
        assert!(format!("{:?}", Credential::of(&undated)).contains("'X-Amz-Date' or a 'Date'"));
    }
}
