//! Time to live and point-in-time recovery of a table: what their calls make of how they are. Pure;
//! the time is given.

use dm_dynamodb::error::{ErrorCode, ServiceError};
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::overlay::control::parameters::{Parameters, unexpected};
use crate::overlay::control::words::invalid;

/// Days that point-in-time recovery can go back.
const RECOVERY_DAYS_MAX: u32 = 35;

/// UpdateTimeToLive on a table whose TimeToLiveDescription is this: the next one.
pub fn time_to_live(parameters: Parameters<'_>, before: &Value) -> Result<Value, Fault> {
    crate::overlay::control::only(
        parameters,
        "UpdateTimeToLive",
        &["TableName", "TimeToLiveSpecification"],
    )?;
    let asked = Parameters::of(parameters.required("TimeToLiveSpecification")?)?;
    asked.required("Enabled")?;
    let name = asked.required("AttributeName")?.as_str().ok_or_else(unexpected)?;
    if name.is_empty() || name.len() > 255 {
        return Err(invalid("AttributeName must be between 1 and 255 bytes long").into());
    }
    let current = before.get("AttributeName").and_then(Value::as_str);
    let on = matches!(
        before.get("TimeToLiveStatus").and_then(Value::as_str),
        Some("ENABLED" | "ENABLING")
    );
    match (asked.flag("Enabled")?, on) {
        (true, true) if current == Some(name) => {
            Err(ServiceError::validation("TimeToLive is already enabled").into())
        }
        (_, true) if current != Some(name) => Err(ServiceError::validation(format!(
            "TimeToLive is active on a different AttributeName: current AttributeName is {}",
            current.unwrap_or_default()
        ))
        .into()),
        (false, false) => Err(ServiceError::validation("TimeToLive is already disabled").into()),
        (true, _) => Ok(json!({"TimeToLiveStatus": "ENABLED", "AttributeName": name})),
        (false, true) => Ok(json!({"TimeToLiveStatus": "DISABLED"})),
    }
}

/// A TimeToLiveDescription, for the report.
pub fn time_to_live_in_words(described: &Value) -> String {
    let is_on = |status: &Value| ["ENABLED", "ENABLING"].iter().any(|on| status == on);
    match described["AttributeName"].as_str() {
        Some(attribute) if is_on(&described["TimeToLiveStatus"]) => format!("on {attribute}"),
        Some(_) | None => "off".to_owned(),
    }
}

/// A ContinuousBackupsDescription, for the report.
pub fn backups_in_words(described: &Value) -> String {
    let recovery = &described["PointInTimeRecoveryDescription"];
    if recovery["PointInTimeRecoveryStatus"] != "ENABLED" {
        return "off".to_owned();
    }
    let days = recovery["RecoveryPeriodInDays"].as_u64();
    format!("{} days", days.unwrap_or(RECOVERY_DAYS_MAX.into()))
}

/// TimeToLiveDescription of a new table.
pub fn no_time_to_live() -> Value {
    json!({"TimeToLiveStatus": "DISABLED"})
}

/// UpdateContinuousBackups on a table whose ContinuousBackupsDescription is this: the next one.
pub fn backups(parameters: Parameters<'_>, before: &Value, now_s: f64) -> Result<Value, Fault> {
    let known = ["TableName", "PointInTimeRecoverySpecification"];
    crate::overlay::control::only(parameters, "UpdateContinuousBackups", &known)?;
    let asked = Parameters::of(parameters.required("PointInTimeRecoverySpecification")?)?;
    asked.required("PointInTimeRecoveryEnabled")?;
    if before.get("ContinuousBackupsStatus").and_then(Value::as_str) != Some("ENABLED") {
        return Err(ServiceError::new(
            ErrorCode::ContinuousBackupsUnavailable,
            "Backups are being enabled for the table. Please retry later",
        )
        .into());
    }
    let days = asked.whole("RecoveryPeriodInDays", 1, Some(RECOVERY_DAYS_MAX))?;
    let recovery = if asked.flag("PointInTimeRecoveryEnabled")? {
        let earliest = before.pointer("/PointInTimeRecoveryDescription/EarliestRestorableDateTime");
        json!({
            "PointInTimeRecoveryStatus": "ENABLED",
            "RecoveryPeriodInDays": days.unwrap_or(RECOVERY_DAYS_MAX),
            "EarliestRestorableDateTime": earliest.cloned().unwrap_or_else(|| now_s.into()),
            "LatestRestorableDateTime": now_s,
        })
    } else if days.is_some() {
        return Err(invalid(
            "RecoveryPeriodInDays can be specified only when PointInTimeRecoveryEnabled is true",
        )
        .into());
    } else {
        json!({"PointInTimeRecoveryStatus": "DISABLED"})
    };
    Ok(json!({
        "ContinuousBackupsStatus": "ENABLED",
        "PointInTimeRecoveryDescription": recovery,
    }))
}

/// ContinuousBackupsDescription of a new table.
pub fn no_backups() -> Value {
    json!({
        "ContinuousBackupsStatus": "ENABLED",
        "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to_live(enabled: bool, name: &str, before: &Value) -> Result<Value, String> {
        let request = json!({
            "TableName": "t",
            "TimeToLiveSpecification": {"Enabled": enabled, "AttributeName": name},
        });
        time_to_live(Parameters::of(&request).unwrap(), before).map_err(|fault| match fault {
            Fault::Service(error) => error.message,
            other => other.to_string(),
        })
    }

    #[test]
    fn time_to_live_goes_on_and_off_and_not_twice() {
        let off = no_time_to_live();
        let on = to_live(true, "expires", &off).unwrap();
        assert_eq!(on["TimeToLiveStatus"], "ENABLED");
        assert_eq!([&on, &off].map(time_to_live_in_words), ["on expires", "off"]);
        let disabling = json!({"TimeToLiveStatus": "DISABLING", "AttributeName": "expires"});
        assert_eq!(time_to_live_in_words(&disabling), "off");
        assert!(to_live(true, "expires", &on).unwrap_err().contains("already enabled"));
        assert!(to_live(true, "other", &on).unwrap_err().contains("different AttributeName"));
        assert!(to_live(false, "other", &on).unwrap_err().contains("different AttributeName"));
        assert_eq!(to_live(false, "expires", &on), Ok(off.clone()));
        assert!(to_live(false, "expires", &off).unwrap_err().contains("already disabled"));
    }

    #[test]
    fn recovery_keeps_how_far_back_it_goes() {
        let request = |specification: Value| {
            json!({"TableName": "t",
            "PointInTimeRecoverySpecification": specification})
        };
        let on = request(json!({"PointInTimeRecoveryEnabled": true}));
        let first = backups(Parameters::of(&on).unwrap(), &no_backups(), 100.0).unwrap();
        let again = backups(Parameters::of(&on).unwrap(), &first, 200.0).unwrap();
        assert_eq!([&first, &no_backups()].map(backups_in_words), ["35 days", "off"]);
        let of = |described: &Value, member: &str| {
            described["PointInTimeRecoveryDescription"][member].as_f64().unwrap()
        };
        assert!((of(&again, "EarliestRestorableDateTime") - 100.0).abs() < 0.1);
        assert!((of(&again, "LatestRestorableDateTime") - 200.0).abs() < 0.1);
        let off = request(json!({"PointInTimeRecoveryEnabled": false}));
        assert_eq!(backups(Parameters::of(&off).unwrap(), &first, 0.0).unwrap(), no_backups());
    }
}
