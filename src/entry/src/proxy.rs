//! Keeps a proxy out of the way to the guard: clients send loopback requests through `HTTP_PROXY`,
//! too, unless they are configured not to (botocore, "proxies"). The image may set a proxy and its
//! exceptions; only here both are known.

use std::ffi::OsString;

/// Variables with hosts that bypass the proxy; both spellings are in use.
const NAMES: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// Where the guard is.
const GUARD: &str = "127.0.0.1";

/// Returns the variables with the guard added, from those of this process.
pub fn variables(of: impl Fn(&str) -> Option<OsString>) -> [(&'static str, OsString); 2] {
    NAMES.map(|name| {
        let mut hosts = of(name).unwrap_or_default();
        hosts.push(if hosts.is_empty() { GUARD } else { ",127.0.0.1" });
        (name, hosts)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_is_added_to_what_the_image_says() {
        let image = |name: &str| (name == "NO_PROXY").then(|| OsString::from(".internal"));
        let expected =
            [("NO_PROXY", ".internal,127.0.0.1".into()), ("no_proxy", "127.0.0.1".into())];
        assert_eq!(variables(image), expected);
    }
}
