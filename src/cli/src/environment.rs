//! The environment of a program behind a guard in this process: as in a run's pod, and with
//! nothing left of this machine's AWS identity. Pure.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use dm_contract::plan::program_environment;

/// Settings of AWS's SDKs that say how calls are made; not where to, nor as whom.
const KEPT: &[&str] =
    &["AWS_DEFAULTS_MODE", "AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE", "AWS_SDK_UA_APP_ID"];

/// Files in which SDKs look for credentials, even where none of these variables is set.
const FILES: &[&str] = &["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BOTO_CONFIG"];

/// An empty file on every system that we run on.
const EMPTY_FILE: &str = "/dev/null";

/// Hosts that no proxy is asked for; both spellings are in use.
const NO_PROXY: &[&str] = &["NO_PROXY", "no_proxy"];

/// The program's whole environment.
pub fn of_program(
    inherited: impl IntoIterator<Item = (OsString, OsString)>,
    endpoint: &str,
    region: &str,
    access_key: &str,
) -> BTreeMap<OsString, OsString> {
    let mut all: BTreeMap<OsString, OsString> =
        inherited.into_iter().filter(|(name, _)| !is_aws(name)).collect();
    for name in NO_PROXY {
        let hosts = all.entry((*name).into()).or_default();
        hosts.push(if hosts.is_empty() { "127.0.0.1" } else { ",127.0.0.1" });
    }
    all.extend(FILES.iter().map(|name| ((*name).into(), EMPTY_FILE.into())));
    let ours = program_environment(endpoint, region, access_key);
    all.extend(ours.map(|(name, value)| (name.into(), value.into())));
    all
}

fn is_aws(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"AWS_") && !KEPT.iter().any(|kept| name == *kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(inherited: &[(&str, &str)]) -> BTreeMap<String, String> {
        let inherited = inherited.iter().map(|(name, value)| (name.into(), value.into()));
        let text = |text: OsString| text.into_string().unwrap();
        of_program(inherited, "http://127.0.0.1:1", "eu-west-1", "DM0")
            .into_iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    fn check(inherited: &[(&str, &str)], name: &str, expected: Option<&str>) {
        assert_eq!(of(inherited).get(name).map(String::as_str), expected, "{inherited:?} {name}");
    }

    #[test]
    fn a_program_has_the_environment_of_a_pod_and_no_credentials() {
        let all = of(&[]);
        let expected = [
            ("AWS_ACCESS_KEY_ID", "DM0"),
            ("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled"),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_DEFAULT_REGION", "eu-west-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_SECRET_ACCESS_KEY", "worthless"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ("BOTO_CONFIG", "/dev/null"),
            ("NO_PROXY", "127.0.0.1"),
            ("no_proxy", "127.0.0.1"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(all, BTreeMap::from(expected));
    }

    #[test]
    fn nothing_of_an_inherited_identity_is_left() {
        for name in [
            "AWS_PROFILE",
            "AWS_SESSION_TOKEN",
            "AWS_SECURITY_TOKEN",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_ROLE_ARN",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
            "AWS_ENDPOINT_URL_S3",
            "AWS_BEARER_TOKEN_BEDROCK",
            "AWS_SOMETHING_NEW",
        ] {
            check(&[(name, "x")], name, None);
        }
        check(&[("AWS_ACCESS_KEY_ID", "AKIA")], "AWS_ACCESS_KEY_ID", Some("DM0"));
        check(&[("AWS_CONFIG_FILE", "/x")], "AWS_CONFIG_FILE", Some("/dev/null"));
    }

    #[test]
    fn the_rest_is_kept() {
        check(&[("HOME", "/h")], "HOME", Some("/h"));
        check(&[("AWS_MAX_ATTEMPTS", "3")], "AWS_MAX_ATTEMPTS", Some("3"));
        check(&[("NO_PROXY", "a.b")], "NO_PROXY", Some("a.b,127.0.0.1"));
    }
}
