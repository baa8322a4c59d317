//! Billing modes, throughput, streams and classes of tables, from a request into the members of a
//! description. Pure; times are given.

use dm_dynamodb::error::ServiceError;
use dm_dynamodb::value::whole_from_json;
use serde_json::{Map, Value, json};

use crate::overlay::control::parameters::{Parameters, unexpected};
use crate::overlay::control::words::invalid;

type Result<T> = std::result::Result<T, ServiceError>;

/// Capacity units of one table or index that AWS takes for a number at all; its quotas are lower.
const UNITS_MAX: u64 = 1_000_000_000_000;

/// How a table is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Billing {
    OnDemand,
    /// By capacity set aside.
    Provisioned,
}

/// Capacity units of a table or an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    /// Read capacity units.
    pub read: u64,
    /// Write capacity units.
    pub write: u64,
}

impl Units {
    /// Those of on-demand tables.
    pub const NONE: Self = Self { read: 0, write: 0 };

    /// As a description shows them.
    pub fn to_json(self) -> Value {
        json!({
            "NumberOfDecreasesToday": 0,
            "ReadCapacityUnits": self.read,
            "WriteCapacityUnits": self.write,
        })
    }

    /// Those of a description.
    pub fn of_description(description: &Value) -> Self {
        let units = |member: &str| {
            description.pointer(&format!("/ProvisionedThroughput/{member}")).and_then(Value::as_u64)
        };
        Self {
            read: units("ReadCapacityUnits").unwrap_or(0),
            write: units("WriteCapacityUnits").unwrap_or(0),
        }
    }
}

/// BillingMode, if it is given.
pub fn billing(parameters: Parameters<'_>) -> Result<Option<Billing>> {
    let choices = [("PAY_PER_REQUEST", Billing::OnDemand), ("PROVISIONED", Billing::Provisioned)];
    parameters.choice("BillingMode", &choices, "PROVISIONED, PAY_PER_REQUEST")
}

/// The billing mode that a description tells.
pub fn billing_of(description: &Value) -> Billing {
    match description.pointer("/BillingModeSummary/BillingMode").and_then(Value::as_str) {
        Some("PAY_PER_REQUEST") => Billing::OnDemand,
        Some(_) | None => Billing::Provisioned,
    }
}

/// ProvisionedThroughput, if it is given.
pub fn units(parameters: Parameters<'_>) -> Result<Option<Units>> {
    let Some(given) = parameters.get("ProvisionedThroughput") else { return Ok(None) };
    let given = Parameters::of(given)?;
    let unit = |name: &str| -> Result<u64> {
        let units = whole_from_json(given.required(name)?).ok_or_else(unexpected)?;
        match u64::try_from(units).unwrap_or(0) {
            0 => Err(given.whole(name, 1, None).err().unwrap_or_else(unexpected)),
            units if units > UNITS_MAX => Err(ServiceError::validation(format!(
                "Given value {units} for {name} is out of bounds"
            ))),
            units => Ok(units),
        }
    };
    Ok(Some(Units { read: unit("ReadCapacityUnits")?, write: unit("WriteCapacityUnits")? }))
}

/// The units of a table that is billed like this.
pub fn table_units(billing: Billing, given: Option<Units>) -> Result<Units> {
    match (billing, given) {
        (Billing::OnDemand, None) => Ok(Units::NONE),
        (Billing::OnDemand, Some(_)) => Err(invalid(
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is \
             PAY_PER_REQUEST",
        )),
        (Billing::Provisioned, Some(units)) => Ok(units),
        (Billing::Provisioned, None) => Err(invalid(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is \
             PROVISIONED",
        )),
    }
}

/// The units of an index of a table that is billed like this.
pub fn index_units(billing: Billing, index: &str, given: Option<Units>) -> Result<Units> {
    match (billing, given) {
        (Billing::OnDemand, None) => Ok(Units::NONE),
        (Billing::OnDemand, Some(_)) => Err(invalid(format!(
            "ProvisionedThroughput should not be specified for index: {index} when BillingMode is \
             PAY_PER_REQUEST"
        ))),
        (Billing::Provisioned, Some(units)) => Ok(units),
        (Billing::Provisioned, None) => {
            Err(invalid(format!("ProvisionedThroughput is not specified for index: {index}")))
        }
    }
}

/// BillingModeSummary of a table that is switched to a mode now.
pub fn billing_summary(billing: Billing, now_s: f64) -> Value {
    match billing {
        Billing::OnDemand => json!({
            "BillingMode": "PAY_PER_REQUEST",
            "LastUpdateToPayPerRequestDateTime": now_s,
        }),
        Billing::Provisioned => json!({"BillingMode": "PROVISIONED"}),
    }
}

/// What a StreamSpecification asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// A stream of this view type.
    On(&'static str),
    Off,
}

