//! The size of a spec as a whole. The definitions bound each field, and hundreds of small ones
//! still make an object of more than a megabyte, which every list of the namespace then reads.
//! Pure.

use dm_api::DataMigration;

use crate::limits;
use crate::runnable::Problem;
use crate::validate::problem::invalid_spec;

/// Checks the size of a spec, and names its largest field.
pub fn check(migration: &DataMigration) -> Result<(), Problem> {
    // Serializing a spec that was read from JSON cannot fail.
    let spec = serde_json::json!(migration.spec);
    let bytes = spec.to_string().len();
    if bytes <= limits::SPEC_BYTES_MAX {
        return Ok(());
    }
    let fields = spec.as_object().into_iter().flatten();
    let largest = fields.max_by_key(|(_, value)| value.to_string().len());
    let largest = largest.map(|(name, _)| name.as_str()).unwrap_or_default();
    Err(invalid_spec(format!(
        "spec.{largest}: the spec has {bytes} bytes as JSON, at most {} are allowed, and most of \
         them are here. Move large values to a ConfigMap and refer to it",
        limits::SPEC_BYTES_MAX
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples;

    #[test]
    fn a_spec_is_bounded_as_a_whole_and_its_largest_field_is_named() {
        let sized = |variables: usize| {
            let env: Vec<_> = (0..variables)
                .map(|index| json!({"name": format!("V{index}"), "value": "x".repeat(8_000)}))
                .collect();
            samples::migration(json!({"spec": {"script": {"env": env}}}))
        };
        assert_eq!(check(&sized(30)), Ok(()));
        let problem = check(&sized(40)).unwrap_err();
        assert!(problem.message.starts_with("spec.script: "), "{}", problem.message);
        assert!(problem.message.contains("at most 262144"), "{}", problem.message);
    }
}
