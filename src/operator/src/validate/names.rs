//! Names in a spec that go into a request's path. The definitions' patterns refuse others at
//! admission; an object may be older than its definition. Pure.

use dm_api::DataMigration;
use dm_api::name::DnsName;

use crate::identified::Target;
use crate::runnable::Problem;
use crate::validate::problem::invalid_spec;

/// Checks the names of a migration, and of its target.
pub fn check(migration: &DataMigration, target: Option<&Target>) -> Result<(), Problem> {
    let spec = &migration.spec;
    check_one("spec.target.name", &spec.target.name)?;
    for (index, dependency) in spec.depends_on.iter().enumerate() {
        check_one(&format!("spec.dependsOn[{index}].name"), &dependency.name)?;
    }
    if let Some(script) = &spec.script {
        check_one("spec.script.configMap.name", &script.config_map.name)?;
    }
    if let Some(map) = spec.transform.as_ref().and_then(|source| source.config_map.as_ref()) {
        check_one("spec.transform.configMap.name", &map.name)?;
    }
    let Some(target) = target else { return Ok(()) };
    let of_target = |field: &str| format!("target {}: spec.{field}", spec.target.name);
    let both = [
        ("credentials", Some(&target.spec.credentials)),
        ("dryRunCredentials", target.spec.dry_run_credentials.as_ref()),
    ];
    for (field, credentials) in both {
        if let Some(account) = credentials.and_then(|from| from.service_account.as_ref()) {
            check_one(&of_target(&format!("{field}.serviceAccount.name")), &account.name)?;
        }
    }
    Ok(())
}

fn check_one(field: &str, name: &str) -> Result<(), Problem> {
    match DnsName::parse(name) {
        Some(_) => Ok(()),
        None => Err(invalid_spec(format!(
            "{field}: {name:?} cannot be the name of an object. A name has lower-case letters, \
             digits, - and ., and begins and ends with a letter or digit. Correct it"
        ))),
    }
}