/// StreamSpecification, if it is given.
pub fn stream(parameters: Parameters<'_>) -> Result<Option<Stream>> {
    let Some(given) = parameters.get("StreamSpecification") else { return Ok(None) };
    let given = Parameters::of(given)?;
    given.required("StreamEnabled")?;
    let views = [
        ("KEYS_ONLY", "KEYS_ONLY"),
        ("NEW_IMAGE", "NEW_IMAGE"),
        ("OLD_IMAGE", "OLD_IMAGE"),
        ("NEW_AND_OLD_IMAGES", "NEW_AND_OLD_IMAGES"),
    ];
    let listed = "NEW_IMAGE, OLD_IMAGE, NEW_AND_OLD_IMAGES, KEYS_ONLY";
    let view = given.choice("StreamViewType", &views, listed)?;
    match (given.flag("StreamEnabled")?, view) {
        (true, Some(view)) => Ok(Some(Stream::On(view))),
        (false, None) => Ok(Some(Stream::Off)),
        (true, None) => Err(invalid("StreamViewType is required when StreamEnabled is true")),
        (false, Some(_)) => {
            Err(invalid("StreamViewType is not allowed when StreamEnabled is false"))
        }
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

/// TableClass, if it is given.
pub fn class(parameters: Parameters<'_>) -> Result<Option<&'static str>> {
    let classes =
        [("STANDARD", "STANDARD"), ("STANDARD_INFREQUENT_ACCESS", "STANDARD_INFREQUENT_ACCESS")];
    parameters.choice("TableClass", &classes, "STANDARD, STANDARD_INFREQUENT_ACCESS")
}

/// DeletionProtectionEnabled, if it is given.
pub fn protection(parameters: Parameters<'_>) -> Result<Option<bool>> {
    parameters
        .get("DeletionProtectionEnabled")
        .map(|value| value.as_bool().ok_or_else(unexpected))
        .transpose()
}

/// OnDemandThroughput, if it is given: the highest rates of a table billed by requests.
pub fn on_demand(parameters: Parameters<'_>, billing: Billing) -> Result<Option<Value>> {
    let Some(given) = parameters.get("OnDemandThroughput") else { return Ok(None) };
    if billing == Billing::Provisioned {
        return Err(invalid(
            "OnDemandThroughput can be specified only when BillingMode is PAY_PER_REQUEST",
        ));
    }
    let members = given.as_object().ok_or_else(unexpected)?;
    for (name, value) in members {
        let known = ["MaxReadRequestUnits", "MaxWriteRequestUnits"].contains(&name.as_str());
        let units = value.as_i64().ok_or_else(unexpected)?;
        // -1 takes a highest rate away.
        if !known || (units < 1 && units != -1) {
            return Err(invalid(format!(
                "{name} of OnDemandThroughput has the wrong value {units}"
            )));
        }
    }
    Ok(Some(given.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: std::fmt::Debug>(result: Result<T>, expected: &str) {
        let error = result.unwrap_err();
        assert!(error.message.contains(expected), "{}", error.message);
    }

    #[test]
    fn units_belong_to_provisioned_tables_and_to_them_alone() {
        let five = Some(Units { read: 5, write: 5 });
        assert_eq!(table_units(Billing::OnDemand, None), Ok(Units::NONE));
        check(table_units(Billing::OnDemand, five), "PAY_PER_REQUEST");
        check(table_units(Billing::Provisioned, None), "must both be specified");
        check(index_units(Billing::Provisioned, "by-g", None), "index: by-g");
        check(index_units(Billing::OnDemand, "by-g", five), "index: by-g");
    }

    #[test]
    fn a_stream_has_a_view_exactly_when_it_is_on() {
        let stream_of = |specification: Value| {
            let request = json!({"StreamSpecification": specification});
            stream(Parameters::of(&request).unwrap())
        };
        let on = stream_of(json!({"StreamEnabled": true, "StreamViewType": "KEYS_ONLY"}));
        assert_eq!(on, Ok(Some(Stream::On("KEYS_ONLY"))));
        assert_eq!(stream_of(json!({"StreamEnabled": false})), Ok(Some(Stream::Off)));
        check(stream_of(json!({"StreamEnabled": true})), "is required");
        let off = json!({"StreamEnabled": false, "StreamViewType": "KEYS_ONLY"});
        check(stream_of(off), "is not allowed");
    }

    #[test]
    fn units_are_whole_and_positive() {
        let of = |read: Value| {
            let throughput = json!({"ReadCapacityUnits": read, "WriteCapacityUnits": 1});
            units(Parameters::of(&json!({"ProvisionedThroughput": throughput})).unwrap())
        };
        assert_eq!(of(json!(3)), Ok(Some(Units { read: 3, write: 1 })));
        check(of(json!(0)), "greater than or equal to 1");
        check(of(json!("3")), "Unexpected value type");
    }
}
