//! The top-level members of an answer, without decoding what is in them: a page of 1 MB is counted
//! and loses a member without being built up as values.

use std::fmt;

use bytes::Bytes;
use dm_dynamodb::error::ServiceError;
use dm_dynamodb::value::{Item, parse_item};
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Members of a JSON object, in their order, as the bytes they came as.
#[derive(Debug)]
pub struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Splits a body; `None` if it is not an object.
    pub fn of(body: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    pub fn get<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        let raw = self.0.iter().find(|(member, _)| member == name)?.1;
        serde_json::from_str(raw.get()).ok()
    }

    /// An item; `None` if there is no such member.
    pub fn item(&self, name: &str) -> Result<Option<Item>, ServiceError> {
        let raw = self.0.iter().find(|(member, _)| member == name);
        raw.map(|(_, raw)| parse_item(raw.get())).transpose()
    }

    /// The units that the answer says were consumed, of all its tables.
    pub fn consumed_units(&self) -> f64 {
        #[derive(Deserialize)]
        struct Capacity {
            #[serde(default, rename = "CapacityUnits")]
            units: Option<f64>,
        }
        let one = self.get::<Capacity>("ConsumedCapacity").map(|one| vec![one]);
        let tables = one.or_else(|| self.get("ConsumedCapacity")).unwrap_or_default();
        tables.iter().filter_map(|table| table.units).sum()
    }

    /// The codes of a batch's statements that failed.
    pub fn failed_statements(&self) -> Vec<String> {
        #[derive(Deserialize)]
        struct Response {
            #[serde(rename = "Error")]
            error: Option<Error>,
        }
        #[derive(Deserialize)]
        struct Error {
            #[serde(rename = "Code")]
            code: Option<String>,
        }
        let responses: Vec<Response> = self.get("Responses").unwrap_or_default();
        responses.into_iter().filter_map(|response| response.error?.code).collect()
    }

    /// Whether there is such a member.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(member, _)| member == name)
    }

    /// How many elements a member's array has.
    pub fn count(&self, name: &str) -> Option<u64> {
        self.get::<Vec<IgnoredAny>>(name).map(|elements| elements.len() as u64)
    }

    /// The object without one member.
    pub fn without(&self, name: &str) -> Bytes {
        let size: usize = self.0.iter().map(|(key, raw)| key.len() + raw.get().len() + 4).sum();
        let mut body = Vec::with_capacity(size + 2);
        body.push(b'{');
        for (member, raw) in self.0.iter().filter(|(member, _)| member != name) {
            if body.len() > 1 {
                body.push(b',');
            }
            body.extend_from_slice(serde_json::Value::from(member.as_str()).to_string().as_bytes());
            body.push(b':');
            body.extend_from_slice(raw.get().as_bytes());
        }
        body.push(b'}');
        Bytes::from(body)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_taken_out_and_the_others_stay_byte_for_byte() {
        let body = br#"{"Items":[{"a":{"N":"1.0"}}, {}],"Count":2,"ConsumedCapacity":{"X":1}}"#;
        let members = Members::of(body).unwrap();
        assert_eq!(members.count("Items"), Some(2));
        assert_eq!(members.get::<u64>("Count"), Some(2));
        assert!(members.has("ConsumedCapacity"));
        assert_eq!(
            members.without("ConsumedCapacity"),
            r#"{"Items":[{"a":{"N":"1.0"}}, {}],"Count":2}"#
        );
        assert_eq!(members.without("Nothing"), std::str::from_utf8(body).unwrap());
    }

    #[test]
    fn units_are_those_of_all_tables() {
        for (capacity, expected) in [
            (r#"{"TableName":"a","CapacityUnits":2.5,"Table":{"CapacityUnits":2.5}}"#, 2.5),
            (r#"[{"CapacityUnits":1},{"TableName":"b"},{"CapacityUnits":0.5}]"#, 1.5),
            ("null", 0.0),
            ("[]", 0.0),
        ] {
            let body = format!(r#"{{"ConsumedCapacity":{capacity}}}"#);
            let units = Members::of(body.as_bytes()).unwrap().consumed_units();
            assert!((units - expected).abs() < 1e-9, "{capacity}: {units}");
        }
        assert!(Members::of(b"{}").unwrap().consumed_units().abs() < 1e-9);
    }

    #[test]
    fn what_is_not_an_object_has_no_members() {
        for body in ["", "[]", "{", "{}}", "1"] {
            assert!(Members::of(body.as_bytes()).is_none(), "{body}");
        }
        assert_eq!(Members::of(b"{}").unwrap().without("x"), "{}");
    }
}
