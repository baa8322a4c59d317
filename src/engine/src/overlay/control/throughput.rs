//! Billing modes, throughput and streams in the description of a table. Pure; times are given.

use dm_dynamodb::request::control::{BillingMode, Units};
use serde_json::{Map, Value, json};

/// The capacity units in the description of a table or an index.
pub fn units_of(description: &Value) -> Units {
    let units = |member: &str| description["ProvisionedThroughput"][member].as_i64().unwrap_or(0);
    Units { read: units("ReadCapacityUnits"), write: units("WriteCapacityUnits") }
}

/// The billing mode in a table's description.
pub fn billing_of(description: &Value) -> BillingMode {
    match description.pointer("/BillingModeSummary/BillingMode").and_then(Value::as_str) {
        Some("PAY_PER_REQUEST") => BillingMode::OnDemand,
        Some(_) | None => BillingMode::Provisioned,
    }
}

/// BillingModeSummary of a table that is switched to a mode now.
pub fn billing_summary(billing: BillingMode, now_s: f64) -> Value {
    match billing {
        BillingMode::OnDemand => json!({
            "BillingMode": "PAY_PER_REQUEST",
            "LastUpdateToPayPerRequestDateTime": now_s,
        }),
        BillingMode::Provisioned => json!({"BillingMode": "PROVISIONED"}),
    }
}

/// Members of a description of a table whose stream is switched on now.
pub fn stream_members(view: &str, table_arn: &str, label: &str) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert(
        "StreamSpecification".into(),
        json!({"StreamEnabled": true, "StreamViewType": view}),
    );
    members.insert("LatestStreamLabel".into(), label.into());
    members.insert("LatestStreamArn".into(), format!("{table_arn}/stream/{label}").into());
    members
}
