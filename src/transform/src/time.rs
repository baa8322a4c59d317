//! Times: seconds since 1970 as numbers, and ISO 8601 as strings. Zones are offsets only: their
//! names mean what a database of zones says, which differs between machines.

use dm_dynamodb::value::{AttributeValue, Number, Rounding};
use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;

use crate::error::Cause;
use crate::error::Result;

const NANOS: i64 = 1_000_000_000;
const MINUTE_S: i32 = 60;
const HOUR_S: i32 = 60 * MINUTE_S;

/// 1970-01-01T00:00:00. Times are counted from it as civil ones: jiff's timestamps end a day before
/// 9999-12-31, which stands for "never" in many tables.
const BEGINNING: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// The seconds since 1970 of an ISO 8601 time. One without a zone is in the zone that is given.
pub(crate) fn epoch(text: &str, zone: Option<&str>) -> Result<Number> {
    let zone = zone.map(offset).transpose()?;
    let no_time = || Cause::Unfit("the string is not an ISO 8601 time".into());
    let pieces = Pieces::parse(text).map_err(|_| no_time())?;
    if is_leap_second(text) {
        return Err(Cause::Unfit(
            "the time is a leap second, which seconds since 1970 do not count".into(),
        ));
    }
    let own = pieces.to_numeric_offset();
    if own.is_none() && pieces.time_zone_annotation().is_some() {
        return Err(Cause::Unfit(
            "the time names its zone in brackets; give it an offset such as +01:00".into(),
        ));
    }
    let time = match (pieces.time(), own) {
        (None, Some(_)) => return Err(no_time()),
        (time, _) => time.unwrap_or(Time::midnight()),
    };
    let Some(zone) = own.or(zone) else {
        return Err(Cause::Unfit("the time has no zone; give it as epoch(time, '+01:00')".into()));
    };
    seconds(pieces.date(), time, zone)
}

/// Whether a time that was read has the second 60, which jiff reads as 59.
fn is_leap_second(text: &str) -> bool {
    let time = text.find(['T', 't', ' ']).map_or("", |at| &text[at + 1..]);
    let end = time.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(time.len());
    let digits = time[..end].replace(':', "");
    digits.len() == "hhmmss".len() && digits.ends_with("60")
}

fn seconds(date: Date, time: Time, zone: Offset) -> Result<Number> {
    let since = date.to_datetime(time).duration_since(BEGINNING);
    let whole = Number::from(since.as_secs() - i64::from(zone.seconds()));
    let nanos = Number::from(i64::from(since.subsec_nanos())).divided_by(Number::from(NANOS))?;
    Ok(whole.plus_rounded(nanos)?)
}

/// The ISO 8601 time of seconds since 1970, in UTC or at an offset, rounded down to nanoseconds.
pub(crate) fn iso8601(seconds: Number, zone: Option<&str>) -> Result<AttributeValue> {
    let zone = zone.map_or(Ok(Offset::UTC), offset)?;
    let one = Number::from(1_i64);
    let down = |number: Number| number.to_multiple(one, Rounding::Down);
    let whole = down(seconds)?;
    let nanos = down(seconds.minus_rounded(whole)?.times(Number::from(NANOS))?)?;
    let local = || {
        let whole = whole.to_i64()?.checked_add(zone.seconds().into())?;
        let since = SignedDuration::new(whole, i32::try_from(nanos.to_i64()?).ok()?);
        BEGINNING.checked_add(since).ok()
    };
    let local = local().ok_or_else(out_of_range)?;
    Ok(AttributeValue::S(format!("{local}{}", written(zone))))
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
