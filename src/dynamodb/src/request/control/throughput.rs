//! Billing modes, throughput and streams as CreateTable and UpdateTable give them.

use serde_json::{Map, Value, json};

use super::invalid;
use crate::error::ServiceError;
use crate::request::members::{flag, structure, text, whole};

type Result<T> = std::result::Result<T, ServiceError>;

/// Capacity units of one table or index that AWS takes for a number at all; its quotas are lower.
const UNITS_MAX: i64 = 1_000_000_000_000;

/// How a table is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BillingMode {
    OnDemand,
    /// By capacity set aside.
    Provisioned,
}

/// Capacity units of a table or an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    pub read: i64,
    pub write: i64,
}

/// OnDemandThroughput: the highest rates of a table or index that is billed by requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Highest {
    pub read: Option<i64>,
    pub write: Option<i64>,
}

/// A StreamSpecification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    pub enabled: bool,
    pub view: Option<String>,
}

impl BillingMode {
    pub(super) fn decode(body: &Map<String, Value>) -> Option<Self> {
        let mode = text(body, "BillingMode")?;
        Some(if mode == "PAY_PER_REQUEST" { Self::OnDemand } else { Self::Provisioned })
    }
}

impl Units {
    /// Those of on-demand tables.
    pub const NONE: Self = Self { read: 0, write: 0 };

    /// Reads ProvisionedThroughput.
    pub(super) fn decode(body: &Map<String, Value>) -> Result<Option<Self>> {
        let Some(given) = structure(body, "ProvisionedThroughput") else { return Ok(None) };
        let units = |member: &str| whole(given, member).map(Option::unwrap_or_default);
        let (read, write) = (units("ReadCapacityUnits")?, units("WriteCapacityUnits")?);
        Ok(Some(Self { read, write }))
    }

    fn check(self) -> Result<()> {
        for (units, member) in
            [(self.read, "ReadCapacityUnits"), (self.write, "WriteCapacityUnits")]
        {
            if units > UNITS_MAX {
                return Err(ServiceError::validation(format!(
                    "Given value {units} for {member} is out of bounds"
                )));
            }
        }
        Ok(())
    }

    /// The units as a description shows them.
    pub fn to_json(self) -> Value {
        json!({
            "NumberOfDecreasesToday": 0,
            "ReadCapacityUnits": self.read,
            "WriteCapacityUnits": self.write,
        })
    }
}

/// Returns the units of a table that is billed like this.
pub fn table_units(billing: BillingMode, given: Option<Units>) -> Result<Units> {
    given.map_or(Ok(()), Units::check)?;
    match (billing, given) {
        (BillingMode::OnDemand, None) => Ok(Units::NONE),
        (BillingMode::OnDemand, Some(_)) => invalid(
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is \
             PAY_PER_REQUEST",
        ),
        (BillingMode::Provisioned, Some(units)) => Ok(units),
        (BillingMode::Provisioned, None) => invalid(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is \
             PROVISIONED",
        ),
    }
}

/// Returns the units of an index of a table that is billed like this.
pub fn index_units(billing: BillingMode, index: &str, given: Option<Units>) -> Result<Units> {
    given.map_or(Ok(()), Units::check)?;
    match (billing, given) {
        (BillingMode::OnDemand, None) => Ok(Units::NONE),
        (BillingMode::OnDemand, Some(_)) => invalid(format!(
            "ProvisionedThroughput should not be specified for index: {index} when BillingMode is \
             PAY_PER_REQUEST"
        )),
        (BillingMode::Provisioned, Some(units)) => Ok(units),
        (BillingMode::Provisioned, None) => {
            invalid(format!("ProvisionedThroughput is not specified for index: {index}"))
        }
    }
}

impl Highest {
    pub(super) fn decode(body: &Map<String, Value>) -> Result<Option<Self>> {
        let Some(given) = structure(body, "OnDemandThroughput") else { return Ok(None) };
        let read = whole(given, "MaxReadRequestUnits")?;
        Ok(Some(Self { read, write: whole(given, "MaxWriteRequestUnits")? }))
    }

    fn rates(self) -> impl Iterator<Item = (&'static str, i64)> {
        let rates = [("MaxReadRequestUnits", self.read), ("MaxWriteRequestUnits", self.write)];
        rates.into_iter().filter_map(|(member, rate)| Some((member, rate?)))
    }

    /// Checks the rates of a table that is billed like this, or of an index of the table.
    pub fn check(self, billing: BillingMode) -> Result<()> {
        if billing == BillingMode::Provisioned {
            return invalid(
                "OnDemandThroughput can be specified only when BillingMode is PAY_PER_REQUEST",
            );
        }
        // -1 takes a highest rate away.
        match self.rates().find(|(_, rate)| *rate < 1 && *rate != -1) {
            None => Ok(()),
            Some((member, rate)) => {
                invalid(format!("{member} of OnDemandThroughput has the wrong value {rate}"))
            }
        }
    }

    /// The rates as requests and descriptions show them.
    pub fn to_json(self) -> Value {
        let rates = self.rates().map(|(member, rate)| (member.to_owned(), rate.into()));
        Value::Object(rates.collect())
    }
}

impl Stream {
    pub(super) fn decode(body: &Map<String, Value>) -> Result<Option<Self>> {
        let Some(given) = structure(body, "StreamSpecification") else { return Ok(None) };
        let view = text(given, "StreamViewType").map(str::to_owned);
        Ok(Some(Self { enabled: flag(given, "StreamEnabled")?, view }))
    }

    /// Returns the view type of a stream that is to be on; `None` of one that is to be off.
    pub fn view(&self) -> Result<Option<&str>> {
        match (self.enabled, self.view.as_deref()) {
            (true, Some(view)) => Ok(Some(view)),
            (false, None) => Ok(None),
            (true, None) => invalid("StreamViewType is required when StreamEnabled is true"),
            (false, Some(_)) => {
                invalid("StreamViewType is not allowed when StreamEnabled is false")
            }
        }
    }
}
