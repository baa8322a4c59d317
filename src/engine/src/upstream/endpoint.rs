//! Where the database is: the plan's endpoint, or AWS's own for the region. Never from a request.

use dm_contract::plan::Upstream as UpstreamPlan;
use http::Uri;

use crate::upstream::UpstreamError;

/// The address requests are sent to.
pub fn endpoint(plan: &UpstreamPlan) -> Result<Uri, UpstreamError> {
    let text = match &plan.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => format!("https://dynamodb.{}.{}", plan.region, dns_suffix(&plan.region)),
    };
    let wrong = || UpstreamError::Endpoint(text.clone());
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme));
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
    let (Some(scheme), Some(authority)) = (scheme, authority) else { return Err(wrong()) };
    if uri.path() != "/" || uri.query().is_some() {
        return Err(wrong());
    }
    Uri::builder()
        .scheme(scheme)
        .authority(authority.as_str())
        .path_and_query("/")
        .build()
        .map_err(|_| wrong())
}

/// The domain of a region's partition (AWS's endpoint rules, "partitions").
fn dns_suffix(region: &str) -> &'static str {
    match region.split('-').next().unwrap_or_default() {
        "cn" => "amazonaws.com.cn",
        "eusc" => "amazonaws.eu",
        "us" if region.starts_with("us-iso-") => "c2s.ic.gov",
        "us" if region.starts_with("us-isob-") => "sc2s.sgov.gov",
        "us" if region.starts_with("us-isof-") => "csp.hci.ic.gov",
        "eu" if region.starts_with("eu-isoe-") => "cloud.adc-e.uk",
        _ => "amazonaws.com",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(region: &str, given: Option<&str>, expected: Option<&str>) {
        let plan = UpstreamPlan { region: region.into(), endpoint: given.map(Into::into) };
        let found = endpoint(&plan).ok().map(|uri| uri.to_string());
        assert_eq!(found.as_deref(), expected, "{region} {given:?}");
    }

    #[test]
    fn each_partition_has_its_domain() {
        check("eu-west-1", None, Some("https://dynamodb.eu-west-1.amazonaws.com/"));
        check("us-gov-west-1", None, Some("https://dynamodb.us-gov-west-1.amazonaws.com/"));
        check("cn-north-1", None, Some("https://dynamodb.cn-north-1.amazonaws.com.cn/"));
        check("us-iso-east-1", None, Some("https://dynamodb.us-iso-east-1.c2s.ic.gov/"));
    }

    #[test]
    fn a_given_endpoint_is_scheme_host_and_port_only() {
        check("x", Some("http://127.0.0.1:8000"), Some("http://127.0.0.1:8000/"));
        check("x", Some("https://db.example/"), Some("https://db.example/"));
        for wrong in ["127.0.0.1:8000", "ftp://a", "http://a/b", "http://u@a", "", "http://a/?q"] {
            check("x", Some(wrong), None);
        }
    }

    #[test]
    fn a_region_cannot_lead_elsewhere() {
        check("a.evil.example/", None, None);
        check("x@evil.example:1", None, None);
    }
}
