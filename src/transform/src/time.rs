//! Times: seconds since 1970 as numbers, and ISO 8601 as strings. Zones are offsets only: their
//! names mean what a database of zones says, which differs between machines.

use dm_dynamodb::value::{AttributeValue, Number};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};

use crate::error::Cause;
use crate::error::Result;

const NANOS: i64 = 1_000_000_000;
const MINUTE_S: i32 = 60;
const HOUR_S: i32 = 60 * MINUTE_S;

/// The seconds since 1970 of an ISO 8601 time. One without a zone is in the zone that is given.
pub(crate) fn epoch(text: &str, zone: Option<&str>) -> Result<Number> {
    let zone = zone.map(offset).transpose()?;
    if let Ok(time) = text.parse::<Timestamp>() {
        return seconds(time);
    }
    if text.contains('[') {
        return Err(Cause::Unfit(
            "the time names its zone in brackets; give it an offset such as +01:00".into(),
        ));
    }
    let local = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(DateTime::from));
    let Ok(local) = local else {
        return Err(Cause::Unfit("the string is not an ISO 8601 time".into()));
    };
    let Some(zone) = zone else {
        return Err(Cause::Unfit("the time has no zone; give it as epoch(time, '+01:00')".into()));
    };
    seconds(zone.to_timestamp(local).map_err(|_| out_of_range())?)
}

fn seconds(time: Timestamp) -> Result<Number> {
    let nanos =
        Number::from(i64::from(time.subsec_nanosecond())).divided_by(Number::from(NANOS))?;
    Ok(Number::from(time.as_second()).plus_rounded(nanos)?)
}

/// The ISO 8601 time of seconds since 1970, in UTC or at an offset.
pub(crate) fn iso8601(seconds: Number, zone: Option<&str>) -> Result<AttributeValue> {
    let nanos = seconds.times(Number::from(NANOS))?;
    let whole = nanos.to_multiple(Number::from(1_i64), dm_dynamodb::value::Rounding::Down)?;
    let nanos: i128 = whole.to_string().parse().map_err(|_| out_of_range())?;
    let time = Timestamp::from_nanosecond(nanos).map_err(|_| out_of_range())?;
    let text = match zone {
        None => time.to_string(),
        Some(zone) => {
            let zone = offset(zone)?;
            let local = time.to_zoned(TimeZone::fixed(zone)).datetime();
            format!("{local}{}", written(zone))
        }
    };
    Ok(AttributeValue::S(text))
}

fn out_of_range() -> Cause {
    Cause::Unfit(
        "the number is not a time between the years -9999 and 9999; of milliseconds, divide by 1000"
            .into(),
    )
}

/// The offset of `Z`, `+01:00` or `-0330`.
pub(crate) fn offset(text: &str) -> Result<Offset> {
    if text == "Z" {
        return Ok(Offset::UTC);
    }
    parsed(text)
        .and_then(|seconds| Offset::from_seconds(seconds).ok())
        .ok_or_else(|| Cause::Unfit("a zone is Z or an offset such as +01:00".into()))
}

fn parsed(text: &str) -> Option<i32> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = text[1..].replacen(':', "", 1);
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = (digits[..2].parse::<i32>().ok()?, digits[2..].parse::<i32>().ok()?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * HOUR_S + minutes * MINUTE_S))
}

fn written(offset: Offset) -> String {
    let seconds = offset.seconds();
    if seconds == 0 {
        return "Z".into();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let seconds = seconds.abs();
    format!("{sign}{:02}:{:02}", seconds / HOUR_S, seconds % HOUR_S / MINUTE_S)
}
