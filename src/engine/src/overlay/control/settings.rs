//! Time to live and point-in-time recovery of a table: what their calls make of how they are. Pure;
//! the time is given.

use dm_dynamodb::error::{ErrorCode, ServiceError};
use dm_dynamodb::request::control::{UpdateBackups, UpdateTimeToLive};
use serde_json::{Value, json};

/// Days that point-in-time recovery can go back.
const RECOVERY_DAYS_MAX: u32 = 35;

/// UpdateTimeToLive on a table whose TimeToLiveDescription is this: the next one.
pub fn time_to_live(asked: &UpdateTimeToLive, before: &Value) -> Result<Value, ServiceError> {
    let name = &*asked.attribute;
    let current = before.get("AttributeName").and_then(Value::as_str);
    let on = matches!(
        before.get("TimeToLiveStatus").and_then(Value::as_str),
        Some("ENABLED" | "ENABLING")
    );
    match (asked.enabled, on) {
        (true, true) if current == Some(name) => {
            Err(ServiceError::validation("TimeToLive is already enabled"))
        }
        (_, true) if current != Some(name) => Err(ServiceError::validation(format!(
            "TimeToLive is active on a different AttributeName: current AttributeName is {}",
            current.unwrap_or_default()
        ))),
        (false, false) => Err(ServiceError::validation("TimeToLive is already disabled")),
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
pub fn backups(asked: &UpdateBackups, before: &Value, now_s: f64) -> Result<Value, ServiceError> {
    if before.get("ContinuousBackupsStatus").and_then(Value::as_str) != Some("ENABLED") {
        return Err(ServiceError::new(
            ErrorCode::ContinuousBackupsUnavailable,
            "Backups are being enabled for the table. Please retry later",
        ));
    }
    let recovery = if asked.enabled {
        let earliest = before.pointer("/PointInTimeRecoveryDescription/EarliestRestorableDateTime");
        json!({
            "PointInTimeRecoveryStatus": "ENABLED",
            "RecoveryPeriodInDays": asked.days.unwrap_or(RECOVERY_DAYS_MAX),
            "EarliestRestorableDateTime": earliest.cloned().unwrap_or_else(|| now_s.into()),
            "LatestRestorableDateTime": now_s,
        })
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
        let (table, attribute) = ("t".to_owned(), name.to_owned());
        let asked = UpdateTimeToLive { table, enabled, attribute };
        time_to_live(&asked, before).map_err(|error| error.message)
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
        let asked = |enabled| UpdateBackups { table: "t".into(), enabled, days: None };
        let first = backups(&asked(true), &no_backups(), 100.0).unwrap();
        let again = backups(&asked(true), &first, 200.0).unwrap();
        assert_eq!([&first, &no_backups()].map(backups_in_words), ["35 days", "off"]);
        let of = |described: &Value, member: &str| {
            described["PointInTimeRecoveryDescription"][member].as_f64().unwrap()
        };
        assert!((of(&again, "EarliestRestorableDateTime") - 100.0).abs() < 0.1);
        assert!((of(&again, "LatestRestorableDateTime") - 200.0).abs() < 0.1);
        assert_eq!(backups(&asked(false), &first, 0.0).unwrap(), no_backups());
    }
}
