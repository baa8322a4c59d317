//! Names of attributes, as DynamoDB accepts them in items, keys and requests.

use crate::error::ServiceError;

/// Most bytes of an attribute's name (Developer Guide, "Service quotas": 64 KB, in messages "less
/// than 65536"). Names of key attributes are shorter: CreateTable checks them.
pub const NAME_BYTES_MAX: usize = 65_535;

/// Rejects a name that no attribute can have, at the top level of an item or in a map.
pub fn check_name(name: &str) -> Result<(), ServiceError> {
    if name.is_empty() {
        return Err(ServiceError::validation("Empty attribute name"));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(ServiceError::validation(format!(
            "Attribute name is too large, must be less than {} bytes",
            NAME_BYTES_MAX + 1
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: &str) {
        let message = check_name(name).map_or_else(|error| error.message, |()| String::new());
        assert_eq!(message, expected, "{name:.20}");
    }

    #[test]
    fn a_name_has_between_1_and_65535_bytes() {
        let too_large = "Attribute name is too large, must be less than 65536 bytes";
        check("", "Empty attribute name");
        check("a", "");
        check(&"n".repeat(65_535), "");
        check(&"n".repeat(65_536), too_large);
        check(&"é".repeat(32_768), too_large);
    }
}
