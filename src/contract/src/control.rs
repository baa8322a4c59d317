//! What a running guard and the holder of its token exchange: how fast it may go, and whether
//! it is paused. It crosses a process boundary, so it carries a version and has a golden file.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::plan::RateLimits;

/// The version this build writes and the only one it reads.
pub const CONTROL_VERSION: u32 = 1;

/// GET: the [`ControlState`].
pub const CONTROL_PATH: &str = "/control";

/// PUT: [`RateLimits`] that hold from now on, all of them: what is left out is unlimited.
pub const LIMITS_PATH: &str = "/limits";

/// POST: requests are held.
pub const PAUSE_PATH: &str = "/pause";

/// POST: they resume.
pub const RESUME_PATH: &str = "/resume";

/// The access key of the program whose guard has this control token. A program that knows it learns
/// nothing about the token, and a restarted guard derives the same key. Letters and digits only:
/// DynamoDB Local refuses other access keys.
pub fn access_key(token: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(b"datamigration access key\n");
    hasher.update(token.trim().as_bytes());
    let digest: [u8; 32] = hasher.finalize().into();
    let mut first = [0; 16];
    first[1..].copy_from_slice(&digest[..15]);
    format!("DM{:030X}", u128::from_be_bytes(first))
}

/// How fast a run goes. Every call of the control answers with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ControlState {
    /// Always [`CONTROL_VERSION`].
    pub version: u32,
    /// Whether requests are held.
    pub paused: bool,
    /// Requests that the pause holds now.
    pub held: u32,
    /// The limits that were asked for.
    pub limits: RateLimits,
    /// What the target's owner allows at most: of each kind the lower one holds.
    #[serde(default, skip_serializing_if = "RateLimits::is_unlimited")]
    pub limits_max: RateLimits,
    /// What the database's throttles have lowered the rates to. Absent while they have not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lowered: Option<RateLimits>,
    /// Answers of the database that were throttles, since the guard started.
    pub throttled: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_key_follows_from_the_token_and_does_not_show_it() {
        let key = access_key("0123456789abcdef0123456789abcdef");
        assert_eq!(key, access_key(" 0123456789abcdef0123456789abcdef\n"));
        assert_ne!(key, access_key("0123456789abcdef0123456789abcdee"));
        assert_eq!(key.len(), 32);
        assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !key.contains("01234567"));
    }
}
